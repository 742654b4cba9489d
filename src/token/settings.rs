//! The section `[tokens]` of the configuration.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    clock::Period,
    misconfigured::Misconfigured,
    secret::{Secret, SecretSource},
};

use super::{
    algorithm::AlgorithmChoice,
    keyring::{KeyRing, PUBLISHED_AFTER_SIGNING, capsule_files},
    reissue::Reissuer,
    sealer::{Sealer, TimedSecret},
};

/// How tokens are signed anew.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory of Tollgate's private signing keys, relative to the folder of `proxy.toml`; all replicas share it.
    /// `tollgate keys init` makes it. Default: `certs/signing`.
    pub keys: PathBuf,
    /// `match` signs each token with the algorithm that the upstream used, so that clients registered for one keep
    /// getting it. Otherwise the algorithm for all of them: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`,
    /// `ES256`, `ES384` or `EdDSA`. Default: `match`.
    pub algorithm: AlgorithmChoice,
    /// How long a new key is in the key set before it signs, and a new capsule secret opens before it seals: longer than files
    /// need to reach every replica, and relying parties keep a key set. Up to `30d`. Default: `15m`.
    pub publish_before: Period,
    /// How long a key stays in the key set after its successor signs: longer than any token lives. Default: `7d`.
    pub publish_after: Period,
    /// The secret that seals what is needed to restore the upstream's tokens, 32 bytes or more; all replicas share it. Files
    /// beside it with a time at the end of their names, as in `capsule-20261123T101500Z.key`, are its successors: they open at
    /// once and seal from then on. Default: `{ file = "certs/capsule.key" }`, which `tollgate keys init` makes.
    pub capsule_secret: SecretSource,
    /// The secret before the last change: tokens sealed with it still open. Drop it when they have expired.
    pub previous_capsule_secret: Option<SecretSource>,
    /// Refuses the upstream's own tokens where a client presents them, so that one that did not pass the interceptors
    /// is worthless. `false` is for the time of migration: they are taken, and a line of the log counts them once a minute
    /// while any come. Default: `true`.
    pub require_reissued: bool,
    /// What becomes of an access token that is no JWT. `wrap`: it gets a form of ours that is as opaque, and introspection and
    /// userinfo show the added claims. `jwt`: it becomes a JWT (RFC 9068) for resource servers that verify by themselves; where
    /// what such a token must say is not known it is wrapped, with a warning. Default: `wrap`.
    pub opaque: Opaque,
    /// With `opaque = "jwt"`: the resource servers that tokens may be for, `aud`. The first is meant where a request names none;
    /// one that a request names in `resource` or `audience` must be listed, or fit an entry that ends in `*`.
    pub audience: Vec<String>,
    /// Warns when a re-signed token is longer than this, in bytes: some clients and servers take 8 KiB of headers in
    /// all. Default: `4096`.
    pub warn_size: usize,
}

/// What becomes of opaque access tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Opaque {
    /// They stay opaque, sealed with what is remembered of them.
    #[default]
    Wrap,
    /// They become JWTs.
    Jwt,
}

/// The key set that clients find through discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwksSettings {
    /// Whether the key set has the provider's token keys as well. `omit`: it has Tollgate's alone, so a token that got around
    /// Tollgate is worthless. `include`: it has both, Tollgate's first, for relying parties that verify what the provider signs
    /// without Tollgate; whoever reaches the provider another way gets tokens that verify. Default: `omit`.
    pub upstream_keys: Publish,
}

/// Whether keys are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Publish {
    /// They are not.
    #[default]
    Omit,
    /// They are.
    Include,
}

impl Settings {
    /// Loads keys and secrets; relative paths are looked up below `base`, the folder of `proxy.toml`. Errors name the
    /// setting as `tokens.…`.
    pub fn reissuer(&self, base: &Path) -> Result<Reissuer, Misconfigured> {
        if self.opaque == Opaque::Jwt && self.audience.is_empty() {
            return Err(
                Misconfigured::new("tokens.audience", "a JWT must say which resource server it is for").hint(
                    "name yours, like `audience = [\"https://api.example.com\"]`; opaque tokens stay opaque without",
                ),
            );
        }
        if self.publish_before > Period::secs(30 * 86_400) {
            let message = format!(
                "a time of {} before a new key signs is out of range",
                self.publish_before
            );
            let hint = "write a time up to `30d`; `15m` suits relying parties that keep a key set for ten minutes";
            return Err(Misconfigured::new("tokens.publish_before", message).hint(hint));
        }
        let ring = self.ring(base)?;
        let previous = self
            .previous_capsule_secret
            .as_ref()
            .map(|source| read(source, base, "tokens.previous_capsule_secret"))
            .transpose()?;
        Reissuer::new(
            ring,
            Sealer::rotating(self.capsule_secrets(base)?, previous.as_ref())?,
            self.algorithm,
        )
    }

