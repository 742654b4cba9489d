//! Which files a configuration names, by the keys that name them.

use std::path::PathBuf;

use super::Config;

/// What a key names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// The key, as in `interceptor.0.secret.file`.
    pub(super) key: String,
    pub(super) path: PathBuf,
}

impl Config {
    /// Every file that is read for this configuration, itself left out: those that are there, and those that should be.
    pub(super) fn named_files(&self) -> Vec<Named> {
        let settings = self.source.settings.iter();
        let texts = settings
            .filter(|(key, _)| names_a_file(key))
            .filter_map(|(key, value)| {
                let value: toml::Value = format!("v = {value}").parse::<toml::Table>().ok()?.remove("v")?;
                Some((key, value.as_str()?.to_owned()))
            });
        let mut found: Vec<_> = texts
            .filter(|(key, text)| key.as_str() != "upstream.preset" || text.ends_with(".toml"))
            .map(|(key, text)| Named {
                key: key.clone(),
                path: self.base.join(text),
            })
            .collect();
        // These have defaults, and are more than one file.
        let keys = self.base.join(&self.tokens.keys);
        let pems = std::fs::read_dir(&keys).into_iter().flatten().filter_map(|entry| {
            let path = entry.ok()?.path();
            path.extension().is_some_and(|ending| ending == "pem").then_some(path)
        });
        let own = pems.map(|path| ("tokens.keys", path));
        let secrets = self.tokens.capsule_files(&self.base).into_iter();
        let secrets = secrets.map(|(_, path)| ("tokens.capsule_secret", path));
        found.extend(own.chain(secrets).map(|(key, path)| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            Named {
                key: format!("{key}/{}", name.unwrap_or_default()),
                path,
            }
        }));
        found.sort();
        found
    }
}

/// Whether decisions depend on the file of a key: not on who may connect, nor on what tokens are signed with, which change by
/// themselves and at other times on every replica.
pub(super) fn decides(key: &str) -> bool {
    !["listen.", "admin.", "tokens.", "audit.", "telemetry."]
        .iter()
        .any(|section| key.starts_with(section))
}

/// Whether the value of a key is the path of a file that is read. What is written to is none.
fn names_a_file(key: &str) -> bool {
    let steps: Vec<&str> = key.split('.').collect();
    if matches!(
        steps.as_slice(),
        ["audit", "heads", ..] | ["audit", "sink", _, "to", ..] | ["tokens", "capsule_secret", ..]
    ) {
        return false;
    }
    matches!(
        steps.as_slice(),
        [.., "file" | "ca" | "certificate"]
            | ["listen" | "admin", "tls", "key"]
            | ["upstream", "preset"]
            | ["geo", "database"]
            | ["denial", "page"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_told_from_what_is_written() {
        for key in [
            "listen.tls.certificate",
            "listen.tls.key",
            "listen.tls.client_certificates.ca",
            "upstream.ca",
            "interceptor.0.secret.file",
            "interceptor.3.authentication.mtls.key.file",
            "audit.sink.0.bearer.file",
            "audit.redact_key.file",
            "denial.page",
        ] {
            assert!(names_a_file(key), "{key}");
        }
        for key in [
            "audit.heads.file",
            "audit.sink.0.to.file",
            "test.cases",
            "route.0.path",
            "audit.store",
        ] {
            assert!(!names_a_file(key), "{key}");
        }
        assert!(decides("upstream.preset") && decides("interceptor.0.secret.file"));
        assert!(!decides("tokens.keys/rsa.pem") && !decides("listen.tls.key"));
    }
}
