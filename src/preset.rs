//! An identity provider as data: which requests it acts on, where its keys are, how it spells a denial.

mod accounts;
mod file;
mod fit;
mod overlap;
mod routes;
mod sessions;
mod suspicion;
mod way;
mod written;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

use self::written::Written;
pub use self::{
    accounts::{Accounts, Call, Mark, Membership},
    fit::{Candidate, Fit, Seen},
    overlap::{Overlap, Verdict},
    routes::Routes,
    sessions::Sessions,
    suspicion::{Looks, Traits},
    way::{Area, Fate, Need, Outcome, Way},
};
use crate::{
    misconfigured::Misconfigured,
    route::{Action, Group, Pattern, Route, Sign},
};

/// The presets built into the binary, name and TOML text: the files of `presets/`, as the build script lists them.
const BUILT_IN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/presets.rs"));

/// One kind of identity provider.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The name in `[upstream] preset`.
    pub name: String,
    /// Which product and version the preset is for.
    pub summary: String,
    /// What no proxy in front of this provider can see, a sentence each: `tollgate check` tells the operator.
    pub limits: Vec<String>,
    /// What the preset was tried on, besides recorded requests, in a clause for docs/providers.md.
    pub tried: Option<String>,
    /// Where an issuer's documents are.
    pub issuer: Issuer,
    /// The provider's own console, if its logins go through the same endpoints.
    pub console: Option<Console>,
    /// Grants whose token is for the client itself (RFC 6749 §4.4).
    pub machine_grants: Vec<String>,
    /// Grants whose token is for the client itself where the verified subject is the client (RFC 7523 §2.1).
    pub machine_grants_of_client: Vec<String>,
    /// Values that the upstream alone knows and that recognition needs.
    pub learn: BTreeMap<String, Learn>,
    /// The upstream's own spellings of a denial, by the name that routes use.
    pub denial: BTreeMap<String, Denial>,
    /// The admin API, for the operator's service account; absent where nothing can be done with one.
    pub accounts: Option<Accounts>,
    /// Sessions of the provider's own, for routes with `does = "session"`.
    pub sessions: Option<Sessions>,
    /// What several routes share, by the name that they `use`.
    pub groups: BTreeMap<String, Group>,
    /// Paths on which `Upgrade: websocket` is let through (RFC 6455).
    pub websockets: Vec<Pattern>,
    /// What is recognised, the first match counts.
    pub routes: Routes,
    /// Ways that have no route of their own, for `tollgate coverage`.
    pub ways: Vec<Way>,
}

/// The paths of an issuer's documents. `{name}`s are shared with the routes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The path of the issuer identifier (OIDC Core §1.2), such as `/realms/{realm}`.
    pub path: Pattern,
    /// The discovery document (OIDC Discovery §4).
    pub discovery: Pattern,
    /// What tells the issuer of a token request. Default: `path`.
    #[serde(default)]
    pub named_by: NamedBy,
    /// How the provider is told the URL that clients know it by; `{origin}` is put in. For hints.
    #[serde(default)]
    pub set_by: Option<String>,
}

/// What tells which issuer a token request is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedBy {
    /// The request's path.
    #[default]
    Path,
    /// The `iss` of the tokens that come: several issuers share one token endpoint. It is known only when the code is spent.
    Token,
}

/// Who logs in to the provider's own console: an interceptor that denies these locks the operator out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// The realm that the console's administrators are in.
    pub realm: String,
    /// The client that the console is.
    pub client_id: String,
}

/// A value to be learned: the upstream is asked with `get`, and the answer has it between `after` and `until`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    /// The path that is asked; `{name}`s are filled from the request.
    pub path: Pattern,
    /// Query parameters; `{issuer}` stands for the issuer identifier.
    pub query: BTreeMap<String, String>,
    /// The text in front of the value.
    pub after: String,
    /// The characters of which the value is made end here.
    pub until: Vec<char>,
    /// The query parameter of a request that may carry the value.
    pub parameter: String,
}

/// How an upstream's own error looks, so that its own consoles show the operator's message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; `{message}` is put in.
    pub body: Value,
}

