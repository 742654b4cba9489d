//! Traces for an OpenTelemetry collector: spans are queued, sent in batches by OTLP over HTTP, and dropped rather than
//! waited for.

mod collector;
mod queue;
mod settings;
mod span;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use opentelemetry::{InstrumentationScope, KeyValue, trace::TraceId};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor},
};

use self::{
    collector::Collector,
    queue::{Counting, Waiting},
};
pub use self::{
    settings::{Otlp, Settings},
    span::{Parent, Span},
};
use crate::{metrics::Metrics, misconfigured::Misconfigured};

/// Where spans go. Without a collector nothing is recorded. Cheap to clone.
#[derive(Clone, Default)]
pub struct Telemetry(Option<Arc<Sink>>);

struct Sink {
    waiting: Waiting,
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
    sample: f64,
}

impl Telemetry {
    /// Reads headers and certificates, and starts the thread that sends; relative paths are looked up below `base`, the
    /// folder of `proxy.toml`. To be called within a Tokio runtime. Talks to nobody yet.
    ///
    /// # Errors
    /// What is wrong below `telemetry.otlp`.
    pub fn start(settings: &Settings, environment: &str, base: &Path, metrics: Metrics) -> Result<Self, Misconfigured> {
        let Some(otlp) = &settings.otlp else {
            return Ok(Self::default());
        };
        let sample = otlp.sample()?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(otlp, base, metrics.clone())?)
            .with_endpoint(otlp.url()?.to_string())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|e| Misconfigured::new("telemetry.otlp", format!("spans cannot be sent: {e}")))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let waiting = Waiting::up_to(QUEUE, metrics);
        let exporter = Counting::new(exporter, waiting.clone());
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let resource = Resource::builder_empty()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("deployment.environment.name", environment.to_owned()),
            ])
            .build();
        processor.set_resource(&resource);
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Ok(Self(Some(Arc::new(Sink {
            waiting,
            processor: Arc::new(processor),
            scope,
            sample,
        }))))
    }

    /// Whether spans are recorded at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a trace belongs to the share that is recorded. All replicas say the same of one trace.
    pub fn samples(&self, trace_id: &str) -> bool {
        let Some(sink) = &self.0 else { return false };
        // The end is random in trace ids of every origin (W3C Trace Context Level 2 §3.2.2.3), and in UUIDs of one millisecond.
        let end = trace_id.get(24..).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        end.is_some_and(|end| f64::from(end) < sink.sample * RANGE)
    }

    /// Puts a span that has ended into the queue; drops it when that is full.
    pub fn record(&self, span: Span) {
        let Some(sink) = &self.0 else { return };
        if sink.waiting.admit() {
            sink.processor.on_end(span.into_data(sink.scope.clone()));
        }
    }

    /// Sends what is queued, or gives up after a few seconds.
    pub async fn close(&self) {
        let Some(sink) = self.0.clone() else { return };
        let closed = tokio::task::spawn_blocking(move || sink.processor.shutdown_with_timeout(LAST_WORDS)).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::warn!("the last spans did not reach the collector");
        }
    }
}

/// Sends what is queued when nobody can record any more: after a reload with another collector.
impl Drop for Sink {
    fn drop(&mut self) {
        let processor = Arc::clone(&self.processor);
        // It waits for the collector. One that was closed has nothing to say.
        std::thread::spawn(move || processor.shutdown_with_timeout(LAST_WORDS));
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() {
            "Telemetry(on)"
        } else {
            "Telemetry(off)"
        })
    }
}

/// The trace id of 32 hexadecimal digits; the invalid one for anything else.
fn trace_id(hex: &str) -> TraceId {
    TraceId::from_hex(hex).unwrap_or(TraceId::INVALID)
}

/// Spans that wait at most; a span takes about 1 KiB.
const QUEUE: usize = 2048;
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);
const LAST_WORDS: Duration = Duration::from_secs(3);
/// As many values as 32 bits have.
const RANGE: f64 = 4_294_967_296.0;

#[cfg(test)]
mod tests;
