//! `[audit]` in `proxy.toml`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    heads,
    retention::{MaxSize, Retention},
    sink,
};
use crate::{
    clock::Period,
    fields::{self, Needed, Rules},
    misconfigured::Misconfigured,
    secret::SecretSource,
};

/// Where records are kept, and what happens when they cannot be.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `sqlite:FILE`. The file is made when there is none, readable by its owner only; a relative one is looked up from the folder of
    /// `proxy.toml`. One running Tollgate writes to a file; any number may read it. PostgreSQL is not in this version.
    pub store: String,
    /// How long records are kept: a time like `30d`, an hour at the least, or `forever`. Older ones are taken away, a few at a time, behind a
    /// record of the chain that says which ones went. Default: `30d`.
    pub retention: Retention,
    /// How large the store may grow before its oldest records go: the bytes of its file in use, like `10GiB`, or a number like
    /// `5000000 records`. Default: no limit.
    pub max_size: Option<MaxSize>,
    /// Signed heads, by which `tollgate audit verify --heads` finds that the end was cut off or everything rewritten. Default: none.
    pub heads: Option<heads::Settings>,
    /// What is done with single fields before they are stored: a path and `drop`, `mask` or `hash`, such as `user_email = "hash"` or
    /// `"event.**.email" = "mask"`. Secrets are masked without it. Default: nothing.
    pub redact: fields::Table,
    /// The key of `hash`, 32 bytes or more. With it, `--user` finds a hashed address as well.
    pub redact_key: Option<SecretSource>,
    /// What becomes of a recognised request whose record cannot be written. `deny` refuses it.
    pub on_failure: OnFailure,
    /// Where records are sent to: `[[audit.sink]]`. Default: nowhere.
    #[serde(rename = "sink")]
    pub sinks: Vec<sink::Settings>,
}

/// What becomes of a recognised request whose record cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is refused: no decision without its record.
    #[default]
    Deny,
}

impl Settings {
    /// The store's file.
    pub fn path(&self, base: &Path) -> Result<PathBuf, Misconfigured> {
        let hint = "write it like `sqlite:audit.db`";
        // A store that is not a file may be an address with a password in it, so the value is never repeated.
        if self.store.starts_with("postgres:") || self.store.starts_with("postgresql:") {
            return Err(Misconfigured::new("audit.store", "PostgreSQL is not in this version").hint(hint));
        }
        let Some(file) = self.store.strip_prefix("sqlite:") else {
            return Err(Misconfigured::new("audit.store", "the store must begin with `sqlite:`").hint(hint));
        };
        let file = file.strip_prefix("//").unwrap_or(file);
        if file.is_empty() || file == ":memory:" || file.ends_with('/') {
            return Err(Misconfigured::new("audit.store", "`sqlite:` must be followed by a file").hint(hint));
        }
        Ok(base.join(file))
    }
}

impl Settings {
    /// What is wrong with the settings, without making a file.
    pub fn check(&self, base: &Path) -> Result<(), Misconfigured> {
        self.rules(base)?;
        sink::outlets(self, base)?;
        self.heads.as_ref().map_or(Ok(()), heads::Settings::check)
    }

    /// What is done with fields before they are stored.
    pub(super) fn rules(&self, base: &Path) -> Result<Rules, Misconfigured> {
        let fixed = FIXED.map(|path| Needed { path, droppable: false });
        let shaped = SHAPED.map(|path| Needed { path, droppable: true });
        let needed: Vec<_> = fixed.into_iter().chain(shaped).collect();
        Rules::build("audit.redact", &self.redact, self.redact_key.as_ref(), &needed, base)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: "sqlite:audit.db".into(),
            retention: Retention::For(Period::secs(30 * 86_400)),
            max_size: None,
            heads: None,
            redact: fields::Table::new(),
            redact_key: None,
            on_failure: OnFailure::Deny,
            sinks: Vec::new(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = if self.store.starts_with("sqlite:") {
            &self.store
        } else {
            "***"
        };
        f.debug_struct("Settings")
            .field("store", &store)
            .field("retention", &self.retention)
            .field("max_size", &self.max_size)
            .field("heads", &self.heads)
            .field("redact", &self.redact)
            .field("redact_key", &self.redact_key)
            .field("on_failure", &self.on_failure)
            .field("sinks", &self.sinks)
            .finish()
    }
}

/// What a record is found, counted and checked by.
const FIXED: [&str; 19] = [
    "seq",
    "id",
    "time",
    "kind",
    "trigger",
    "decision",
    "decided_by",
    "failure.kind",
    "failure.detail",
    "interceptor",
    "request_id",
    "status",
    "attempts",
    "calls",
    "duration_ms",
    "claims",
    "warnings",
    "revision",
    "removed",
];

/// What has a shape that no mask or hash has.
const SHAPED: [&str; 2] = ["ip_address", "annotations"];

#[cfg(test)]
mod tests {
    use super::*;

    fn path(store: &str) -> Result<PathBuf, Misconfigured> {
        let settings = Settings {
            store: store.into(),
            ..Settings::default()
        };
        settings.path(Path::new("/etc/tollgate"))
    }

    #[test]
    fn a_relative_store_lies_beside_the_configuration() {
        assert_eq!(path("sqlite:audit.db").unwrap(), Path::new("/etc/tollgate/audit.db"));
        assert_eq!(path("sqlite:/var/a.db").unwrap(), Path::new("/var/a.db"));
        assert_eq!(path("sqlite:///var/a.db").unwrap(), Path::new("/var/a.db"));
    }

    #[test]
    fn a_store_that_is_no_file_is_refused_without_showing_its_password() {
        for store in [
            "postgres://u:pw@db/x",
            "postgresql://u:pw@db/x",
            "mysql://u:pw@db",
            "u:pw",
            "sqlite:",
            "sqlite::memory:",
        ] {
            let finding = path(store).unwrap_err();
            assert_eq!(finding.key, "audit.store");
            assert!(!finding.to_string().contains("pw"), "{finding}");
        }
        let settings = Settings {
            store: "postgres://u:pw@db".into(),
            ..Settings::default()
        };
        assert!(!format!("{settings:?}").contains("pw"));
        assert!(
            path("postgres://db")
                .unwrap_err()
                .message
                .contains("not in this version")
        );
    }

    #[test]
    fn the_defaults_need_no_section() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings, Settings::default());
        let settings: Settings =
            toml::from_str("store = 'sqlite:x.db'\nretention = '7d'\nmax_size = '1GiB'\non_failure = 'deny'").unwrap();
        assert_eq!(settings.retention.to_string(), "7d");
        assert!(toml::from_str::<Settings>("on_failure = 'allow'").is_err());
        assert!(toml::from_str::<Settings>("stores = ''").is_err());
    }
}
