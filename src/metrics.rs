//! What is counted and measured, and how it is shown to whoever scrapes it.
//!
//! Every series is made at the start, from fixed words and from names in the configuration: a request can add to one
//! but never make one. Counting takes no lock and no memory.

mod catalogue;
mod family;
mod held;
mod named;
mod own;
mod process;
mod sinks;
mod words;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use prometheus::TextEncoder;

pub use self::family::{Family, Kind, Label, Values};
pub use self::held::Held;
pub use self::words::{decider, decision};
use self::{
    catalogue as the,
    named::Named,
    own::Own,
    process::Process,
    words::{FAMILIES, TRIGGERS},
};
use crate::{
    event::Trigger,
    verdict::{Decision, Verdict},
};

/// The `Content-Type` of [`Metrics::render`]: Prometheus' text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The operation of requests that no route is for.
pub const UNRECOGNISED: &str = "unrecognised";
/// The operation of requests whose head was refused.
pub const UNREADABLE: &str = "unreadable";
/// The operation of requests for a path of Tollgate's own.
pub const OWN: &str = "own";

/// The names from the configuration that labels may have as values.
#[derive(Clone, Debug, Default)]
pub struct Known<'a> {
    /// The name of the upstream that all this is of, where it has one.
    pub upstream: Option<&'a str>,
    /// Every interceptor with its trigger.
    pub interceptors: Vec<(&'a str, Trigger)>,
    /// The names of all routes.
    pub operations: Vec<&'a str>,
    /// Every address of the upstream.
    pub addresses: Vec<&'a str>,
    /// The names of all audit sinks.
    pub sinks: Vec<&'a str>,
}

/// All series. Cheap to clone; clones count into the same. What is counted for an upstream is in series with its name, where it has
/// one.
#[derive(Clone)]
pub struct Metrics {
    process: Arc<Process>,
    own: Arc<Own>,
    named: Arc<Named>,
}

impl Metrics {
    /// Makes every series that there will be, those of other upstreams left out.
    pub fn new(known: &Known<'_>) -> Self {
        Self::within(Arc::new(Process::new(&known.sinks)), known)
    }

    /// For another upstream of the same process, or for the next configuration: everything goes on counting, and what is named anew
    /// gets its series.
    pub fn of(&self, known: &Known<'_>) -> Self {
        Self::within(Arc::clone(&self.process), known)
    }

    fn within(process: Arc<Process>, known: &Known<'_>) -> Self {
        let name = known.upstream.map(str::to_owned);
        let own = {
            let mut upstreams = process.upstreams();
            let own = upstreams
                .entry(name)
                .or_insert_with(|| Arc::new(Own::new(known.upstream)));
            Arc::clone(own)
        };
        let named = Named::new(known, &own.of_interceptors, &own.of_operations, &own.of_addresses);
        Self {
            process,
            own,
            named: Arc::new(named),
        }
    }

