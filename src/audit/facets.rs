//! What of a record is searched: short values beside its text, which can be made again from the text at any time.

use serde_json::{Map, Value};

use crate::verdict::DecidedBy;

/// A value that is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term<'a> {
    Text(&'a str),
    Number(i64),
}

/// How many values there are.
pub(super) const COUNT: usize = 15;

/// Their names, in the order of [`of`].
pub(super) const NAMES: [&str; COUNT] = [
    "time_ms",
    "kind",
    "trigger",
    "decision",
    "decided_by",
    "rule",
    "interceptor",
    "client_id",
    "realm",
    "operation",
    "status",
    "request_id",
    "user_id",
    "user_email",
    "email_domain",
];

/// Whether values of this name are numbers.
pub(super) fn is_number(name: &str) -> bool {
    matches!(name, "time_ms" | "status")
}

/// What `decided_by` says of a rule; its name stands in `rule`.
pub(super) const RULE: &str = "rule";

/// The values of a record with these members, written at `time_ms`.
pub(super) fn of(members: &Map<String, Value>, time_ms: i64) -> [Option<Term<'_>>; COUNT] {
    let get = |name: &str| members.get(name).and_then(Value::as_str);
    let text = |name: &str| get(name).map(Term::Text);
    let (by, rule) = decider(get("decided_by"));
    [
        Some(Term::Number(time_ms)),
        text("kind"),
        text("trigger"),
        text("decision"),
        by.map(Term::Text),
        rule.map(Term::Text),
        text("interceptor"),
        text("client_id"),
        text("realm"),
        text("operation"),
        members.get("status").and_then(Value::as_i64).map(Term::Number),
        text("request_id"),
        text("user_id"),
        text("user_email"),
        get("user_email").and_then(domain).map(Term::Text),
    ]
}

/// Who decided, and the name of the rule that did.
pub(super) fn decider(word: Option<&str>) -> (Option<&str>, Option<&str>) {
    match word {
        Some(name) if !is_policy(name) => (Some(RULE), Some(name)),
        other => (other, None),
    }
}

/// Whether this word stands for an endpoint or for a policy that speaks in its place.
pub(super) fn is_policy(word: &str) -> bool {
    serde_json::from_value::<DecidedBy>(word.into()).is_ok()
}

/// What stands behind the last `@`.
fn domain(email: &str) -> Option<&str> {
    email.rsplit_once('@').map(|(_, domain)| domain)
}
