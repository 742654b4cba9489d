//! What several processes count together.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;

/// The last minute of each interceptor, as all replicas saw it.
pub trait SharedMinute: fmt::Debug + Send + Sync {
    /// Adds what this process has counted since it last did, and gives the sums of all. `None` where they cannot be had now, soon: whoever asks
    /// keeps a request waiting.
    fn add<'a>(&'a self, interceptor: &'a str, counted: &'a [Counted]) -> BoxFuture<'a, Option<Counts>>;
}

/// What was counted at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How long ago that was.
    pub age: Duration,
    /// What it was.
    pub counts: Counts,
}

/// Consultations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many there were.
    pub all: u32,
    /// How many of them failed.
    pub failed: u32,
}

impl Counts {
    /// Whether the share of failures is above `share`, judged from `minimum` on.
    pub(super) fn exceed(self, share: f64, minimum: u32) -> bool {
        self.all >= minimum && f64::from(self.failed) > share * f64::from(self.all)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            all: self.all.saturating_add(other.all),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}