    /// For how many seconds caches may keep the key set: a third of the time in which a new key is only published, so that
    /// who keeps it that long has the key well before it signs; five minutes at the most.
    pub fn key_set_max_age(&self) -> u64 {
        (self.publish_before.0.as_secs() / 3).min(300)
    }

    /// The signing keys.
    pub fn ring(&self, base: &Path) -> Result<KeyRing, Misconfigured> {
        let ring = KeyRing::load(&base.join(&self.keys))?;
        Ok(ring.published_after(self.publish_after.0))
    }

    /// The capsule secret and its successors, oldest first; at least one.
    pub fn capsule_secrets(&self, base: &Path) -> Result<Vec<TimedSecret>, Misconfigured> {
        let timed = |seals_from, source: &SecretSource| {
            let secret = read(source, base, "tokens.capsule_secret")?;
            Ok(TimedSecret { seals_from, secret })
        };
        let files = self.capsule_files(base);
        if files.is_empty() {
            return Ok(vec![timed(None, &self.capsule_secret)?]);
        }
        let secrets = files
            .into_iter()
            .map(|(from, file)| timed(from, &SecretSource::File { file }));
        secrets.collect()
    }

    /// The files of the capsule secret that are there, oldest first, each with the time from which it seals. None where the
    /// secret is in the environment.
    pub fn capsule_files(&self, base: &Path) -> Vec<(Option<Timestamp>, PathBuf)> {
        match &self.capsule_secret {
            SecretSource::File { file } => capsule_files(&base.join(file)),
            SecretSource::Env { .. } => Vec::new(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: "certs/signing".into(),
            algorithm: AlgorithmChoice::Match,
            publish_before: Period::secs(900),
            publish_after: Period(PUBLISHED_AFTER_SIGNING),
            capsule_secret: SecretSource::File {
                file: "certs/capsule.key".into(),
            },
            previous_capsule_secret: None,
            require_reissued: true,
            opaque: Opaque::Wrap,
            audience: Vec::new(),
            warn_size: 4096,
        }
    }
}

fn read(source: &SecretSource, base: &Path, setting: &str) -> Result<Secret, Misconfigured> {
    source.read(base).map_err(|error| {
        Misconfigured::new(setting, error.to_string()).hint("`tollgate keys init` makes the keys and this secret")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::init_capsule_secret;

    #[test]
    fn an_empty_section_has_the_defaults() {
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
        assert!(toml::from_str::<Settings>("algorithm = \"HS256\"").is_err());
        assert!(toml::from_str::<Settings>("alg = \"RS256\"").is_err());
    }

    #[test]
    fn missing_keys_name_the_setting_and_the_command_that_makes_them() {
        let base = tempfile::tempdir().unwrap();
        let settings = Settings::default();
        let missing = settings.reissuer(base.path()).unwrap_err();
        assert_eq!(missing.key, "tokens.keys");
        assert!(missing.hint.unwrap().contains("tollgate keys init"));

        KeyRing::init(&base.path().join("certs/signing"), Timestamp::UNIX_EPOCH).unwrap();
        let missing = settings.reissuer(base.path()).unwrap_err();
        assert_eq!(missing.key, "tokens.capsule_secret");
        assert!(missing.hint.unwrap().contains("tollgate keys init"));

        init_capsule_secret(&base.path().join("certs/capsule.key")).unwrap();
        settings.reissuer(base.path()).unwrap();

        let jwt: Settings = toml::from_str("opaque = \"jwt\"").unwrap();
        assert_eq!(jwt.reissuer(base.path()).unwrap_err().key, "tokens.audience");

        let es384: Settings = toml::from_str("algorithm = \"ES384\"").unwrap();
        let no_key = es384.reissuer(base.path()).unwrap_err();
        assert_eq!(no_key.key, "tokens.algorithm");
    }

    #[test]
    fn a_short_capsule_secret_is_refused_and_not_shown() {
        let base = tempfile::tempdir().unwrap();
        KeyRing::init(&base.path().join("certs/signing"), Timestamp::UNIX_EPOCH).unwrap();
        std::fs::write(base.path().join("certs/capsule.key"), "hunter2").unwrap();
        let short = Settings::default().reissuer(base.path()).unwrap_err();
        assert_eq!(short.key, "tokens.capsule_secret");
        assert!(!short.to_string().contains("hunter2"));
    }
}
