//! A recording of a browser (HAR 1.2): what of it is recognised, and what looks as if it should be.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    path::Path,
};

use http::Uri;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    cli::outcome::{Outcome, Stop},
    config::Config,
    exchange::Target,
    form::Form,
    gate::preview::{Explanation, Question, explain},
    preset::{Looks, Preset, Traits},
    route::BodyKind,
};

/// Prints it. The answer is no where a request looks like something and no route fits. No value of the recording is printed.
pub(super) fn run(config: &Config, preset: &Preset, recording: &Path, out: &mut impl Write) -> Result<Outcome, Stop> {
    let text = read(recording)?;
    let archive: Archive = serde_json::from_str(&text)
        .map_err(|e| Stop::Usage(format!("`{}` is no HAR file: {e}", recording.display())))?;
    let preset = with_discovery(preset.clone(), &archive);

    let mut recognised: BTreeMap<String, usize> = BTreeMap::new();
    let mut suspicious = BTreeMap::new();
    let (mut passed, mut refused) = (0_usize, 0_usize);
    for entry in &archive.log.entries {
        let Some(question) = entry.question() else { continue };
        match explain(&preset, &config.environment, &question) {
            Explanation::Routed { found: Some(found), .. } => {
                *recognised.entry(found.candidate.route.name.clone()).or_default() += 1;
            }
            Explanation::Unreadable(_) | Explanation::UnreadableQuery(_) => refused += 1,
            Explanation::Routed { found: None, .. } | Explanation::Undecided | Explanation::WebSocket { .. } => {
                let traits = entry.traits(&question);
                match Looks::of(&traits) {
                    Some(looks) => _ = suspicious.insert((looks, traits.method.clone(), traits.path.clone()), traits),
                    None => passed += 1,
                }
            }
        }
    }
    writeln!(out, "{} requests in {}", archive.log.entries.len(), recording.display())?;
    for (route, count) in &recognised {
        writeln!(out, "recognised    `{route}`, {count} of them")?;
    }
    if refused > 0 {
        writeln!(
            out,
            "refused       {refused}, since their addresses could be read in two ways"
        )?;
    }
    writeln!(
        out,
        "passes        {passed} that look like nothing that would be asked about"
    )?;
    for ((looks, method, path), traits) in &suspicious {
        writeln!(out, "\nno route      {method} {path} looks like {}", looks.as_str())?;
        writeln!(out, "try           in {}, after a look at each line:\n", config.file())?;
        writeln!(out, "{}", looks.route(traits))?;
    }
    Ok(suspicious.is_empty().into())
}

fn read(recording: &Path) -> Result<String, Stop> {
    let unread = |e: io::Error| Stop::Usage(format!("`{}` cannot be read: {e}", recording.display()));
    if recording == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(unread)?;
        return Ok(text);
    }
    fs::read_to_string(recording).map_err(unread)
}

/// The preset with its endpoints, if the recording has the discovery document.
fn with_discovery(preset: Preset, archive: &Archive) -> Preset {
    let document = archive.log.entries.iter().find_map(|entry| {
        let url: Uri = entry.request.url.parse().ok()?;
        preset.issuer.discovery.captures(url.path())?;
        serde_json::from_str::<Value>(&entry.response.content.text).ok()
    });
    match document {
        Some(document) => preset.discovered(|member| {
            let url: Uri = document.get(member)?.as_str()?.parse().ok()?;
            Some(url.path().to_owned())
        }),
        None => preset,
    }
}

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Asked,
    #[serde(default)]
    response: Answer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    method: String,
    url: String,
    #[serde(default)]
    post_data: Option<Posted>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    params: Vec<Named>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    content: Content,
    headers: Vec<Named>,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    text: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    value: String,
}

impl Entry {
    fn question(&self) -> Option<Question> {
        let posted = self.request.post_data.as_ref();
        let kind = posted.map(Posted::kind);
        let mut form = Form::default();
        if let (Some(posted), Some(BodyKind::Form | BodyKind::Multipart)) = (posted, kind) {
            for field in &posted.params {
                form.set(&field.name, field.value.as_str());
            }
            if posted.params.is_empty() && kind == Some(BodyKind::Form) {
                form = Form::urlencoded(posted.text.as_bytes()).unwrap_or_default();
            }
        }
        let header = |posted: &Posted| ("Content-Type".to_owned(), posted.mime_type.clone());
        Some(Question {
            method: self.request.method.parse().ok()?,
            url: self.request.url.parse().ok()?,
            form,
            headers: posted
                .filter(|posted| !posted.mime_type.is_empty())
                .map(header)
                .into_iter()
                .collect(),
            json: posted
                .filter(|_| kind == Some(BodyKind::Json))
                .and_then(|posted| serde_json::from_str(&posted.text).ok()),
            ..Question::default()
        })
    }

    fn traits(&self, question: &Question) -> Traits {
        let path = Target::read(&question.url).map_or_else(|_| question.url.path().to_owned(), |t| t.path().to_owned());
        let body = self.request.post_data.as_ref().map(Posted::kind);
        Traits {
            has_token: self.response.has_token(),
            ..Traits::of(
                question.method.as_str(),
                &path,
                body,
                &question.form,
                question.json.as_ref(),
            )
        }
    }
}

impl Posted {
    fn kind(&self) -> BodyKind {
        let essence = self
            .mime_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => BodyKind::Form,
            "multipart/form-data" => BodyKind::Multipart,
            _ if self.text.is_empty() => BodyKind::Empty,
            _ => BodyKind::Json,
        }
    }
}

impl Answer {
    /// Whether a member that is called like a token is one, or the address of a redirect has one.
    fn has_token(&self) -> bool {
        let location = self
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case("location"));
        let mut addresses = location
            .map(|header| header.value.as_str())
            .chain([self.redirect_url.as_str()]);
        if addresses.any(|url| ["access_token=", "id_token="].iter().any(|name| url.contains(name))) {
            return true;
        }
        let Ok(Value::Object(members)) = serde_json::from_str(&self.content.text) else {
            return false;
        };
        let named = |name: &str| members.get(name).and_then(Value::as_str);
        named("access_token").is_some()
            || ["id_token", "token", "jwt"]
                .iter()
                .any(|name| named(name).is_some_and(|token| token.starts_with("eyJ")))
    }
}
