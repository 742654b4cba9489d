//! `[telemetry]` in `proxy.toml`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use http::Uri;
use serde::Deserialize;

use super::collector;
use crate::{misconfigured::Misconfigured, secret::SecretSource};

/// `[telemetry]`: where traces go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// An OpenTelemetry collector: `{ endpoint = "http://127.0.0.1:4318" }`. Off by default.
    pub otlp: Option<Otlp>,
}

/// `telemetry.otlp`: a collector that takes OTLP over HTTP as protobuf.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// Its address, such as `http://127.0.0.1:4318`; spans are posted to `/v1/traces` there, or to the path that is written
    /// here.
    pub endpoint: String,
    /// Headers that it wants, `{ authorization = { env = "OTLP_TOKEN" } }`: names, and where the values are kept.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretSource>,
    /// The share of traces that is recorded, from `0.0` to `1.0`. A trusted proxy that continues a trace decides for it.
    /// Default: `1.0`.
    #[serde(default = "all")]
    pub sample: f64,
    /// A PEM file of certificate authorities to trust besides the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

impl Settings {
    /// Where spans would go, once everything that is needed for it was read; `None` where they go nowhere.
    ///
    /// # Errors
    /// What is wrong below `telemetry.otlp`.
    pub fn check(&self, base: &Path) -> Result<Option<Uri>, Misconfigured> {
        let Some(otlp) = &self.otlp else { return Ok(None) };
        otlp.sample()?;
        collector::headers(otlp, base)?;
        collector::tls(otlp, base)?;
        otlp.url().map(Some)
    }
}

impl Otlp {
    /// Where spans are posted to.
    pub(super) fn url(&self) -> Result<Uri, Misconfigured> {
        let wrong = |why: &str| {
            Misconfigured::new(
                "telemetry.otlp.endpoint",
                format!("this is not the address of a collector: {why}"),
            )
            .hint("write it like `http://127.0.0.1:4318` or `https://otlp.example.com`")
        };
        let uri: Uri = self.endpoint.parse().map_err(|_| wrong("it is no URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it begins with neither `http://` nor `https://`"));
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) || uri.query().is_some() {
            return Err(wrong("it has a user, a password or a query"));
        }
        if !matches!(uri.path(), "" | "/") {
            return Ok(uri);
        }
        let traces = format!("{}/v1/traces", self.endpoint.trim_end_matches('/'));
        traces.parse().map_err(|_| wrong("it is no URL"))
    }

    pub(super) fn sample(&self) -> Result<f64, Misconfigured> {
        if (0.0..=1.0).contains(&self.sample) {
            return Ok(self.sample);
        }
        Err(
            Misconfigured::new("telemetry.otlp.sample", "a share is from 0.0 to 1.0")
                .hint("`0.1` records one trace in ten"),
        )
    }
}

fn all() -> f64 {
    1.0
}
