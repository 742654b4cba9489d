//! Every recorded case against its preset, and no row of a preset without one. `tests/cases/README.md` has the format.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tollgate::{
    event::{Event, TokenClaims},
    form::Form,
    gate::preview::{Explanation, Question, explain},
    preset::{Outcome, Preset},
};

pub(crate) const FEWEST: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    case: Vec<Case>,
}

/// One request and what is recognised in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows.
    pub(crate) name: String,
    /// `METHOD /path?query`.
    request: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    form: BTreeMap<String, String>,
    json: Option<Value>,
    /// Claims of the bearer token.
    caller: Option<Map<String, Value>>,
    /// Claims of the tokens in the answer.
    claims: Option<TokenClaimsWritten>,
    /// The row that it is.
    pub(crate) route: Option<String>,
    /// The trigger; several where only the verified token decides.
    #[serde(default)]
    pub(crate) trigger: OneOrMore,
    /// What is done, in the words of docs/COVERAGE.md; `passes` where no row fits.
    pub(crate) does: String,
    /// Part of the reason of a refusal.
    because: Option<String>,
    /// Fields of the event, by `context.…`, `data.…`; of each event, where there are several.
    #[serde(default)]
    event: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    events: Vec<BTreeMap<String, Value>>,
    /// A row that it would be, did it carry a learned value.
    perhaps: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenClaimsWritten {
    #[serde(default)]
    access_token: Map<String, Value>,
    #[serde(default)]
    id_token: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
    #[default]
    None,
}

impl OneOrMore {
    pub(crate) fn all(&self) -> Vec<&str> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more.iter().map(String::as_str).collect(),
            Self::None => Vec::new(),
        }
    }
}

