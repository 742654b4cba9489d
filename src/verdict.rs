//! What came of asking the interceptors.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The outcome of one consult over all interceptors that applied, in the order they were asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What the gate has to do.
    pub decision: Decision,
    /// One entry for each interceptor that was asked.
    pub consultations: Vec<Consultation>,
    /// What is to be kept with the refresh token, for interceptors that are not asked again at a refresh.
    pub remember: Vec<Remembered>,
}

/// An interceptor's ALLOW, kept for the refreshes of the session.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// The interceptor's `name`.
    pub interceptor: String,
    /// What it gave.
    pub claims: Claims,
}

/// Claims as an interceptor gave them, by the member of `response` that they stood in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// `claims`, for both tokens.
    pub both: Map<String, Value>,
    /// `access_token.claims`.
    pub access_token: Map<String, Value>,
    /// `id_token.claims`.
    pub id_token: Map<String, Value>,
}

impl Verdict {
    /// Nobody was asked: nothing stands in the way and nothing is added.
    pub fn unasked() -> Self {
        Self {
            decision: Decision::Allow(Additions::default()),
            consultations: Vec::new(),
            remember: Vec::new(),
        }
    }
}

/// What the gate has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Go on; add this.
    Allow(Additions),
    /// Stop. Without a message, the caller sees one general sentence.
    Deny {
        /// The text for the user, from the interceptor. `None` when a failure policy spoke.
        message: Option<String>,
    },
}

/// What ALLOW adds, summed over the interceptors. Already checked: no forbidden claim is in here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Additions {
    /// Top-level claims for the access token, `claims_at` already applied.
    pub access_token: Map<String, Value>,
    /// Top-level claims for the ID token, likewise.
    pub id_token: Map<String, Value>,
    /// `create_organization_membership` of a signup, as it was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub organization_membership: Option<Value>,
}

impl Additions {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One interceptor's part in a verdict: what was asked, what came back, what it was taken for.
#[derive(Clone, Debug, PartialEq)]
pub struct Consultation {
    /// The interceptor's `name` in `proxy.toml`.
    pub interceptor: String,
    /// The `interceptor-id` header: unique, the same over retries.
    pub id: String,
    /// What this interceptor's part came to.
    pub effect: Effect,
    /// Who decided that.
    pub decided_by: DecidedBy,
    /// What went wrong, when something did.
    pub failure: Option<Failure>,
    /// The text for the user on DENY.
    pub message: Option<String>,
    /// The reason for the log only.
    pub reason: Option<String>,
    /// The claims as it gave them.
    pub claims: Claims,
    /// What this interceptor added.
    pub additions: Additions,
    /// `response.annotations`, for the audit only.
    pub annotations: Map<String, Value>,
    /// `response.warnings`, for the audit only, and our own, such as claims near the size limit.
    pub warnings: Vec<String>,
    /// The last attempt's HTTP status, when there was one.
    pub status: Option<u16>,
    /// The calls of the endpoint, in order; none when the breaker or the cap spoke.
    pub attempts: Vec<Attempt>,
    /// From the first attempt's start to the end of the last.
    pub duration: Duration,
    /// The answer's body as JSON, when it was read and parsed.
    pub answer: Option<Value>,
    /// Of an ALLOW that cannot be taken, the claims that are to blame.
    pub refused: Vec<RefusedClaim>,
}

impl Consultation {
    /// How many times the endpoint was called.
    pub fn calls(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }
}

/// One call of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// When it began, on the wall clock.
    pub started: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The HTTP status, when there was one.
    pub status: Option<u16>,
    /// What went wrong; `None` when its answer was taken.
    pub failure: Option<Failure>,
}

/// A claim that an interceptor may not set as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedClaim {
    /// The member of `response` that it stands in.
    pub member: ClaimsMember,
    /// Its name.
    pub name: String,
    /// Why it is not taken, as what one says of it: `may not be set by an interceptor`. Shows no value.
    pub why: String,
}

/// The members of `response` that hold claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimsMember {
    /// `claims`, for both tokens.
    Both,
    /// `access_token.claims`.
    AccessToken,
    /// `id_token.claims`.
    IdToken,
}

impl ClaimsMember {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Both, Self::AccessToken, Self::IdToken];

    /// Where the claims stand in an answer (RFC 6901).
    pub fn pointer(self) -> &'static str {
        match self {
            Self::Both => "/response/claims",
            Self::AccessToken => "/response/access_token/claims",
            Self::IdToken => "/response/id_token/claims",
        }
    }
}

/// What one interceptor's part came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The request goes on.
    Allow,
    /// The request ends here.
    Deny,
}

impl Effect {
    /// The word that stands for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Who decided: the endpoint itself, or a rule that speaks in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The endpoint answered.
    Endpoint,
    /// `on_failure`: the endpoint gave no answer.
    OnFailure,
    /// `on_invalid`: the endpoint gave an answer that cannot be taken.
    OnInvalid,
    /// The circuit breaker was open, so `on_failure` decided without a call.
    Breaker,
    /// The concurrency cap was reached: a denial for the caller over its share.
    ConcurrencyCap,
    /// Too many consults of the last minute failed open, so the interceptor fails closed.
    FailOpenLimit,
    /// The endpoint, when the session began: its ALLOW came sealed in the refresh token, and it was not called again.
    Remembered,
}

/// What went wrong with a consultation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether the endpoint was away or wrong: that decides which policy speaks.
    pub kind: FailureKind,
    /// What happened, in a sentence. Shows no secret.
    pub detail: String,
}

/// The two ways in which an endpoint fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// No verdict: refused, reset, TLS error, timeout, 429, 5xx, breaker open, cap reached.
    Down,
    /// It is there and wrong: another status, content type, shape, or a forbidden claim.
    Invalid,
}
