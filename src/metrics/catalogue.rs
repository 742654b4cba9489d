//! Every family of metrics: its name, its labels and what it says. `docs/observability.md` has the same table.

use super::{
    family::{
        Family,
        Kind::{Counter, Gauge, Histogram},
        Label,
    },
    words::{
        DECIDED_BY, DECISIONS, DOCUMENTS, DROPPED, ERRORS, FAMILIES, FAULTS, HANDED_OUT, LIMITS, OUTCOMES,
        RELOAD_OUTCOMES, TOKENS, TRIGGERS, WRAPPED,
    },
};

const INTERCEPTOR: Label = Label::configured("interceptor", "`name` of an `[[interceptor]]`");
const OPERATION: Label = Label::configured(
    "operation",
    "the name of a route, or `unrecognised`, `unreadable`, `own`",
);
const ADDRESS: Label = Label::configured("address", "host and port of an address of the upstream");
const TRIGGER: Label = Label::words("trigger", TRIGGERS);
const SINK: Label = Label::configured("sink", "`name` of an `[[audit.sink]]`");
const FAMILY: Label = Label::words("family", FAMILIES);
const DECIDER: Label = Label::words("decided_by", DECIDED_BY);

/// Consultations, one for each interceptor that was asked.
pub(super) const CONSULTS: Family = Family {
    name: "tollgate_consults_total",
    kind: Counter,
    labels: &[INTERCEPTOR, TRIGGER, Label::words("decision", DECISIONS), DECIDER],
    help: "Consultations: what an interceptor's part came to, and who decided that",
};
pub(super) const CONSULT_DURATION: Family = Family {
    name: "tollgate_consult_duration_seconds",
    kind: Histogram,
    labels: &[INTERCEPTOR, TRIGGER],
    help: "Time from an interceptor's first attempt to the end of its last",
};
pub(super) const CONSULT_ATTEMPTS: Family = Family {
    name: "tollgate_consult_attempts_total",
    kind: Counter,
    labels: &[INTERCEPTOR, TRIGGER],
    help: "Calls of an interceptor's endpoint, repetitions included",
};
pub(super) const FAIL_OPEN: Family = Family {
    name: "tollgate_fail_open_total",
    kind: Counter,
    labels: &[INTERCEPTOR, TRIGGER],
    help: "Consultations that failed and were allowed by a policy",
};
pub(super) const BREAKER: Family = Family {
    name: "tollgate_interceptor_breaker_state",
    kind: Gauge,
    labels: &[INTERCEPTOR, TRIGGER],
    help: "Circuit breaker: 0 closed, 1 trying one call, 2 open",
};
pub(super) const PAUSED: Family = Family {
    name: "tollgate_requests_paused",
    kind: Gauge,
    labels: &[TRIGGER],
    help: "Requests that wait for interceptors now",
};
pub(super) const DENIALS: Family = Family {
    name: "tollgate_denials_total",
    kind: Counter,
    labels: &[TRIGGER, DECIDER],
    help: "Verdicts that ended in a denial",
};
pub(super) const REQUESTS: Family = Family {
    name: "tollgate_requests_total",
    kind: Counter,
    labels: &[
        OPERATION,
        Label::words("status_class", &["1xx", "2xx", "3xx", "4xx", "5xx"]),
    ],
    help: "Requests that were answered",
};
pub(super) const REQUEST_DURATION: Family = Family {
    name: "tollgate_request_duration_seconds",
    kind: Histogram,
    labels: &[OPERATION],
    help: "Time from a request's head to the head of its answer",
};
pub(super) const IN_FLIGHT: Family = Family {
    name: "tollgate_requests_in_flight",
    kind: Gauge,
    labels: &[],
    help: "Requests whose answer has not begun",
};
pub(super) const REFUSALS: Family = Family {
    name: "tollgate_refusals_total",
    kind: Counter,
    labels: &[Label::words("fault", FAULTS)],
    help: "Requests that ended in an answer of Tollgate's own, by who is at fault",
};
pub(super) const SHED: Family = Family {
    name: "tollgate_requests_shed_total",
    kind: Counter,
    labels: &[Label::words("limit", LIMITS)],
    help: "Requests answered 503 since too many were under way: over `max_requests`, over `max_paused`, or no room for their bodies",
};
pub(super) const REISSUED: Family = Family {
    name: "tollgate_tokens_reissued_total",
    kind: Counter,
    labels: &[Label::words("token", TOKENS)],
    help: "Tokens and statements that Tollgate signed in the place of the upstream's; `statement`: userinfo, introspection, a response around tokens (JARM); `logout_token`: relayed",
};
pub(super) const WRAPPED_TOKENS: Family = Family {
    name: "tollgate_tokens_wrapped_total",
    kind: Counter,
    labels: &[Label::words("token", WRAPPED)],
    help: "Tokens that were sealed into one of the form `tg1.…`",
};
pub(super) const UNVERIFIED: Family = Family {
    name: "tollgate_tokens_unverified_total",
    kind: Counter,
    labels: &[],
    help: "Answers of the upstream whose tokens did not verify and were not passed on",
};
pub(super) const NATIVE: Family = Family {
    name: "tollgate_native_tokens_total",
    kind: Counter,
    labels: &[Label::words("outcome", &["refused", "taken"])],
    help: "Tokens of the upstream's own that clients presented",
};
pub(super) const SIGHTINGS: Family = Family {
    name: "tollgate_egress_sightings_total",
    kind: Counter,
    labels: &[Label::words("outcome", &["blocked", "passed"])],
    help: "Tokens of the upstream's own found in an answer on its way out",
};
pub(super) const TOKEN_SIZE: Family = Family {
    name: "tollgate_token_size_warnings_total",
    kind: Counter,
    labels: &[Label::words("token", HANDED_OUT)],
    help: "Tokens handed out that are longer than `tokens.warn_size`",
};
pub(super) const UPSTREAM_DURATION: Family = Family {
    name: "tollgate_upstream_request_duration_seconds",
    kind: Histogram,
    labels: &[],
    help: "Time from a request to the upstream to the head of its answer",
};
pub(super) const UPSTREAM_ERRORS: Family = Family {
    name: "tollgate_upstream_errors_total",
    kind: Counter,
    labels: &[Label::words("error", ERRORS)],
    help: "Requests to the upstream that got no usable answer; `client`: the client's body stalled or broke off",
};
pub(super) const ADDRESS_HEALTHY: Family = Family {
    name: "tollgate_upstream_address_healthy",
    kind: Gauge,
    labels: &[ADDRESS],
    help: "1 where requests go to the address, 0 while it cannot be reached or fails its health check",
};
pub(super) const ADDRESS_FAILURES: Family = Family {
    name: "tollgate_upstream_address_failures_total",
    kind: Counter,
    labels: &[ADDRESS],
    help: "Connections that could not be made; the request went to another address, if there was one",
};
pub(super) const UPSTREAM_REPEATED: Family = Family {
    name: "tollgate_upstream_repeated_requests_total",
    kind: Counter,
    labels: &[],
    help: "GET and HEAD requests that were sent again, since the upstream closed a connection that was used before",
};
pub(super) const FETCHES: Family = Family {
    name: "tollgate_upstream_document_fetches_total",
    kind: Counter,
    labels: &[Label::words("document", DOCUMENTS), Label::words("outcome", OUTCOMES)],
    help: "Fetches of the upstream's discovery documents and key sets",
};
pub(super) const AUDIT_QUEUE: Family = Family {
    name: "tollgate_audit_queue_depth",
    kind: Gauge,
    labels: &[],
    help: "Verdicts that wait for the audit's disk",
};
pub(super) const AUDIT_RECORDS: Family = Family {
    name: "tollgate_audit_records_total",
    kind: Counter,
    labels: &[],
    help: "Records on disk since the start",
};
pub(super) const AUDIT_FAILURES: Family = Family {
    name: "tollgate_audit_failures_total",
    kind: Counter,
    labels: &[],
    help: "Writes of the audit that failed; what waited for them was refused",
};
pub(super) const AUDIT_COMMIT_DURATION: Family = Family {
    name: "tollgate_audit_commit_duration_seconds",
    kind: Histogram,
    labels: &[],
    help: "Time of one write to the audit's disk; its count is the number of writes, failed ones too",
};
pub(super) const AUDIT_FAILING: Family = Family {
    name: "tollgate_audit_failing",
    kind: Gauge,
    labels: &[],
    help: "1 from a write of the audit that failed to the next one that does not",
};
pub(super) const SPOOLED_RECORDS: Family = Family {
    name: "tollgate_audit_spooled_records",
    kind: Gauge,
    labels: &[],
    help: "Records in the local spool, which wait for the audit's store to be back",
};
pub(super) const SPOOLED_BYTES: Family = Family {
    name: "tollgate_audit_spooled_bytes",
    kind: Gauge,
    labels: &[],
    help: "Bytes of the local spool",
};
pub(super) const SPOOLED_SINCE: Family = Family {
    name: "tollgate_audit_spooled_since_seconds",
    kind: Gauge,
    labels: &[],
    help: "When the first record in the spool was written, in seconds since 1970; 0 when none waits",
};
pub(super) const SINK_LAG: Family = Family {
    name: "tollgate_audit_sink_lag_records",
    kind: Gauge,
    labels: &[SINK],
    help: "Records that a sink has not delivered yet",
};
pub(super) const SINK_RECORDS: Family = Family {
    name: "tollgate_audit_sink_records_total",
    kind: Counter,
    labels: &[SINK, Label::words("outcome", &["delivered", "missed"])],
    help: "Records that a sink is done with; `missed`: retention took them away before they could be delivered",
};
pub(super) const SINK_FAILURES: Family = Family {
    name: "tollgate_audit_sink_failures_total",
    kind: Counter,
    labels: &[SINK],
    help: "Deliveries of a sink that failed and are tried again",
};
pub(super) const CONNECTIONS: Family = Family {
    name: "tollgate_connections_open",
    kind: Gauge,
    labels: &[],
    help: "Connections of clients",
};
pub(super) const ACCEPTED: Family = Family {
    name: "tollgate_connections_total",
    kind: Counter,
    labels: &[Label::words("outcome", &["accepted", "refused"])],
    help: "Connections of clients since the start; `refused`: over `max_connections_per_ip`",
};
pub(super) const HANDSHAKES: Family = Family {
    name: "tollgate_tls_handshake_failures_total",
    kind: Counter,
    labels: &[],
    help: "TLS handshakes of clients that failed",
};
pub(super) const KEY_SINCE: Family = Family {
    name: "tollgate_signing_key_since_timestamp_seconds",
    kind: Gauge,
    labels: &[FAMILY],
    help: "From when the key of this kind that signs now has signed; where its file names no time, when that was written",
};
pub(super) const KEY_NEXT: Family = Family {
    name: "tollgate_signing_key_next_timestamp_seconds",
    kind: Gauge,
    labels: &[FAMILY],
    help: "From when the next key of this kind will sign; 0 where there is none",
};
pub(super) const EXPORTS: Family = Family {
    name: "tollgate_trace_exports_total",
    kind: Counter,
    labels: &[Label::words("outcome", OUTCOMES)],
    help: "Batches of spans that were sent to the collector",
};
pub(super) const SPANS_DROPPED: Family = Family {
    name: "tollgate_trace_spans_dropped_total",
    kind: Counter,
    labels: &[Label::words("reason", DROPPED)],
    help: "Spans that are lost; `queue_full`: there were more than the collector took; `not_sent`: their batch did not reach it",
};
pub(super) const BUILD: Family = Family {
    name: "tollgate_build_info",
    kind: Gauge,
    labels: &[Label::configured("version", "the version of the binary")],
    help: "Always 1",
};
pub(super) const CONFIG: Family = Family {
    name: "tollgate_config_info",
    kind: Gauge,
    labels: &[
        Label::configured("environment", "`environment` in `proxy.toml`"),
        Label::configured("revision", "fingerprint of the configuration that runs"),
    ],
    help: "Always 1",
};
pub(super) const CONFIG_APPLIED: Family = Family {
    name: "tollgate_config_applied_timestamp_seconds",
    kind: Gauge,
    labels: &[],
    help: "Since when the configuration that runs has run",
};
pub(super) const RELOADS: Family = Family {
    name: "tollgate_reloads_total",
    kind: Counter,
    labels: &[Label::words("outcome", RELOAD_OUTCOMES)],
    help: "Times that the configuration was loaded again; `refused`: it was invalid or needs a restart, and the one before runs on",
};
pub(super) const RELOAD_REFUSED: Family = Family {
    name: "tollgate_reload_refused",
    kind: Gauge,
    labels: &[],
    help: "1 from a configuration that was refused to the next one that is not",
};

