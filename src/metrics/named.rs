//! The series that are named by the configuration.

use std::collections::HashMap;

use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::{
    OWN, UNREADABLE, UNRECOGNISED, catalogue as the,
    family::Tally,
    words::{decider, decision},
};
use crate::{
    event::Trigger,
    verdict::{Consultation, Effect},
};

pub(super) struct OfInterceptor {
    pub(super) consults: Tally,
    pub(super) duration: Histogram,
    pub(super) attempts: IntCounter,
    pub(super) fail_open: IntCounter,
    pub(super) breaker: IntGauge,
}

pub(super) struct OfAddress {
    pub(super) healthy: IntGauge,
    pub(super) failures: IntCounter,
}

pub(super) struct OfOperation {
    pub(super) answers: Tally,
    pub(super) duration: Histogram,
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

pub(super) fn of_interceptors(registry: &Registry, known: &[(&str, Trigger)]) -> HashMap<String, OfInterceptor> {
    let consults = the::CONSULTS.counters(registry);
    let duration = the::CONSULT_DURATION.histograms(registry);
    let attempts = the::CONSULT_ATTEMPTS.counters(registry);
    let fail_open = the::FAIL_OPEN.counters(registry);
    let breaker = the::BREAKER.gauges(registry);
    let series = |(name, trigger): &(&str, Trigger)| {
        let labels = [*name, trigger.as_str()];
        let of = OfInterceptor {
            consults: the::CONSULTS.tally_of(&consults, &labels),
            duration: duration.with_label_values(&labels),
            attempts: attempts.with_label_values(&labels),
            fail_open: fail_open.with_label_values(&labels),
            breaker: breaker.with_label_values(&labels),
        };
        ((*name).to_owned(), of)
    };
    known.iter().map(series).collect()
}

pub(super) fn of_addresses(registry: &Registry, known: &[&str]) -> HashMap<String, OfAddress> {
    let healthy = the::ADDRESS_HEALTHY.gauges(registry);
    let failures = the::ADDRESS_FAILURES.counters(registry);
    let series = |name: &&str| {
        let of = OfAddress {
            healthy: healthy.with_label_values(&[name]),
            failures: failures.with_label_values(&[name]),
        };
        ((*name).to_owned(), of)
    };
    known.iter().map(series).collect()
}

pub(super) fn of_operations(registry: &Registry, known: &[&str]) -> HashMap<String, OfOperation> {
    let answers = the::REQUESTS.counters(registry);
    let duration = the::REQUEST_DURATION.histograms(registry);
    let series = |name: &&str| {
        let of = OfOperation {
            answers: the::REQUESTS.tally_of(&answers, &[name]),
            duration: duration.with_label_values(&[name]),
        };
        ((*name).to_owned(), of)
    };
    let own = [UNRECOGNISED, UNREADABLE, OWN];
    known.iter().chain(&own).map(series).collect()
}