impl Preset {
    /// The preset of that name, with the operator's routes in front of its own: a built-in one, or a file whose name ends in
    /// `.toml`, relative to the folder `base`.
    ///
    /// # Errors
    /// An unknown name; a mistake in a file, with its line and column; an operator's route that cannot work.
    pub fn load(name: &str, base: &Path, operator_routes: &[Route]) -> Result<Self, Misconfigured> {
        let mut preset = match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => {
                let broken = |e: &dyn std::fmt::Display| {
                    Misconfigured::new("upstream.preset", format!("the preset `{name}` is broken: {e}"))
                };
                let written: Written = toml::from_str(text).map_err(|e| broken(&e))?;
                let base = Self::extended(&written)?;
                written.complete(base).map_err(|e| broken(&e.message))?
            }
            None if name.ends_with(".toml") => file::read(name, base)?,
            None => {
                let known: Vec<_> = Self::names().map(|known| format!("`{known}`")).collect();
                return Err(
                    Misconfigured::new("upstream.preset", format!("there is no preset `{name}`")).hint(format!(
                        "the presets are {}; one of your own is the path of a file that ends in `.toml`",
                        known.join(", ")
                    )),
                );
            }
        };
        preset.add(operator_routes)?;
        let groups = &preset.groups;
        preset.routes.change(|rows| {
            for route in rows.iter_mut().map(Arc::make_mut) {
                for name in std::mem::take(&mut route.groups) {
                    if let Some(group) = groups.get(&name) {
                        route.join(group);
                    }
                }
            }
        });
        Ok(preset)
    }

    /// The preset that another one extends.
    fn extended(written: &Written) -> Result<Option<Self>, Misconfigured> {
        let Some(name) = &written.extends else { return Ok(None) };
        let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| known == name) else {
            let known: Vec<_> = Self::names().map(|known| format!("`{known}`")).collect();
            return Err(
                Misconfigured::new("extends", format!("there is no built-in preset `{name}`"))
                    .hint(format!("the presets are {}", known.join(", "))),
            );
        };
        let base: Written = toml::from_str(text)
            .map_err(|e| Misconfigured::new("extends", format!("the preset `{name}` is broken: {e}")))?;
        if base.extends.is_some() {
            return Err(Misconfigured::new(
                "extends",
                format!("`{name}` extends another preset itself"),
            ));
        }
        base.complete(None).map(Some)
    }

    /// The names of the built-in presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Puts every path below a base path, for an upstream that is served from one (`/auth`).
    pub fn below(mut self, base: &str) -> Self {
        if base.is_empty() {
            return self;
        }
        let put = |path: &mut Pattern| {
            if path.discovered().is_none() {
                *path = path.below(base);
            }
        };
        self.routes
            .change(|rows| rows.iter_mut().for_each(|row| put(&mut Arc::make_mut(row).path)));
        let issuer = [&mut self.issuer.path, &mut self.issuer.discovery].into_iter();
        issuer
            .chain(self.learn.values_mut().map(|l| &mut l.path))
            .chain(&mut self.websockets)
            .chain(self.accounts.iter_mut().flat_map(Accounts::paths))
            .chain(self.sessions.iter_mut().flat_map(Sessions::paths))
            .for_each(put);
        self
    }

    /// Leaves out the routes that are not in force.
    pub fn keeping(mut self, in_force: impl Fn(&Route) -> bool) -> Self {
        self.routes.change(|rows| rows.retain(|route| in_force(route)));
        self
    }

    /// Whether paths must be learned from discovery before anything can be recognised.
    pub fn needs_discovery(&self) -> bool {
        self.routes.iter().any(|route| route.path.discovered().is_some())
    }

    /// Fills in the paths that come from the discovery document; routes whose endpoint it does not name are dropped.
    pub fn discovered(mut self, path_of: impl Fn(&str) -> Option<String>) -> Self {
        let fill = |route: &mut Arc<Route>| {
            let Some(member) = route.path.discovered() else {
                return true;
            };
            let found = path_of(member).and_then(|path| path.parse().ok());
            found.map(|path| Arc::make_mut(route).path = path).is_some()
        };
        self.routes.change(|rows| rows.retain_mut(fill));
        self
    }

    /// Whether the token of a grant is for the client itself; `subject_is_client` is what the verified token says.
    pub fn is_for_client(&self, grant_type: &str, subject_is_client: bool) -> bool {
        let listed = |grants: &[String]| grants.iter().any(|known| known == grant_type);
        listed(&self.machine_grants) || (subject_is_client && listed(&self.machine_grants_of_client))
    }

    /// The routes that fit method and path, in order. More than one, where signs in the body decide.
    pub fn candidates(&self, method: &str, path: &str) -> Vec<Candidate> {
        let mut found = Vec::new();
        for route in self.routes.near(path).filter(|route| route.takes(method)) {
            let Some(captures) = route.path.captures(path) else {
                continue;
            };
            let decided = route.only_if.is_empty();
            found.push(Candidate {
                route: Arc::clone(route),
                captures,
            });
            if decided {
                break;
            }
        }
        found
    }

    fn add(&mut self, operator_routes: &[Route]) -> Result<(), Misconfigured> {
        for (index, route) in operator_routes.iter().enumerate() {
            let here = format!("route.{index}");
            route.check().map_err(|wrong| wrong.below(&here))?;
            self.check(route).map_err(|wrong| wrong.below(&here))?;
        }
        self.routes.change(|rows| {
            rows.retain(|route| operator_routes.iter().all(|own| own.name != route.name));
            rows.splice(0..0, operator_routes.iter().cloned().map(Arc::new));
        });
        Ok(())
    }

    fn check(&self, route: &Route) -> Result<(), Misconfigured> {
        let known = ["oauth", "page"]
            .into_iter()
            .chain(self.denial.keys().map(String::as_str));
        if !known.clone().any(|name| name == route.denial) {
            let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
            return Err(
                Misconfigured::new("denial", format!("there is no denial `{}`", route.denial))
                    .hint(format!("this preset has {}", known.join(", "))),
            );
        }
        if route.does == Action::Session && self.sessions.is_none() {
            return Err(Misconfigured::new(
                "does",
                "this preset does not say how its provider's own sessions are found",
            )
            .hint("a preset of your own can, with `[sessions]`"));
        }
        if let Some(unknown) = route.groups.iter().find(|name| !self.groups.contains_key(*name)) {
            return Err(Misconfigured::new(
                "use",
                format!("this preset has no group `{unknown}`"),
            ));
        }
        for sign in &route.only_if {
            if let Sign::Learned(name) = sign
                && !self.learn.contains_key(name)
            {
                return Err(Misconfigured::new(
                    "only_if",
                    format!("this preset does not learn `{name}`"),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