/// All of them, in the order of the documentation.
pub(super) const ALL: &[&Family] = &[
    &CONSULTS,
    &CONSULT_DURATION,
    &CONSULT_ATTEMPTS,
    &FAIL_OPEN,
    &BREAKER,
    &PAUSED,
    &DENIALS,
    &REQUESTS,
    &REQUEST_DURATION,
    &IN_FLIGHT,
    &REFUSALS,
    &SHED,
    &REISSUED,
    &WRAPPED_TOKENS,
    &UNVERIFIED,
    &NATIVE,
    &SIGHTINGS,
    &TOKEN_SIZE,
    &UPSTREAM_DURATION,
    &UPSTREAM_ERRORS,
    &ADDRESS_HEALTHY,
    &ADDRESS_FAILURES,
    &UPSTREAM_REPEATED,
    &FETCHES,
    &AUDIT_QUEUE,
    &AUDIT_RECORDS,
    &AUDIT_FAILURES,
    &AUDIT_COMMIT_DURATION,
    &AUDIT_FAILING,
    &SPOOLED_RECORDS,
    &SPOOLED_BYTES,
    &SPOOLED_SINCE,
    &SINK_LAG,
    &SINK_RECORDS,
    &SINK_FAILURES,
    &CONNECTIONS,
    &ACCEPTED,
    &HANDSHAKES,
    &KEY_SINCE,
    &KEY_NEXT,
    &EXPORTS,
    &SPANS_DROPPED,
    &BUILD,
    &CONFIG,
    &CONFIG_APPLIED,
    &RELOADS,
    &RELOAD_REFUSED,
];
