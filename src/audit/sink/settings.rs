//! `[[audit.sink]]` in `proxy.toml`.

use std::path::PathBuf;

use http::{Uri, uri::Scheme};
use serde::Deserialize;

use crate::{misconfigured::Misconfigured, secret::SecretSource};

/// Where records are sent to, each as a CloudEvent 1.0 in JSON, in order, once they are on disk. None keeps a decision waiting.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its name: small letters, digits and `-`. What was delivered is remembered under it in `STORE-sink-NAME`, beside the store.
    pub name: String,
    /// `"stdout"`, `{ file = "audit-events.ndjson" }` or `{ url = "https://siem.example.com/events" }`.
    pub to: Destination,
    /// Where a sink that was never seen before begins. Default: `now`.
    #[serde(default)]
    pub from: From,
    /// The token for `Authorization: Bearer …` at a `url`: `{ file = "…" }` or `{ env = "…" }`. Default: none.
    #[serde(default)]
    pub bearer: Option<SecretSource>,
    /// A PEM file of certificate authorities to trust besides the system's, for a `url`. Default: none.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// What takes the records.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// Standard output, one event a line. The log goes to standard error.
    Stdout,
    /// A file that lines are appended to, made for its owner only when there is none; a relative one is looked up from the folder of
    /// `proxy.toml`. When another file took its place, or it was moved away, it is opened anew.
    File(PathBuf),
    /// An endpoint that each event is posted to as `application/cloudevents+json`; 2xx says that it has it. `https`, or `http` on this machine.
    Url(String),
}

/// Where a new sink begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// With the next record.
    #[default]
    Now,
    /// With the oldest record of the store.
    Beginning,
}

impl Settings {
    /// What is wrong with the values themselves. Keys are relative to the sink's table.
    pub(super) fn check(&self) -> Result<(), Misconfigured> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(fits) {
            return Err(
                Misconfigured::new("name", "a sink's name has up to 40 small letters, digits and `-`")
                    .hint("for example `name = \"siem\"`"),
            );
        }
        match &self.to {
            Destination::Url(url) => address(url).map(drop),
            Destination::Stdout | Destination::File(_) => {
                let given = [("bearer", self.bearer.is_some()), ("ca", self.ca.is_some())];
                match given.into_iter().find(|(_, given)| *given) {
                    Some((key, _)) => Err(Misconfigured::new(key, "only a `url` has a use for it")
                        .hint("take it away, or write `to = { url = \"https://…\" }`")),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The URL that events are posted to.
pub(super) fn address(url: &str) -> Result<Uri, Misconfigured> {
    let wrong = |why: &str| {
        Misconfigured::new("to.url", format!("events cannot be posted there: the URL {why}"))
            .hint("write it like `https://siem.example.com/events`; a token belongs into `bearer`")
    };
    let uri: Uri = url.parse().map_err(|_| wrong("is none"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(wrong("names no host"));
    }
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(wrong("has a user name or password in it"));
    }
    let here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && here) => Ok(uri),
        Some(scheme) if *scheme == Scheme::HTTP => Err(wrong(
            "is `http://` and leaves this machine, and records are about people",
        )),
        _ => Err(wrong("begins with neither `https://` nor `http://`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(text: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn each_destination_is_written_in_its_own_way_and_nothing_else_is_taken() {
        let to = |text: &str| sink(&format!("name = 'a'\nto = {text}")).map(|sink| sink.to);
        assert_eq!(to("'stdout'"), Ok(Destination::Stdout));
        assert_eq!(to("{ file = 'e.ndjson' }"), Ok(Destination::File("e.ndjson".into())));
        assert_eq!(to("{ url = 'https://a' }"), Ok(Destination::Url("https://a".into())));
        for wrong in ["'stderr'", "{ kafka = 'x' }", "{ file = 'x', url = 'https://a' }", "{}"] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
        assert!(sink("name = 'a'\nto = 'stdout'\nfrom = 'beginning'\nbatch = 3").is_err());
    }

    #[test]
    fn an_address_off_this_machine_is_https_and_no_password_stands_in_one() {
        for fine in [
            "https://siem.example.com/e?x=1",
            "http://127.0.0.1:9/e",
            "http://[::1]:9",
            "http://localhost/",
        ] {
            assert!(address(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "http://siem.example.com",
            "ftp://a",
            "siem",
            "https://u:canary@a",
            "",
            "http://127.0.0.1.a.example",
        ] {
            let finding = address(wrong).expect_err(wrong);
            assert!(!finding.to_string().contains("canary"), "{finding}");
        }
    }

    #[test]
    fn what_only_an_endpoint_has_is_refused_elsewhere() {
        let found = |text: &str| sink(text).unwrap().check().unwrap_err().key;
        assert_eq!(found("name = 'a'\nto = 'stdout'\nbearer = { env = 'X' }"), "bearer");
        assert_eq!(found("name = 'a'\nto = { file = 'x' }\nca = 'ca.pem'"), "ca");
        assert_eq!(found("name = '../a'\nto = 'stdout'"), "name");
    }
}
