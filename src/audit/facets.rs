//! What of a record is searched: short values beside its text, which can be made again from the text at any time.

use serde_json::{Map, Value};

use crate::verdict::DecidedBy;

/// A value that is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term<'a> {
    Text(&'a str),
    Number(i64),
}

/// The values of one record, kept apart from it.
#[derive(Clone, Debug)]
pub(super) struct Columns([Option<Kept>; COUNT]);

#[derive(Clone, Debug)]
enum Kept {
    Text(Box<str>),
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

impl Columns {
    /// Keeps what [`of`] says of a record.
    pub(super) fn keep(values: &[Option<Term<'_>>; COUNT]) -> Self {
        Self(values.map(|value| {
            value.map(|term| match term {
                Term::Text(text) => Kept::Text(text.into()),
                Term::Number(number) => Kept::Number(number),
            })
        }))
    }

    /// The values, in the order of [`NAMES`].
    pub(super) fn values(&self) -> [Option<Term<'_>>; COUNT] {
        self.0.each_ref().map(|kept| {
            kept.as_ref().map(|kept| match kept {
                Kept::Text(text) => Term::Text(text),
                Kept::Number(number) => Term::Number(*number),
            })
        })
    }

    /// Whether the value of this name is `term`, as a store compares them: addresses and their domains in whatever case.
    pub(super) fn has(&self, name: &str, term: Term<'_>) -> bool {
        match (self.get(name), term) {
            (Some(Term::Text(own)), Term::Text(text)) if matches!(name, "user_email" | "email_domain") => {
                own.eq_ignore_ascii_case(text)
            }
            (own, term) => own == Some(term),
        }
    }

    /// Whether the user's id begins so, or the address, in whatever case.
    pub(super) fn user_begins(&self, prefix: &str) -> bool {
        let text = |name| match self.get(name) {
            Some(Term::Text(text)) => text,
            _ => "",
        };
        let beginning = text("user_email").as_bytes().get(..prefix.len());
        text("user_id").starts_with(prefix)
            || beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix.as_bytes()))
    }

    /// When the record was written, in milliseconds of Unix time.
    pub(super) fn time_ms(&self) -> i64 {
        match self.get("time_ms") {
            Some(Term::Number(ms)) => ms,
            _ => 0,
        }
    }

    fn get(&self, name: &str) -> Option<Term<'_>> {
        let mut named = NAMES.iter().zip(self.values());
        named.find(|(own, _)| **own == name).and_then(|(_, value)| value)
    }
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
