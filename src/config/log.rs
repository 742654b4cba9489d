//! `[log]` in `proxy.toml`.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::misconfigured::Misconfigured;

/// `[log]`: how and how much is logged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `text` for people, `json` for machines: one object a line. Default: `text`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, for single modules as `info,tollgate::interceptor=debug`. The
    /// variable `TOLLGATE_LOG` goes first. Default: `info`.
    pub level: String,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Log {
    /// What is let through: `level`, or `instead` where that is given and can be read.
    pub fn filter(&self, instead: Option<&str>) -> EnvFilter {
        instead
            .and_then(|text| EnvFilter::try_new(text).ok())
            .or_else(|| EnvFilter::try_new(&self.level).ok())
            .unwrap_or_else(|| EnvFilter::new("info"))
    }

    pub(super) fn findings(&self) -> Option<Misconfigured> {
        let readable = !self.level.trim().is_empty() && EnvFilter::try_new(&self.level).is_ok();
        (!readable).then(|| {
            Misconfigured::new("log.level", format!("`{}` is no level", self.level))
                .hint("write `error`, `warn`, `info`, `debug` or `trace`")
        })
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}