#[test]
fn every_case_is_recognised_as_it_was_recorded() {
    let mut wrong = Vec::new();
    for name in Preset::names() {
        let preset = preset(name);
        for (file, case) in cases(name) {
            if let Err(why) = case.holds(&preset) {
                wrong.push(format!("{}: \"{}\": {why}", file.display(), case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_row_of_a_preset_is_without_a_case() {
    let mut missing = Vec::new();
    for name in Preset::names() {
        let cases = cases(name);
        assert!(
            cases.len() >= FEWEST,
            "{name} has {} cases, {FEWEST} are the fewest",
            cases.len()
        );
        let shown: BTreeSet<_> = cases.iter().filter_map(|(_, case)| case.route.as_deref()).collect();
        let (rows, of_generic) = (preset(name), Preset::load("generic", Path::new("."), &[]).unwrap());
        // A row that is taken over as it is, is shown by the cases of the preset that it is from.
        let written = Preset::load(name, Path::new("."), &[]).unwrap();
        let taken_over = |name: &str| {
            let path = |preset: &Preset| Some(preset.routes.iter().find(|row| row.name == name)?.path.clone());
            path(&written).is_some() && path(&written) == path(&of_generic)
        };
        let missing_here = |row: &&std::sync::Arc<tollgate::route::Route>| {
            !shown.contains(row.name.as_str()) && (name == "generic" || !taken_over(&row.name))
        };
        let rows = rows.routes.iter().filter(missing_here);
        missing.extend(rows.map(|row| format!("tests/cases/{name}: no case is the row `{}`", row.name)));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn no_cases_are_without_their_preset_and_no_two_have_one_name() {
    let known: BTreeSet<_> = Preset::names().collect();
    for entry in fs::read_dir("tests/cases").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(!path.is_dir() || known.contains(name), "there is no preset `{name}`");
    }
    for name in known {
        let mut seen = BTreeSet::new();
        for (file, case) in cases(name) {
            assert!(
                seen.insert(case.name.clone()),
                "{}: \"{}\" is there twice",
                file.display(),
                case.name
            );
        }
    }
}

/// The preset with its paths, those of the recorded discovery document too.
pub(crate) fn preset(name: &str) -> Preset {
    let preset = Preset::load(name, Path::new("."), &[]).unwrap();
    let Ok(text) = fs::read_to_string(format!("tests/cases/{name}/discovery.json")) else {
        assert!(!preset.needs_discovery(), "{name}: record its `discovery.json`");
        return preset;
    };
    let document: Value = serde_json::from_str(&text).unwrap();
    preset.discovered(|member| {
        let url: http::Uri = document.get(member)?.as_str()?.parse().ok()?;
        Some(url.path().to_owned())
    })
}

/// The cases of a preset, each with its file.
pub(crate) fn cases(name: &str) -> Vec<(PathBuf, Case)> {
    let folder = Path::new("tests/cases").join(name);
    let listed = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let document: Document = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        document.case.into_iter().map(move |case| (file.clone(), case))
    };
    files.into_iter().flat_map(read).collect()
}

impl Case {
    fn question(&self) -> Result<Question, String> {
        let (method, target) = self.request.split_once(' ').ok_or("`request` is `METHOD /path`")?;
        let mut form = Form::default();
        self.form.iter().for_each(|(name, value)| form.set(name, value));
        Ok(Question {
            method: method.parse().map_err(|_| "no method")?,
            url: target.parse().map_err(|e| format!("{e}"))?,
            form,
            headers: self.headers.clone().into_iter().collect(),
            json: self.json.clone(),
            caller: self.caller.clone(),
            claims: self.claims.as_ref().map(|claims| TokenClaims {
                access_token: claims.access_token.clone(),
                id_token: claims.id_token.clone(),
            }),
        })
    }

    fn holds(&self, preset: &Preset) -> Result<(), String> {
        let same = |what: &str, found: Value, due: Value| {
            if found == due {
                return Ok(());
            }
            Err(format!("{what} is {found}, not {due}"))
        };
        let (perhaps, found) = match explain(preset, "cases", &self.question()?) {
            Explanation::Routed { perhaps, found } => (perhaps, found),
            Explanation::Unreadable(why) | Explanation::UnreadableQuery(why) => {
                same("what is done", json!("refused"), json!(self.does))?;
                return self.is_told(&why);
            }
            other => return Err(format!("{other:?}")),
        };
        if let Some(due) = &self.perhaps {
            let rows: Vec<_> = perhaps.into_iter().map(|(row, _)| row).collect();
            same("perhaps", json!(rows), json!([due]))?;
        }
        let row = found.as_ref().map(|found| found.candidate.route.name.clone());
        same("the row", json!(row), json!(self.route))?;
        let Some(found) = found else {
            return same("what is done", json!("passes"), json!(self.does));
        };
        if let Some(reason) = &found.refusal {
            same("what is done", json!("refused"), json!(self.does))?;
            return self.is_told(reason);
        }
        let mut outcome = found.candidate.route.does.outcome();
        let parameters = self.form.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        if outcome == Outcome::AskedAfter && found.candidate.route.asks_for_no_token(parameters) {
            outcome = Outcome::Passes;
        }
        same("what is done", json!(outcome.as_str()), json!(self.does))?;
        let mut triggers: Vec<_> = found.consults.iter().map(|c| c.event.trigger.to_string()).collect();
        triggers.dedup();
        same("the trigger", json!(triggers), json!(self.trigger.all()))?;
        let events: Vec<_> = found.consults.iter().map(|c| &c.event).collect();
        self.secrets_stay(&events)?;
        if let Some(due) = &self.event {
            let event = events.first().ok_or("there is no event")?;
            told(event, due)?;
        }
        if !self.events.is_empty() {
            same("the number of events", json!(events.len()), json!(self.events.len()))?;
            for (event, due) in events.iter().zip(&self.events) {
                told(event, due)?;
            }
        }
        Ok(())
    }

    fn is_told(&self, reason: &str) -> Result<(), String> {
        let due = self.because.as_deref().ok_or("a refusal has a `because`")?;
        if reason.contains(due) {
            return Ok(());
        }
        Err(format!("the reason is `{reason}`"))
    }

    /// Cases write their secrets so that they are found where they must not be.
    fn secrets_stay(&self, events: &[&Event]) -> Result<(), String> {
        let told = serde_json::to_string(events).unwrap();
        match told.contains("s3cret") {
            true => Err(format!("a secret is in the event: {told}")),
            false => Ok(()),
        }
    }
}

/// Whether an event has these fields, with `null` for one that it must not have.
fn told(event: &Event, due: &BTreeMap<String, Value>) -> Result<(), String> {
    let event = json!({"context": event.context, "data": event.data});
    for (path, due) in due {
        let pointer = format!("/{}", path.replace('.', "/"));
        let found = event.pointer(&pointer).cloned().unwrap_or_default();
        // TOML has no null.
        let due = if due == "-" { &Value::Null } else { due };
        if found != *due {
            return Err(format!("`{path}` is {found}, not {due}"));
        }
    }
    Ok(())
}
