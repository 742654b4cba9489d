//! What the gate hands in.

mod claims;

use std::{net::IpAddr, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::claims::{ClaimChanges, ClaimNames, Refused};
use super::retention::Removed;
use crate::{
    event::{Context, Event, Trigger},
    verdict::{Attempt, ClaimsMember, Consultation, DecidedBy, Effect, Failure, Verdict},
};

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An interceptor was asked, or a rule spoke in its place.
    Consult,
    /// After a DENY, what the upstream had already issued was revoked, or could not be.
    Revocation,
    /// An account that was denied after it had come into being was disabled, or could not be.
    Account,
    /// What an ALLOW said of a membership was carried out, or could not be.
    Membership,
    /// A request was refused by a rule, without asking an interceptor.
    Refused,
    /// The request came to nothing by no decision: the upstream's tokens did not verify, for instance.
    Failure,
    /// The oldest records were taken away.
    Anchor,
}

impl Kind {
    /// The word that stands for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consult => "consult",
            Self::Revocation => "revocation",
            Self::Account => "account",
            Self::Membership => "membership",
            Self::Refused => "refused",
            Self::Failure => "failure",
            Self::Anchor => "anchor",
        }
    }
}

/// One thing to be recorded. A value that is not known is absent. Secrets are masked when it is recorded, not before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What the record is about.
    pub kind: Kind,
    /// Tollgate's id of the client's request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The trace id of `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The trigger that fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The route that was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The upstream's realm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The client's `client_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The user's id at the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The user's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddr>,
    /// The interceptor's `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interceptor: Option<String>,
    /// The `interceptor-id` header of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consult_id: Option<String>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Effect>,
    /// Who decided that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Decider>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Fault>,
    /// The text that the user was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The reason for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The HTTP status of the endpoint's last answer; of a revocation, the upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How many times the endpoint was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// How long that took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Each of those calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// The event that was sent, or would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// The answer that came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// The names of the claims that were added, replaced and refused.
    #[serde(default, skip_serializing_if = "ClaimChanges::is_empty")]
    pub claims: ClaimChanges,
    /// Warnings of the endpoint and our own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// `response.annotations`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String, Value>,
    /// Which configuration was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Of an anchor, which records were taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
}

/// Who decided: an interceptor or its policy, or a rule of Tollgate's own, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Decider {
    /// As the verdict has it.
    Interceptor(DecidedBy),
    /// The rule's name, such as `duplicate_parameter`.
    Rule(String),
}

/// What went wrong, in one word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// `down` and `invalid` of a consult; `revocation`; a word of the gate's, such as `unverified_token`.
    pub kind: String,
    /// What happened. Shows no secret.
    pub detail: String,
}

/// One call of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When it began.
    pub time: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// The HTTP status, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong; absent when its answer was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Fault>,
}

