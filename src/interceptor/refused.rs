//! Which claims of an answer cannot be taken, each on its own; a failure's sentence names only the first.

use serde_json::{Map, Value};

use super::answer::{Answer, Placing};
use crate::{
    event::TokenClaims,
    verdict::{Additions, Claims, ClaimsMember, RefusedClaim},
};

/// Judges the claims of an ALLOW one by one, as if each had come alone.
pub(super) fn refused_claims(
    answer: &Value,
    placing: &Placing<'_>,
    existing: &TokenClaims,
    earlier: &Additions,
) -> Vec<RefusedClaim> {
    let mut refused = Vec::new();
    for member in ClaimsMember::ALL {
        let claims = answer.pointer(member.pointer()).and_then(Value::as_object);
        for (name, value) in claims.into_iter().flatten() {
            let answer = Answer {
                claims: alone(member, name, value),
                ..Answer::allow()
            };
            let judged = answer
                .fits(placing.trigger)
                .and_then(|()| placing.place(&answer.claims, existing, earlier));
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