    /// The upstreams of the configuration that runs are these; what was counted for others is not shown any more.
    pub fn are_all<'m>(all: impl IntoIterator<Item = &'m Self>) {
        let mut kept: Vec<&Arc<Own>> = Vec::new();
        let mut processes = Vec::new();
        for one in all {
            one.named.forget_others(&one.own.of_interceptors, &one.own.of_addresses);
            kept.push(&one.own);
            processes.push(&one.process);
        }
        for process in processes {
            process
                .upstreams()
                .retain(|_, own| kept.iter().any(|kept| Arc::ptr_eq(kept, own)));
        }
    }

    /// The configuration with this revision runs since then, in seconds since 1970.
    pub fn applied(&self, environment: &str, revision: &str, since: i64) {
        self.process.config.reset();
        self.process.config.with_label_values(&[environment, revision]).set(1);
        self.process.config_applied.set(since);
    }

    /// The configuration was loaded again: it was `applied`, found `unchanged`, or `refused`.
    pub fn reloaded(&self, outcome: &str) {
        self.process.reloads.add(&[outcome]);
        self.process.reload_refused.set((outcome == "refused").into());
    }

    /// Every family that there is, in the order of the documentation.
    pub fn families() -> impl Iterator<Item = &'static Family> {
        the::ALL.iter().copied()
    }

    /// All series in Prometheus' text format, [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let head = self.process.audit_head.load(Ordering::Relaxed);
        self.process.sinks.values().for_each(|sink| sink.show(head));
        TextEncoder::new()
            .encode_to_string(&self.process.gather())
            .unwrap_or_else(|e| {
                tracing::error!(error = %e, "the metrics cannot be written: {e}");
                String::new()
            })
    }

    /// A request whose answer has not begun.
    pub fn in_flight(&self) -> Held {
        Held::of(&self.process.in_flight)
    }

    /// A request for a host that no upstream has.
    pub fn misdirected(&self) {
        self.process.misdirected.add(&[]);
    }

    /// A request that waits for interceptors.
    pub fn paused(&self, trigger: Trigger) -> Option<Held> {
        let place = TRIGGERS.iter().position(|word| *word == trigger.as_str())?;
        self.own.paused.get(place).map(Held::of)
    }

    /// An answer with this status, so long after the request.
    pub fn answered(&self, operation: &str, status: u16, after: Duration) {
        let Some(series) = self.named.operations.get(operation) else {
            return;
        };
        let class = match status {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        };
        series.answers.add(&[class]);
        series.duration.observe(after.as_secs_f64());
    }

    /// A verdict, with every consultation in it.
    pub fn judged(&self, trigger: Trigger, verdict: &Verdict) {
        for consultation in &verdict.consultations {
            if let Some(series) = self.named.interceptors.get(&consultation.interceptor) {
                series.count(consultation);
            }
        }
        if let (Decision::Deny { .. }, Some(last)) = (&verdict.decision, verdict.consultations.last()) {
            self.own.denials.add(&[trigger.as_str(), decider(last.decided_by)]);
        }
    }

    /// The state of an interceptor's breaker: 0 closed, 1 trying one call, 2 open.
    pub fn breaker(&self, interceptor: &str, state: i64) {
        if let Some(series) = self.named.interceptors.get(interceptor) {
            series.breaker.set(state);
        }
    }

    /// An answer of our own making; `fault` is one of the catalogue's words.
    pub fn refused(&self, fault: &str) {
        self.own.refusals.add(&[fault]);
    }

    /// A request was one too many for a limit: `requests`, `paused`, `bodies`.
    pub fn shed(&self, limit: &str) {
        self.process.shed.add(&[limit]);
    }

    /// An `access_token`, `id_token`, `statement` or `logout_token` was signed again.
    pub fn reissued(&self, token: &str) {
        self.own.reissued.add(&[token]);
    }

    /// An `access_token` or `refresh_token` was sealed into a token of ours.
    pub fn wrapped(&self, token: &str) {
        self.own.wrapped.add(&[token]);
    }

    /// A token of the upstream did not verify.
    pub fn unverified(&self) {
        self.own.unverified.add(&[]);
    }

    /// A client presented a token of the upstream's own: it was `refused` or `taken`.
    pub fn native(&self, outcome: &str) {
        self.own.native.add(&[outcome]);
    }

    /// A token of the upstream's own was found on its way out: it was `blocked` or `passed`.
    pub fn sighted(&self, outcome: &str) {
        self.own.sightings.add(&[outcome]);
    }

    /// An `access_token` or `id_token` is longer than is wise.
    pub fn oversized(&self, token: &str) {
        self.own.oversized.add(&[token]);
    }

    /// The upstream began to answer, or did not: `unreachable`, `timeout`, `broken`, `client`.
    pub fn upstream(&self, after: Duration, error: Option<&str>) {
        match error {
            Some(error) => self.own.upstream_errors.add(&[error]),
            None => self.own.upstream_duration.observe(after.as_secs_f64()),
        }
    }

    /// Whether requests go to an address of the upstream.
    pub fn address_healthy(&self, address: &str, healthy: bool) {
        self.own.of_addresses.healthy(address).set(healthy.into());
    }

    /// A connection to an address of the upstream could not be made.
    pub fn address_failed(&self, address: &str) {
        self.own.of_addresses.failures(address).inc();
    }

    /// A request without a body was sent again, since its connection was being closed.
    pub fn repeated(&self) {
        self.own.repeated.add(&[]);
    }

    /// A `discovery` document or the `keys` were fetched.
    pub fn fetched(&self, document: &str, well: bool) {
        self.own.fetches.add(&[document, outcome(well)]);
    }

    /// A verdict that waits for the audit's disk.
    pub fn queued(&self) -> Held {
        Held::of(&self.process.audit_queue)
    }

    /// A write of the audit: so many records are on disk now, or none when it failed.
    pub fn written(&self, records: Option<usize>, took: Duration) {
        self.process.audit_commit_duration.observe(took.as_secs_f64());
        self.process.audit_failing.set(records.is_none().into());
        match records {
            Some(records) => self.process.audit_records.add_many(&[], records as u64),
            None => self.process.audit_failures.add(&[]),
        }
    }

    /// The audit's store was opened again after a failure.
    pub fn audit_is_back(&self) {
        self.process.audit_failing.set(0);
    }

    /// What waits in the audit's spool: so many records and bytes, the first since then, in seconds since 1970; all 0 when nothing waits.
    pub fn spooled(&self, records: u64, bytes: u64, since: i64) {
        let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.process.spooled_records.set(number(records));
        self.process.spooled_bytes.set(number(bytes));
        self.process.spooled_since.set(since);
    }

    /// The number of the audit's last record.
    pub fn audit_head(&self, seq: u64) {
        self.process.audit_head.store(seq, Ordering::Relaxed);
    }

    /// A sink of the audit begins behind the record with this number.
    pub fn sink_begins(&self, sink: &str, at: u64) {
        if let Some(series) = self.process.sinks.get(sink) {
            series.begin(at);
        }
    }

    /// A sink is done with the records up to this number; they were `delivered` or `missed`.
    pub fn sink_came_to(&self, sink: &str, at: u64, outcome: &str) {
        if let Some(series) = self.process.sinks.get(sink) {
            series.come_to(at, outcome);
        }
    }

    /// A delivery of a sink failed.
    pub fn sink_failed(&self, sink: &str) {
        if let Some(series) = self.process.sinks.get(sink) {
            series.fail();
        }
    }

    /// A connection that was accepted.
    pub fn connected(&self) -> Held {
        self.process.accepted.add(&["accepted"]);
        Held::of(&self.process.connections)
    }

    /// A connection that was one too many for its address.
    pub fn turned_away(&self) {
        self.process.accepted.add(&["refused"]);
    }

    /// A TLS handshake that failed.
    pub fn handshake_failed(&self) {
        self.process.handshakes.add(&[]);
    }

    /// A batch of spans went to the collector, or did not.
    pub fn exported(&self, well: bool) {
        self.process.exports.add(&[outcome(well)]);
    }

    /// So many spans are lost: `queue_full`, `not_sent`.
    pub fn spans_dropped(&self, reason: &str, count: usize) {
        self.process.spans_dropped.add_many(&[reason], count as u64);
    }

    /// When the key of a kind began to sign, and when the next one will, in seconds since 1970.
    pub fn signing_key(&self, family: &str, since: i64, next: Option<i64>) {
        debug_assert!(FAMILIES.contains(&family), "{family} is not in the catalogue");
        self.own.key_since.with_label_values(&[family]).set(since);
        self.own
            .key_next
            .with_label_values(&[family])
            .set(next.unwrap_or_default());
    }
}

impl Default for Metrics {
    /// For no configuration: nothing that is counted by a configured name has a series.
    fn default() -> Self {
        Self::new(&Known::default())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn outcome(well: bool) -> &'static str {
    if well { "ok" } else { "failed" }
}
