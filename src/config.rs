//! The configuration: one file, with environment variables laid over it.
//!
//! Each module owns the settings of its section; this module puts them together and says where a mistake is.

mod contents;
mod description;
mod each;
mod environment;
mod errors;
mod example;
mod files;
mod kept;
mod layers;
mod log;
mod mask;
mod read;
mod reload;
mod routes;
mod source;
mod tree;
mod upstreams;
mod words;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use self::{
    contents::fingerprint,
    read::{Extent, Read, read},
    source::Source,
    upstreams::Keys,
};
pub use self::{
    contents::{Contents, Snapshot},
    description::{Change, Description, How},
    errors::{ConfigErrors, Finding},
    kept::Kept,
    layers::Origin,
    log::{Log, LogFormat},
    reload::Reload,
};
use crate::{
    audit, clock::Period, dashboard, geo, interceptor, listen, misconfigured::Misconfigured, route::Route, telemetry,
    token, trial, upstream,
};

/// A configuration that was read completely, as one upstream has it: what is shared, and what is its own. Where a file has several
/// upstreams this is the first one's, and [`Config::each`] has all of them.
///
/// What its values come to is judged where modules are built from them; [`Config::errors`] shows what they found.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of this installation, `environment_id` in events. Default: `default`.
    #[serde(default = "default_environment")]
    pub environment: String,
    /// How long all interceptors of one request may take together, up to `60s`. Default: `10s`.
    #[serde(default = "default_consult_budget")]
    pub consult_budget: Period,
    /// Where clients connect.
    pub listen: listen::Settings,
    /// The identity provider.
    pub upstream: upstream::Settings,
    /// How tokens are signed anew.
    #[serde(default)]
    pub tokens: token::Settings,
    /// The key set that clients find through discovery.
    #[serde(default)]
    pub jwks: token::JwksSettings,
    /// Where decisions are recorded.
    #[serde(default)]
    pub audit: audit::Settings,
    /// The listener for the operator.
    #[serde(default)]
    pub admin: dashboard::Settings,
    /// How interceptors are tried out.
    #[serde(default)]
    pub test: trial::Settings,
    /// Where clients are.
    #[serde(default)]
    pub geo: geo::Settings,
    /// How denials look.
    #[serde(default)]
    pub denial: Denial,
    /// When it is loaded again.
    #[serde(default)]
    pub reload: Reload,
    /// How and how much is logged.
    #[serde(default)]
    pub log: Log,
    /// Where traces go.
    #[serde(default)]
    pub telemetry: telemetry::Settings,
    /// Whom to ask, in this order.
    #[serde(default, rename = "interceptor")]
    pub interceptors: Vec<interceptor::Settings>,
    /// Relying parties that are told of logouts through Tollgate.
    #[serde(default, rename = "logout")]
    pub logouts: Vec<upstream::LogoutSettings>,
    /// Requests to recognise beside those of the preset, in the preset's language. The first match counts.
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
    /// The folder of the file: relative paths in settings start here.
    #[serde(skip)]
    pub base: PathBuf,
    /// A short fingerprint of the file, the variables laid over it, and the files it names that decisions depend on. Keyed with
    /// the capsule secret, so that nobody without that can try out what it was made from.
    #[serde(skip)]
    pub revision: String,
    #[serde(skip)]
    source: Arc<Source>,
    /// What was in the files that all upstreams name, when it was read.
    #[serde(skip)]
    snapshot: Snapshot,
    /// What was in those that this upstream names, by its own keys.
    #[serde(skip)]
    files: Snapshot,
    /// Where the keys of this upstream stand in the file.
    #[serde(skip)]
    keys: Keys,
    /// Every value in effect for this upstream as TOML has it, by its key.
    #[serde(skip)]
    settings: BTreeMap<String, String>,
    #[serde(skip)]
    others: Vec<Self>,
}

/// `[denial]`: how denials look.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Denial {
    /// The HTTP status of a denied OAuth request, 400 to 499. Default: `400`, as RFC 6749 §5.2 has it.
    pub status: u16,
    /// A template for the page that browsers are shown, with `{{message}}` where the message goes.
    pub page: Option<PathBuf>,
}

