//! A record as a line of a list.

use super::frame::{machine, moment};
use crate::{
    audit::{Decider, Entry, Kind, Record},
    verdict::{DecidedBy, Effect},
};

/// What a record came to, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An interceptor said so.
    Allowed,
    /// An interceptor said so.
    Denied,
    /// No verdict, and the policy let it through.
    FailedOpen,
    /// No verdict, and the policy stopped it.
    FailedClosed,
    /// A rule of ours stopped it.
    Refused,
    /// What followed from a decision was done.
    Done,
    /// It was not, or the request came to nothing.
    Failed,
}

impl Outcome {
    pub(super) fn of(entry: &Entry) -> Self {
        match (entry.kind, entry.decision, entry.failure.is_some()) {
            (Kind::Refused, ..) => Self::Refused,
            (_, Some(Effect::Allow), false) => Self::Allowed,
            (_, Some(Effect::Allow), true) => Self::FailedOpen,
            (_, Some(Effect::Deny), false) => Self::Denied,
            (_, Some(Effect::Deny), true) => Self::FailedClosed,
            (_, None, false) => Self::Done,
            (_, None, true) => Self::Failed,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Allowed => "Allowed",
            Self::Denied => "Denied",
            Self::FailedOpen => "Failed open",
            Self::FailedClosed => "Failed closed",
            Self::Refused => "Refused",
            Self::Done => "Done",
            Self::Failed => "Failed",
        }
    }

    /// The icon's id, which is the style's as well.
    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::Allowed | Self::Done => "ok",
            Self::Denied | Self::Refused => "stop",
            Self::FailedOpen => "warn",
            Self::FailedClosed | Self::Failed => "fail",
        }
    }
}

/// The cells of a line.
pub(super) struct Row {
    pub(super) seq: String,
    pub(super) time: String,
    /// Without the year.
    pub(super) short_time: String,
    pub(super) machine_time: String,
    /// The trigger, or what else the record is about.
    pub(super) what: String,
    pub(super) subject: String,
    pub(super) client: String,
    pub(super) interceptor: String,
    pub(super) outcome: Outcome,
    pub(super) by: String,
    pub(super) status: String,
    pub(super) duration: String,
    pub(super) note: String,
}

impl Row {
    pub(super) fn of(record: &Record) -> Self {
        let entry = &record.entry;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let failure = entry.failure.as_ref().map(|failure| failure.detail.clone());
        Self {
            seq: record.place(),
            time: moment(record.time),
            short_time: record.time.strftime("%d %b %H:%M:%S").to_string(),
            machine_time: machine(record.time),
            what: what(entry),
            subject: entry.user_email.clone().or(entry.user_id.clone()).unwrap_or_default(),
            client: text(&entry.client_id),
            interceptor: text(&entry.interceptor),
            outcome: Outcome::of(entry),
            by: entry.decided_by.as_ref().map(by).unwrap_or_default(),
            status: entry.status.map(|status| status.to_string()).unwrap_or_default(),
            duration: entry.duration_ms.map(|ms| format!("{ms} ms")).unwrap_or_default(),
            note: failure
                .or(entry.reason.clone())
                .or(entry.message.clone())
                .unwrap_or_default(),
        }
    }
}

/// The trigger, or what else the record is about.
pub(super) fn what(entry: &Entry) -> String {
    match (entry.kind, entry.trigger) {
        (Kind::Consult, Some(trigger)) => trigger.to_string(),
        (kind, _) => kind_word(kind).to_owned(),
    }
}

pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Consult => "Consult",
        Kind::Revocation => "Revocation",
        Kind::Account => "Account disabled",
        Kind::Membership => "Membership",
        Kind::Refused => "Refused by a rule",
        Kind::Failure => "Request failed",
        Kind::Anchor => "Older records deleted",
    }
}

/// Who decided.
pub(super) fn by(decider: &Decider) -> String {
    match decider {
        Decider::Interceptor(DecidedBy::Endpoint) => "endpoint".into(),
        Decider::Interceptor(DecidedBy::Remembered) => "remembered".into(),
        Decider::Interceptor(DecidedBy::OnFailure) => "on_failure".into(),
        Decider::Interceptor(DecidedBy::OnInvalid) => "on_invalid".into(),
        Decider::Interceptor(DecidedBy::Breaker) => "breaker".into(),
        Decider::Interceptor(DecidedBy::ConcurrencyCap) => "max_concurrent".into(),
        Decider::Interceptor(DecidedBy::FailOpenLimit) => "fail_open_limit".into(),
        Decider::Rule(name) => format!("rule {name}"),
    }
}
