//! `[audit]` in `proxy.toml`.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use super::{
    heads,
    postgres::{self, Address},
    retention::{MaxSize, Retention},
    sink, spool,
    store::Location,
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
    /// `sqlite:FILE`: the file is made when there is none, readable by its owner only; a relative one is looked up from the folder of
    /// `proxy.toml`. One running Tollgate writes to a file; any number may read it. Or `postgres://USER@HOST/DATABASE`, for any number of
    /// replicas, with `?sslmode=disable|verify-full` (default: verified TLS, none on this machine) and `sslrootcert=FILE`.
    pub store: String,
    /// The password for a `postgres://` store that has none in its address.
    pub store_password: Option<SecretSource>,
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
    /// What becomes of a recognised request whose record cannot be written to the store. `deny` refuses it with 503; `spool` keeps the record
    /// in a local file, on disk before anything follows from it, and brings it to the store when that is back.
    pub on_failure: OnFailure,
    /// The file for `on_failure = "spool"`.
    pub spool: spool::Settings,
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
    /// Its record is kept in the spool, and it goes on. It is refused when the spool is full or cannot be written.
    Spool,
}

impl Settings {
    /// Where the store is.
    pub(super) fn location(&self, base: &Path) -> Result<Location, Misconfigured> {
        let hint = "write it like `sqlite:audit.db` or `postgres://tollgate@db.example.com/tollgate`";
        if self.store.starts_with("postgres:") || self.store.starts_with("postgresql:") {
            let address = Address::read(&self.store, self.store_password.as_ref(), base)?;
            return Ok(Location::Postgres(Arc::new(address)));
        }
        // A store that is not a file may be an address with a password in it, so the value is never repeated.
        let Some(file) = self.store.strip_prefix("sqlite:") else {
            let what = "the store must begin with `sqlite:` or `postgres:`";
            return Err(Misconfigured::new("audit.store", what).hint(hint));
        };
        let file = file.strip_prefix("//").unwrap_or(file);
        if file.is_empty() || file == ":memory:" || file.ends_with('/') {
            return Err(Misconfigured::new("audit.store", "`sqlite:` must be followed by a file").hint(hint));
        }
        Ok(Location::Sqlite(base.join(file)))
    }

    /// The file of the store; `None` for one in a database.
    pub fn file(&self, base: &Path) -> Result<Option<PathBuf>, Misconfigured> {
        match self.location(base)? {
            Location::Sqlite(path) => Ok(Some(path)),
            Location::Postgres(_) => Ok(None),
        }
    }

    /// Asks a store in a database whether it could be written to, and changes nothing there. Says which database it is.
    ///
    /// # Errors
    /// What is wrong with it, as a finding for `audit.store`.
    pub fn probe(&self, base: &Path) -> Result<String, Misconfigured> {
        let location = self.location(base)?;
        if let Location::Postgres(address) = &location {
            postgres::Store::probe(address).map_err(|failure| location.misconfigured(&failure.at(address)))?;
        }
        Ok(location.to_string())
    }

    /// What is wrong with the settings, without making a file.
    pub fn check(&self, base: &Path) -> Result<(), Misconfigured> {
        self.location(base)?;
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
            store_password: None,
            retention: Retention::For(Period::secs(30 * 86_400)),
            max_size: None,
            heads: None,
            redact: fields::Table::new(),
            redact_key: None,
            on_failure: OnFailure::Deny,
            spool: spool::Settings::default(),
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
            .field("spool", &self.spool)
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
        settings.file(Path::new("/etc/tollgate")).map(Option::unwrap)
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
            "postgres://u:pw@db:port/x",
            "postgresql://u:pw@db/x?sslmode=maybe",
            "postgres://u:pw@db/x?pw=1",
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