impl Config {
    /// Reads the file and lays the variables of `environment` that begin with `TOLLGATE_` over it.
    ///
    /// # Errors
    /// Everything that could be found wrong, each with its place and how to mend it.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let mut source = open(path)?;
        source.environment = environment.into_iter().collect();
        let offered = source.environment.clone();
        let reads = read::<Self>(&mut source, offered, Extent::Whole)?;
        let source = Arc::new(source);
        let one = |read: Read<Self>| Self {
            base: base(path),
            source: Arc::clone(&source),
            keys: read.keys,
            settings: read.settings,
            ..read.value
        };
        let mut each: Vec<Self> = reads.into_iter().map(one).collect();
        let snapshot = Contents::default().look_at(&each).with_own(&source.text);
        for one in &mut each {
            one.files = snapshot.of(&one.named_files());
            one.snapshot = snapshot.clone();
        }
        let revision = fingerprint(&each);
        for one in &mut each {
            one.revision.clone_from(&revision);
        }
        let mut each = each.into_iter();
        let first = each.next();
        // There is one at least, or reading it failed.
        let mut config = first.ok_or_else(|| whole_file(&source.name, "there is no upstream", "add `[upstream]`"))?;
        config.others = each.collect();
        let found = config.each().map(|one| one.errors(&one.findings()));
        let between = config.doubled_hosts().into_iter().chain(config.doubled_interceptors());
        let between = between.chain(config.odd_listeners());
        let found = found.chain(between).reduce(ConfigErrors::and);
        match found {
            Some(errors) if !errors.is_empty() => Err(errors),
            _ => Ok(config),
        }
    }

    /// Reads the same file again, with the variables that were there at the first time.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn again(&self) -> Result<Self, ConfigErrors> {
        Self::load(Path::new(self.file()), self.source.environment.iter().cloned())
    }

    /// Shows what modules found wrong with their settings, each at its place in the file or the environment.
    pub fn errors<'m>(&self, findings: impl IntoIterator<Item = &'m Misconfigured>) -> ConfigErrors {
        self.source.errors(&self.keys, findings)
    }

    /// The same for findings whose keys are those of the file, whichever upstream they are about.
    pub(crate) fn errors_in_file<'m>(&self, findings: impl IntoIterator<Item = &'m Misconfigured>) -> ConfigErrors {
        self.source.errors(&Keys::default(), findings)
    }

    /// The name of the file, as it was given.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// Where a value that is in effect was written; list items by index, as in `interceptor.1.endpoint`. `None` for a
    /// table, a list, and what is written nowhere and so has its default. Never shows the value.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        self.source.origin(&self.keys.in_file(key))
    }

    /// What is wrong with the values that no module owns.
    fn findings(&self) -> Vec<Misconfigured> {
        let mut found = Vec::new();
        if self.environment.is_empty() || self.environment.contains(char::is_control) {
            found.push(
                Misconfigured::new("environment", "the name of the environment is one line of text")
                    .hint("for example `environment = \"prod-eu\"`"),
            );
        }
        if !(Period::millis(50)..=Period::secs(60)).contains(&self.consult_budget) {
            found.push(
                Misconfigured::new(
                    "consult_budget",
                    format!("a budget of {} is out of range", self.consult_budget),
                )
                .hint("write a time from `50ms` to `60s`"),
            );
        }
        if !(400..=499).contains(&self.denial.status) {
            found.push(
                Misconfigured::new(
                    "denial.status",
                    format!("a denial with status {} is out of range", self.denial.status),
                )
                .hint("write a status from 400 to 499; OAuth clients expect 400"),
            );
        }
        found.extend(self.admin.findings());
        found.extend(self.reload.findings());
        found.extend(self.log.findings());
        found
    }
}

impl Default for Denial {
    fn default() -> Self {
        Self {
            status: 400,
            page: None,
        }
    }
}

fn open(path: &Path) -> Result<Source, ConfigErrors> {
    let name = path.display().to_string();
    let text = fs::read(path).map_err(|error| unreadable(&name, &error))?;
    let text = String::from_utf8(text).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        let hint = "save it as UTF-8 without a byte-order mark";
        whole_file(&format!("{name}:{line}"), "the file is not UTF-8", hint)
    })?;
    Ok(Source::new(name, text))
}

fn base(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn unreadable(name: &str, error: &io::Error) -> ConfigErrors {
    if error.kind() != io::ErrorKind::NotFound {
        return whole_file(
            name,
            &format!("the configuration cannot be read: {error}"),
            "it must be a file that this user may read",
        );
    }
    whole_file(
        name,
        "there is no such file",
        "name another one with `--config FILE`, or begin with these lines:\n\n  \
         [listen]\n  address = \"127.0.0.1:8443\"\n  public_url = \"http://127.0.0.1:8443\"\n\n  \
         [upstream]\n  url = \"http://127.0.0.1:8080\"\n  preset = \"generic\"\n\n\
         then `tollgate keys init` makes the keys and `tollgate check` says what is missing",
    )
}

fn whole_file(place: &str, message: &str, hint: &str) -> ConfigErrors {
    ConfigErrors::new(vec![Source::new(place.to_owned(), String::new()).finding(
        None,
        message,
        Some(hint.to_owned()),
    )])
}

fn default_environment() -> String {
    "default".to_owned()
}

fn default_consult_budget() -> Period {
    Period::secs(10)
}