impl Entry {
    /// An entry with nothing in it yet; the other constructors say more.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            request_id: String::new(),
            trace_id: None,
            trigger: None,
            operation: None,
            realm: None,
            client_id: None,
            user_id: None,
            user_email: None,
            ip_address: None,
            interceptor: None,
            consult_id: None,
            decision: None,
            decided_by: None,
            failure: None,
            message: None,
            reason: None,
            status: None,
            attempts: None,
            duration_ms: None,
            calls: Vec::new(),
            event: None,
            answer: None,
            claims: ClaimChanges::default(),
            warnings: Vec::new(),
            annotations: Map::new(),
            revision: None,
            removed: None,
        }
    }

    /// The record of one interceptor's part in a verdict on `event`.
    pub fn of_consult(event: &Event, consultation: &Consultation) -> Self {
        let additions = &consultation.additions;
        let refused = |members: &[ClaimsMember]| {
            let refused = consultation
                .refused
                .iter()
                .filter(|claim| members.contains(&claim.member));
            refused.map(Refused::of).collect()
        };
        Self {
            interceptor: Some(consultation.interceptor.clone()),
            consult_id: Some(consultation.id.clone()),
            decision: Some(consultation.effect),
            decided_by: Some(Decider::Interceptor(consultation.decided_by)),
            failure: consultation.failure.as_ref().map(Fault::of),
            message: consultation.message.clone(),
            reason: consultation.reason.clone(),
            status: consultation.status,
            attempts: Some(consultation.calls()),
            duration_ms: Some(millis(consultation.duration)),
            calls: consultation.attempts.iter().map(Call::of).collect(),
            event: serde_json::to_value(event).ok(),
            answer: consultation.answer.clone(),
            claims: ClaimChanges {
                access_token: ClaimNames::of(
                    &additions.access_token,
                    &[
                        event.data.get("claims").and_then(|c| c.get("access_token")),
                        event.data.get("m2m_token_claims").and_then(|c| c.get("claims")),
                    ],
                    refused(&[ClaimsMember::Both, ClaimsMember::AccessToken]),
                ),
                id_token: ClaimNames::of(
                    &additions.id_token,
                    &[event.data.get("claims").and_then(|c| c.get("id_token"))],
                    refused(match event.trigger {
                        // Elsewhere there is no ID token that what is meant for both could go into.
                        Trigger::PreSessionCreation => &[ClaimsMember::Both, ClaimsMember::IdToken],
                        _ => &[ClaimsMember::IdToken],
                    }),
                ),
            },
            warnings: consultation.warnings.clone(),
            annotations: consultation.annotations.clone(),
            ..Self::new(Kind::Consult).about(event)
        }
    }

    /// The records of a whole verdict, one for each interceptor that was asked.
    pub fn of_verdict(event: &Event, verdict: &Verdict) -> Vec<Self> {
        verdict
            .consultations
            .iter()
            .map(|c| Self::of_consult(event, c))
            .collect()
    }

    /// The record of revoking something after a DENY of `event`: `what` names it, such as `refresh_token`; a failure says why in a sentence.
    pub fn of_revocation(event: &Event, what: &str, outcome: Result<(), String>) -> Self {
        let (reason, failure) = match outcome {
            Ok(()) => (format!("{what} revoked"), None),
            Err(detail) => (
                format!("{what} not revoked"),
                Some(Fault {
                    kind: "revocation".into(),
                    detail,
                }),
            ),
        };
        Self {
            reason: Some(reason),
            failure,
            ..Self::new(Kind::Revocation).about(event)
        }
    }

    /// The record of disabling the account that `event` is about, after a DENY; a failure says why in a sentence.
    pub fn of_disabling(event: &Event, outcome: Result<(), String>) -> Self {
        let (reason, failure) = match outcome {
            Ok(()) => ("account disabled", None),
            Err(detail) => (
                "account not disabled",
                Some(Fault {
                    kind: "account".into(),
                    detail,
                }),
            ),
        };
        Self {
            reason: Some(reason.into()),
            failure,
            ..Self::new(Kind::Account).about(event)
        }
    }

    /// The record of a membership that the ALLOW of `event` asked for: `asked` as it was given, `warnings` of what in it was left out.
    pub fn of_membership(event: &Event, asked: &Value, outcome: Result<(), String>, warnings: Vec<String>) -> Self {
        let (reason, failure) = match outcome {
            Ok(()) => ("membership created", None),
            Err(detail) => (
                "membership not created",
                Some(Fault {
                    kind: "membership".into(),
                    detail,
                }),
            ),
        };
        Self {
            reason: Some(reason.into()),
            failure,
            answer: Some(asked.clone()),
            warnings,
            ..Self::new(Kind::Membership).about(event)
        }
    }

    /// The record of a request that the rule of this name refused, and why.
    pub fn of_refusal(rule: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            decision: Some(Effect::Deny),
            decided_by: Some(Decider::Rule(rule.into())),
            reason: Some(reason.into()),
            ..Self::new(Kind::Refused)
        }
    }

    /// The record of a request that failed: `kind` in one word, such as `unverified_token`, and what happened in a sentence.
    pub fn of_failure(kind: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            failure: Some(Fault {
                kind: kind.into(),
                detail: detail.into(),
            }),
            ..Self::new(Kind::Failure)
        }
    }

    /// The same entry with the circumstances of `event`, but not the event itself.
    pub fn about(self, event: &Event) -> Self {
        let user = |name: &str| event.data.get("user")?.get(name)?.as_str().map(str::to_owned);
        let entry = Self {
            trigger: Some(event.trigger),
            ..self.within(&event.context)
        };
        Self {
            user_id: entry.user_id.or_else(|| user("id")),
            user_email: entry.user_email.or_else(|| user("email")),
            ..entry
        }
    }

    /// The same entry with these circumstances; for a request that never became an event.
    pub fn within(self, context: &Context) -> Self {
        Self {
            request_id: context.request_id.clone(),
            trace_id: context.trace_id.clone(),
            operation: context.operation.clone(),
            realm: context.realm.clone().or_else(|| context.tenant.clone()),
            client_id: context.client_id.clone(),
            user_id: context.user_id.clone(),
            user_email: context.user_email.clone(),
            ip_address: context.ip_address,
            ..self
        }
    }
}

impl Fault {
    fn of(failure: &Failure) -> Self {
        Self {
            kind: word(&failure.kind),
            detail: failure.detail.clone(),
        }
    }
}

impl Call {
    fn of(attempt: &Attempt) -> Self {
        Self {
            time: attempt.started,
            duration_ms: millis(attempt.duration),
            status: attempt.status,
            failure: attempt.failure.as_ref().map(Fault::of),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        serde_json::from_value(Value::from(text)).map_err(|_| {
            format!(
                "`{text}` is no kind of record; they are consult, revocation, account, membership, refused, failure, anchor"
            )
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The one word that stands for an enum's value in JSON.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
