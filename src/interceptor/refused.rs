//! Which claims of an answer cannot be taken, each on its own; a verdict names only the first.

use serde_json::{Map, Value};

use super::{
    Interceptor,
    answer::{Answer, Placing},
};
use crate::{
    event::{TokenClaims, Trigger},
    verdict::{Additions, Claims},
};

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

impl Interceptor {
    /// Judges the claims of an answer one by one, as if each had come alone.
    pub fn refused_claims(&self, answer: &Value, trigger: Trigger, existing: &TokenClaims) -> Vec<RefusedClaim> {
        let placing = Placing {
            trigger,
            claims_at: self.settings.claims_at.as_deref(),
            may_override: &self.settings.may_override,
        };
        let mut refused = Vec::new();
        for member in ClaimsMember::ALL {
            let claims = answer.pointer(member.pointer()).and_then(Value::as_object);
            for (name, value) in claims.into_iter().flatten() {
                let answer = Answer {
                    claims: alone(member, name, value),
                    ..Answer::allow()
                };
                let judged = answer
                    .fits(trigger)
                    .and_then(|()| placing.place(&answer.claims, existing, &Additions::default()));
                if let Err(failure) = judged {
                    refused.push(RefusedClaim {
                        member,
                        name: name.clone(),
                        why: predicate(failure.detail),
                    });
                }
            }
        }
        refused
    }
}

/// A failure's sentence without the member that it begins with.
fn predicate(detail: String) -> String {
    match detail.strip_prefix('`').and_then(|rest| rest.split_once("` ")) {
        Some((_, predicate)) => predicate.to_owned(),
        None => detail,
    }
}

fn alone(member: ClaimsMember, name: &str, value: &Value) -> Claims {
    let one = Map::from_iter([(name.to_owned(), value.clone())]);
    let mut claims = Claims::default();
    match member {
        ClaimsMember::Both => claims.both = one,
        ClaimsMember::AccessToken => claims.access_token = one,
        ClaimsMember::IdToken => claims.id_token = one,
    }
    claims
}
