//! The series that a process has once.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use prometheus::{Histogram, IntGauge, IntGaugeVec, Registry, proto::MetricFamily};

use super::{
    catalogue as the,
    family::Tally,
    own::Own,
    sinks::{OfSink, of_sinks},
};

/// What a process has once.
pub(super) struct Process {
    pub(super) registry: Registry,
    /// What is counted for each upstream, by its name.
    pub(super) upstreams: Mutex<BTreeMap<Option<String>, Arc<Own>>>,
    pub(super) config: IntGaugeVec,
    pub(super) reloads: Tally,
    pub(super) reload_refused: IntGauge,
    pub(super) config_applied: IntGauge,
    pub(super) in_flight: IntGauge,
    pub(super) misdirected: Tally,
    pub(super) shed: Tally,
    pub(super) audit_queue: IntGauge,
    pub(super) audit_records: Tally,
    pub(super) audit_failures: Tally,
    pub(super) audit_commit_duration: Histogram,
    pub(super) audit_failing: IntGauge,
    pub(super) spooled_records: IntGauge,
    pub(super) spooled_bytes: IntGauge,
    pub(super) spooled_since: IntGauge,
    /// The number of the audit's last record.
    pub(super) audit_head: AtomicU64,
    pub(super) sinks: HashMap<String, OfSink>,
    pub(super) connections: IntGauge,
    pub(super) accepted: Tally,
    pub(super) handshakes: Tally,
    pub(super) exports: Tally,
    pub(super) spans_dropped: Tally,
}

impl Process {
    /// Every series, those of the sinks with these names among them.
    pub(super) fn new(sinks: &[&str]) -> Self {
        let registry = Registry::new();
        let all = &registry;
        let version = [env!("CARGO_PKG_VERSION")];
        the::BUILD.gauges(all).with_label_values(&version).set(1);
        Self {
            upstreams: Mutex::default(),
            config: the::CONFIG.gauges(all),
            reloads: the::RELOADS.tally(all),
            reload_refused: the::RELOAD_REFUSED.gauge(all),
            config_applied: the::CONFIG_APPLIED.gauge(all),
            in_flight: the::IN_FLIGHT.gauge(all),
            misdirected: the::MISDIRECTED.tally(all),
            shed: the::SHED.tally(all),
            audit_queue: the::AUDIT_QUEUE.gauge(all),
            audit_records: the::AUDIT_RECORDS.tally(all),
            audit_failures: the::AUDIT_FAILURES.tally(all),
            audit_commit_duration: the::AUDIT_COMMIT_DURATION
                .histograms(all)
                .with_label_values::<&str>(&[]),
            audit_failing: the::AUDIT_FAILING.gauge(all),
            spooled_records: the::SPOOLED_RECORDS.gauge(all),
            spooled_bytes: the::SPOOLED_BYTES.gauge(all),
            spooled_since: the::SPOOLED_SINCE.gauge(all),
            audit_head: AtomicU64::new(0),
            sinks: of_sinks(all, sinks),
            connections: the::CONNECTIONS.gauge(all),
            accepted: the::ACCEPTED.tally(all),
            handshakes: the::HANDSHAKES.tally(all),
            exports: the::EXPORTS.tally(all),
            spans_dropped: the::SPANS_DROPPED.tally(all),
            registry,
        }
    }

    pub(super) fn upstreams(&self) -> MutexGuard<'_, BTreeMap<Option<String>, Arc<Own>>> {
        self.upstreams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The families of the process and of all upstreams, each once.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        let own: Vec<_> = self
            .upstreams()
            .values()
            .flat_map(|own| own.registry.gather())
            .collect();
        for mut family in self.registry.gather().into_iter().chain(own) {
            match families.entry(family.name().to_owned()) {
                Entry::Occupied(mut known) => known.get_mut().mut_metric().append(family.mut_metric()),
                Entry::Vacant(place) => drop(place.insert(family)),
            }
        }
        families.into_values().collect()
    }
}
