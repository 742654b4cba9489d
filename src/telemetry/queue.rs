//! How many spans wait. OpenTelemetry's queue drops what does not fit without saying so to anybody but its own log, at the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use crate::metrics::Metrics;

/// The places of the queue. Clones count the same places.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    taken: Arc<AtomicUsize>,
    places: usize,
    metrics: Metrics,
}

impl Waiting {
    pub(super) fn up_to(places: usize, metrics: Metrics) -> Self {
        Self {
            taken: Arc::default(),
            places,
            metrics,
        }
    }

    /// Takes a place for a span; `false`, and a lost span is counted, when there is none.
    pub(super) fn admit(&self) -> bool {
        let admitted = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            (taken < self.places).then_some(taken + 1)
        });
        if admitted.is_err() {
            self.metrics.spans_dropped("queue_full", 1);
        }
        admitted.is_ok()
    }

    fn leave(&self, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }
}

/// An exporter that gives back the places of the spans that it gets, and counts those of a batch that comes to nothing.
#[derive(Debug)]
pub(super) struct Counting<E> {
    exporter: E,
    waiting: Waiting,
}

impl<E> Counting<E> {
    pub(super) fn new(exporter: E, waiting: Waiting) -> Self {
        Self { exporter, waiting }
    }
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.waiting.leave(count);
        let exported = self.exporter.export(batch).await;
        if exported.is_err() {
            self.waiting.metrics.spans_dropped("not_sent", count);
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_place_is_lost_and_counted() {
        let metrics = Metrics::default();
        let waiting = Waiting::up_to(2, metrics.clone());
        assert_eq!([waiting.admit(), waiting.admit(), waiting.admit()], [true, true, false]);
        waiting.leave(2);
        assert!(waiting.admit());
        let lost = "tollgate_trace_spans_dropped_total{reason=\"queue_full\"} 1";
        assert!(metrics.render().contains(lost), "{}", metrics.render());
    }
}
