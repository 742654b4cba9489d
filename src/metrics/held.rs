//! What is counted as long as it is there.

use std::fmt;

use prometheus::IntGauge;

/// Something that is there until this is dropped.
#[must_use]
pub struct Held(IntGauge);

impl Held {
    pub(super) fn of(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}
