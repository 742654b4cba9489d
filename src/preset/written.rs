//! A preset as it is written: whole, or as what it has more than another one.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::{Accounts, Console, Denial, Issuer, Learn, Outcome, Preset, Sessions, Way};
use crate::{
    misconfigured::Misconfigured,
    route::{Group, Pattern, Route},
};

/// The text of a preset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// The name in `[upstream] preset`.
    pub(super) name: String,
    /// Which product and version the preset is for.
    summary: String,
    /// The built-in preset that this one has everything of that it does not say itself.
    #[serde(default)]
    pub(super) extends: Option<String>,
    /// Rows and ways of that preset that do not count here, by their names and summaries.
    #[serde(default)]
    without: Vec<String>,
    /// Other paths for rows of that preset, by their names.
    #[serde(default)]
    paths: BTreeMap<String, Pattern>,
    #[serde(default)]
    limits: Vec<String>,
    #[serde(default)]
    tried: Option<String>,
    issuer: Option<Issuer>,
    #[serde(default)]
    console: Option<Console>,
    machine_grants: Option<Vec<String>>,
    machine_grants_of_client: Option<Vec<String>>,
    #[serde(default)]
    learn: BTreeMap<String, Learn>,
    #[serde(default)]
    denial: BTreeMap<String, Denial>,
    #[serde(default)]
    accounts: Option<Accounts>,
    #[serde(default)]
    sessions: Option<Sessions>,
    #[serde(default, rename = "group")]
    groups: BTreeMap<String, Group>,
    #[serde(default)]
    websockets: Vec<Pattern>,
    #[serde(default, rename = "route")]
    routes: Vec<Arc<Route>>,
    #[serde(default, rename = "way")]
    ways: Vec<Way>,
}

impl Written {
    /// The whole preset. `base` is the one that it extends. Its own rows stand in front, and one with the name of a row of `base` takes
    /// that row's place, as an operator's `[[route]]` does.
    ///
    /// # Errors
    /// Something that is in neither; a path or an exception for a row that `base` does not have.
    pub(super) fn complete(self, base: Option<Preset>) -> Result<Preset, Misconfigured> {
        let missing = |key: &str| Misconfigured::new(key, format!("the preset `{}` has no `{key}`", self.name));
        let (mut routes, mut ways) = (self.routes.clone(), self.ways.clone());
        let mut groups = self.groups.clone();
        let mut denial = self.denial.clone();
        let mut learn = self.learn.clone();
        if let Some(base) = &base {
            self.know_rows_of(base)?;
            routes.extend(
                base.routes
                    .iter()
                    .filter(|row| !self.replaces(&row.name))
                    .map(|row| self.moved(row)),
            );
            let areas: Vec<_> = self.routes.iter().map(|row| row.area()).collect();
            // What the other preset has no row for, this one may have.
            let kept = |way: &&Way| {
                let covered_now = way.does == Some(Outcome::NotCovered) && areas.contains(&way.area);
                let without_row = way.route.as_ref().is_some_and(|row| self.without.contains(row));
                !covered_now && !without_row && !self.without.contains(&way.summary)
            };
            ways.extend(base.ways.iter().filter(kept).cloned());
            add(&mut groups, &base.groups);
            add(&mut denial, &base.denial);
            add(&mut learn, &base.learn);
        }
        let base = base.as_ref();
        let grants = self
            .machine_grants
            .clone()
            .or_else(|| Some(base?.machine_grants.clone()));
        let of_client = self.machine_grants_of_client.clone();
        Ok(Preset {
            issuer: (self.issuer.clone().or_else(|| Some(base?.issuer.clone()))).ok_or_else(|| missing("issuer"))?,
            machine_grants: grants.ok_or_else(|| missing("machine_grants"))?,
            machine_grants_of_client: of_client
                .or_else(|| Some(base?.machine_grants_of_client.clone()))
                .unwrap_or_default(),
            name: self.name,
            summary: self.summary,
            limits: self.limits,
            tried: self.tried,
            console: self.console,
            learn,
            denial,
            accounts: self.accounts,
            sessions: self.sessions.or_else(|| base?.sessions.clone()),
            groups,
            websockets: self.websockets,
            routes: routes.into(),
            ways,
        })
    }

