//! `[reload]` in `proxy.toml`.

use serde::Deserialize;

use crate::{clock::Period, misconfigured::Misconfigured};

/// `[reload]`: when the configuration is loaded again. SIGHUP and the dashboard's button always do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reload {
    /// Whether that happens by itself when `proxy.toml` or a file that it names has other contents. Default: `true`.
    pub watch: bool,
    /// How often the files are looked at, from `50ms` to `1h`. Default: `2s`.
    pub every: Period,
}

impl Reload {
    pub(super) fn findings(&self) -> Option<Misconfigured> {
        let allowed = Period::millis(50)..=Period::secs(3_600);
        (!allowed.contains(&self.every)).then(|| {
            Misconfigured::new("reload.every", format!("looking every {} is out of range", self.every))
                .hint("write a time from `50ms` to `1h`, or `watch = false`")
        })
    }
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            watch: true,
            every: Period::secs(2),
        }
    }
}
