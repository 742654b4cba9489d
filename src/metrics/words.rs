//! The values that labels may have where they do not come from the configuration.

use crate::{
    event::Trigger,
    verdict::{DecidedBy, Effect},
};

pub(super) const TRIGGERS: &[&str] = &[
    Trigger::PreSignup.as_str(),
    Trigger::PreSessionCreation.as_str(),
    Trigger::PreUserInvitation.as_str(),
    Trigger::PreM2mTokenCreation.as_str(),
    Trigger::PreClientRegistration.as_str(),
];
pub(super) const DECISIONS: &[&str] = &["allow", "deny"];
pub(super) const DECIDED_BY: &[&str] = &[
    "endpoint",
    "on_failure",
    "on_invalid",
    "breaker",
    "concurrency_cap",
    "fail_open_limit",
    "remembered",
];
pub(super) const FAULTS: &[&str] = &[
    "denied",
    "failed_closed",
    "client",
    "upstream",
    "ourselves",
    "overloaded",
];
pub(super) const LIMITS: &[&str] = &["requests", "paused", "bodies"];
pub(super) const TOKENS: &[&str] = &["access_token", "id_token", "statement", "logout_token"];
pub(super) const WRAPPED: &[&str] = &["access_token", "refresh_token"];
pub(super) const DROPPED: &[&str] = &["queue_full", "not_sent"];
pub(super) const HANDED_OUT: &[&str] = &["access_token", "id_token", "refresh_token"];
pub(super) const ERRORS: &[&str] = &["unreachable", "timeout", "broken", "client"];
pub(super) const DOCUMENTS: &[&str] = &["discovery", "keys"];
pub(super) const FAMILIES: &[&str] = &["rsa", "p256", "p384", "ed25519"];
pub(super) const OUTCOMES: &[&str] = &["ok", "failed"];
pub(super) const RELOAD_OUTCOMES: &[&str] = &["applied", "unchanged", "refused"];

/// A decision as labels and spans have it.
pub fn decision(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

/// Who decided, as labels, spans and the audit have it.
pub fn decider(decided_by: DecidedBy) -> &'static str {
    match decided_by {
        DecidedBy::Endpoint => "endpoint",
        DecidedBy::OnFailure => "on_failure",
        DecidedBy::OnInvalid => "on_invalid",
        DecidedBy::Breaker => "breaker",
        DecidedBy::ConcurrencyCap => "concurrency_cap",
        DecidedBy::FailOpenLimit => "fail_open_limit",
        DecidedBy::Remembered => "remembered",
    }
}