    fn know_rows_of(&self, base: &Preset) -> Result<(), Misconfigured> {
        let is_row = |name: &String| base.routes.iter().any(|row| row.name == *name);
        let is_way = |name: &String| base.ways.iter().any(|way| way.summary == *name);
        let unknown =
            |key: &str, name: &str| Misconfigured::new(key, format!("the preset `{}` has no row `{name}`", base.name));
        if let Some(name) = self.paths.keys().find(|name| !is_row(name)) {
            return Err(unknown("paths", name));
        }
        match self.without.iter().find(|name| !is_row(name) && !is_way(name)) {
            Some(name) => Err(unknown("without", name)),
            None => Ok(()),
        }
    }

    fn replaces(&self, name: &str) -> bool {
        self.routes.iter().any(|own| own.name == name) || self.without.iter().any(|not| not == name)
    }

    fn moved(&self, row: &Arc<Route>) -> Arc<Route> {
        let Some(path) = self.paths.get(&row.name) else {
            return Arc::clone(row);
        };
        let mut moved = Route::clone(row);
        moved.path = path.clone();
        Arc::new(moved)
    }
}

fn add<T: Clone>(own: &mut BTreeMap<String, T>, base: &BTreeMap<String, T>) {
    for (name, value) in base {
        own.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"own\"\nsummary = \"Ours\"\nextends = \"generic\"\n";

    fn complete(text: &str) -> Result<Preset, Misconfigured> {
        let written: Written = toml::from_str(&format!("{HEAD}{text}")).unwrap();
        let base = Preset::load("generic", ".".as_ref(), &[])?;
        written.complete(Some(base))
    }

    fn path<'p>(preset: &'p Preset, name: &str) -> Option<&'p str> {
        preset
            .routes
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.path.as_str())
    }

    #[test]
    fn what_it_does_not_say_is_the_other_presets() {
        let preset = complete("without = [\"logout\"]\n[paths]\ntoken = \"/t\"\n[[route]]\nname = \"jwks\"\npath = \"/keys\"\ndoes = \"jwks\"\n").unwrap();
        assert_eq!((preset.name.as_str(), preset.limits.len()), ("own", 0));
        assert_eq!(path(&preset, "token"), Some("/t"));
        assert_eq!(path(&preset, "userinfo"), Some("discovery:userinfo_endpoint"));
        assert_eq!(path(&preset, "logout"), None);
        assert_eq!(
            (path(&preset, "jwks"), preset.routes[0].name.as_str()),
            (Some("/keys"), "jwks")
        );
        assert_eq!(preset.machine_grants, ["client_credentials"]);
    }

    #[test]
    fn a_way_that_is_not_covered_gives_way_to_a_row_for_it() {
        let signup = "[[route]]\nname = \"signup\"\npath = \"/s\"\ndoes = \"consult\"\ntrigger = \"PRE_SIGNUP\"\n";
        let said = |preset: &Preset| {
            preset
                .ways
                .iter()
                .filter(|way| way.summary.starts_with("Signups: "))
                .count()
        };
        assert_eq!((said(&complete("").unwrap()), said(&complete(signup).unwrap())), (1, 0));
    }

    #[test]
    fn a_row_that_the_other_preset_does_not_have_is_told() {
        for (text, key) in [
            ("without = [\"nonesuch\"]\n", "without"),
            ("[paths]\nnonesuch = \"/t\"\n", "paths"),
        ] {
            let wrong = complete(text).unwrap_err();
            assert_eq!(
                (wrong.key.as_str(), wrong.message.as_str()),
                (key, "the preset `generic` has no row `nonesuch`")
            );
        }
        let alone: Written = toml::from_str("name = \"own\"\nsummary = \"\"\n").unwrap();
        assert_eq!(alone.complete(None).unwrap_err().key, "issuer");
    }
}
