//! The series that a configuration names.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::{
    Known, OWN, UNREADABLE, UNRECOGNISED, catalogue as the,
    family::Tally,
    words::{decider, decision},
};
use crate::verdict::{Consultation, Effect};

/// The series that a configuration names. Those of the next one with the same labels are the same.
pub(super) struct Named {
    pub(super) interceptors: HashMap<String, OfInterceptor>,
    pub(super) operations: HashMap<String, OfOperation>,
    labels: BTreeSet<[String; 2]>,
    addresses: BTreeSet<String>,
}

pub(super) struct ByInterceptor {
    consults: IntCounterVec,
    duration: HistogramVec,
    attempts: IntCounterVec,
    fail_open: IntCounterVec,
    breaker: IntGaugeVec,
    /// Every name and trigger that has a breaker.
    known: Mutex<BTreeSet<[String; 2]>>,
}

pub(super) struct ByOperation {
    answers: IntCounterVec,
    duration: HistogramVec,
}

pub(super) struct ByAddress {
    healthy: IntGaugeVec,
    failures: IntCounterVec,
    /// Every address that has a state.
    known: Mutex<BTreeSet<String>>,
}

pub(super) struct OfInterceptor {
    consults: Tally,
    duration: Histogram,
    attempts: IntCounter,
    fail_open: IntCounter,
    pub(super) breaker: IntGauge,
}

pub(super) struct OfOperation {
    pub(super) answers: Tally,
    pub(super) duration: Histogram,
}

impl Named {
    pub(super) fn new(
        known: &Known<'_>,
        by_interceptor: &ByInterceptor,
        by_operation: &ByOperation,
        by_address: &ByAddress,
    ) -> Self {
        let interceptors = known.interceptors.iter();
        let own = [UNRECOGNISED, UNREADABLE, OWN];
        let operations = known.operations.iter().chain(&own);
        known.addresses.iter().for_each(|address| by_address.begin(address));
        Self {
            addresses: known.addresses.iter().map(|address| (*address).to_owned()).collect(),
            labels: interceptors
                .clone()
                .map(|(name, trigger)| [(*name).to_owned(), trigger.to_string()])
                .collect(),
            interceptors: interceptors
                .map(|(name, trigger)| ((*name).to_owned(), by_interceptor.of([name, trigger.as_str()])))
                .collect(),
            operations: operations
                .map(|name| ((*name).to_owned(), by_operation.of(name)))
                .collect(),
        }
    }

    /// An interceptor that is gone has no breaker, an address no state. What they counted stays.
    pub(super) fn forget_others(&self, by_interceptor: &ByInterceptor, by_address: &ByAddress) {
        by_address.known().retain(|address| {
            let is_here = self.addresses.contains(address);
            if !is_here {
                // As below.
                let _ = by_address.healthy.remove_label_values(&[address]);
            }
            is_here
        });
        by_interceptor.known().retain(|labels| {
            let is_here = self.labels.contains(labels);
            if !is_here {
                // It was made when it became known.
                let _ = by_interceptor.breaker.remove_label_values(labels);
            }
            is_here
        });
    }
}

impl OfInterceptor {
    pub(super) fn count(&self, consultation: &Consultation) {
        let effect = consultation.effect;
        self.consults.add(&[decision(effect), decider(consultation.decided_by)]);
        self.attempts.inc_by(consultation.calls().into());
        if !consultation.attempts.is_empty() {
            self.duration.observe(consultation.duration.as_secs_f64());
        }
        if consultation.failure.is_some() && effect == Effect::Allow {
            self.fail_open.inc();
        }
    }
}

impl ByInterceptor {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            consults: the::CONSULTS.counters(registry),
            duration: the::CONSULT_DURATION.histograms(registry),
            attempts: the::CONSULT_ATTEMPTS.counters(registry),
            fail_open: the::FAIL_OPEN.counters(registry),
            breaker: the::BREAKER.gauges(registry),
            known: Mutex::default(),
        }
    }

    fn of(&self, labels: [&str; 2]) -> OfInterceptor {
        self.known().insert(labels.map(str::to_owned));
        OfInterceptor {
            consults: the::CONSULTS.tally_of(&self.consults, &labels),
            duration: self.duration.with_label_values(&labels),
            attempts: self.attempts.with_label_values(&labels),
            fail_open: self.fail_open.with_label_values(&labels),
            breaker: self.breaker.with_label_values(&labels),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<[String; 2]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ByAddress {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            healthy: the::ADDRESS_HEALTHY.gauges(registry),
            failures: the::ADDRESS_FAILURES.counters(registry),
            known: Mutex::default(),
        }
    }

    pub(super) fn healthy(&self, address: &str) -> IntGauge {
        self.healthy.with_label_values(&[address])
    }

    pub(super) fn failures(&self, address: &str) -> IntCounter {
        self.failures.with_label_values(&[address])
    }

    fn begin(&self, address: &str) {
        if self.known().insert(address.to_owned()) {
            self.healthy(address).set(1);
            self.failures(address);
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ByOperation {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            answers: the::REQUESTS.counters(registry),
            duration: the::REQUEST_DURATION.histograms(registry),
        }
    }

    fn of(&self, name: &str) -> OfOperation {
        OfOperation {
            answers: the::REQUESTS.tally_of(&self.answers, &[name]),
            duration: self.duration.with_label_values(&[name]),
        }
    }
}
