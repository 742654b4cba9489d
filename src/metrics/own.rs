//! The series of one upstream.

use std::collections::HashMap;

use prometheus::{Histogram, IntGauge, IntGaugeVec, Registry};

use super::{
    catalogue as the,
    family::Tally,
    named::{ByAddress, ByInterceptor, ByOperation},
    words::TRIGGERS,
};

/// What is counted for one upstream. The families are those of [`the::OF_UPSTREAMS`].
pub(super) struct Own {
    pub(super) registry: Registry,
    pub(super) of_interceptors: ByInterceptor,
    pub(super) of_operations: ByOperation,
    pub(super) of_addresses: ByAddress,
    pub(super) paused: Vec<IntGauge>,
    pub(super) denials: Tally,
    pub(super) refusals: Tally,
    pub(super) reissued: Tally,
    pub(super) wrapped: Tally,
    pub(super) unverified: Tally,
    pub(super) native: Tally,
    pub(super) sightings: Tally,
    pub(super) oversized: Tally,
    pub(super) upstream_duration: Histogram,
    pub(super) upstream_errors: Tally,
    pub(super) repeated: Tally,
    pub(super) fetches: Tally,
    pub(super) key_since: IntGaugeVec,
    pub(super) key_next: IntGaugeVec,
}

impl Own {
    /// Every series has the upstream's name as a label, where it has one.
    pub(super) fn new(upstream: Option<&str>) -> Self {
        let label = upstream.map(|name| HashMap::from([(the::UPSTREAM.name.to_owned(), name.to_owned())]));
        let registry = Registry::new_custom(None, label).expect("a registry without a prefix is valid");
        let all = &registry;
        let paused = the::PAUSED.gauges(all);
        Self {
            of_interceptors: ByInterceptor::new(all),
            of_operations: ByOperation::new(all),
            of_addresses: ByAddress::new(all),
            paused: TRIGGERS.iter().map(|word| paused.with_label_values(&[word])).collect(),
            denials: the::DENIALS.tally(all),
            refusals: the::REFUSALS.tally(all),
            reissued: the::REISSUED.tally(all),
            wrapped: the::WRAPPED_TOKENS.tally(all),
            unverified: the::UNVERIFIED.tally(all),
            native: the::NATIVE.tally(all),
            sightings: the::SIGHTINGS.tally(all),
            oversized: the::TOKEN_SIZE.tally(all),
            upstream_duration: the::UPSTREAM_DURATION.histograms(all).with_label_values::<&str>(&[]),
            upstream_errors: the::UPSTREAM_ERRORS.tally(all),
            repeated: the::UPSTREAM_REPEATED.tally(all),
            fetches: the::FETCHES.tally(all),
            key_since: the::KEY_SINCE.gauges(all),
            key_next: the::KEY_NEXT.gauges(all),
            registry,
        }
    }
}
