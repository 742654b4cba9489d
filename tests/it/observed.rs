//! What whoever watches the proxy from elsewhere sees: metrics, traces, lines of the log.

mod documented;
mod lines;
mod metrics;
mod sinks;
mod traces;
