//! What is counted of the audit's sinks.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use prometheus::{IntCounter, IntGauge, Registry};

use super::{catalogue as the, family::Tally};

/// The number that a sink has come to is kept, since how far it lags is not for it to say: it may hang.
pub(super) struct OfSink {
    at: AtomicU64,
    lag: IntGauge,
    records: Tally,
    failures: IntCounter,
}

impl OfSink {
    pub(super) fn begin(&self, at: u64) {
        self.at.store(at, Ordering::Relaxed);
    }

    pub(super) fn come_to(&self, at: u64, outcome: &str) {
        let before = self.at.swap(at, Ordering::Relaxed);
        self.records.add_many(&[outcome], at.saturating_sub(before));
    }

    pub(super) fn fail(&self) {
        self.failures.inc();
    }

    /// Works out how far it is behind the audit's last record.
    pub(super) fn show(&self, head: u64) {
        let lag = head.saturating_sub(self.at.load(Ordering::Relaxed));
        self.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }
}

pub(super) fn of_sinks(registry: &Registry, known: &[&str]) -> HashMap<String, OfSink> {
    let lag = the::SINK_LAG.gauges(registry);
    let records = the::SINK_RECORDS.counters(registry);
    let failures = the::SINK_FAILURES.counters(registry);
    let series = |name: &&str| {
        let of = OfSink {
            at: AtomicU64::new(0),
            lag: lag.with_label_values(&[name]),
            records: the::SINK_RECORDS.tally_of(&records, &[name]),
            failures: failures.with_label_values(&[name]),
        };
        ((*name).to_owned(), of)
    };
    known.iter().map(series).collect()
}
