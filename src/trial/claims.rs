//! A token's claims before and after.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    event::TokenClaims,
    verdict::{ClaimsMember, Consultation, RefusedClaim},
};

/// One claim of a token, before and after an interceptor was asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub change: Change,
}

/// What becomes of a claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum Change {
    /// It stays as the upstream made it.
    Kept {
        /// Its value.
        value: Value,
    },
    /// The upstream's token had no such claim.
    Added {
        /// Its value.
        after: Value,
    },
    /// The upstream's token had another value.
    Replaced {
        /// The upstream's.
        before: Value,
        /// The interceptor's.
        after: Value,
    },
    /// The answer had it, and it is not taken.
    Refused {
        /// The upstream's value, which stays.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Value>,
        /// What the answer had.
        wanted: Value,
        /// Why.
        why: String,
    },
}

/// Which token's claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Access,
    Id,
}

/// The claims of one token: the upstream's in their order, then what is added, then what is refused.
pub(super) fn changes(token: Token, existing: &TokenClaims, consultation: &Consultation) -> Vec<Claim> {
    let (existing, added) = match token {
        Token::Access => (&existing.access_token, &consultation.additions.access_token),
        Token::Id => (&existing.id_token, &consultation.additions.id_token),
    };
    let mut claims = taken(existing, added);
    if consultation.failure.is_some()
        && let Some(answer) = &consultation.answer
    {
        claims.extend(not_taken(token, existing, answer, &consultation.refused));
    }
    claims
}

fn taken(existing: &Map<String, Value>, added: &Map<String, Value>) -> Vec<Claim> {
    let kept = existing.iter().map(|(name, before)| Claim {
        name: name.clone(),
        change: match added.get(name) {
            Some(after) if after != before => Change::Replaced {
                before: before.clone(),
                after: after.clone(),
            },
            _ => Change::Kept { value: before.clone() },
        },
    });
    let new = added.iter().filter(|(name, _)| !existing.contains_key(*name));
    let new = new.map(|(name, after)| Claim {
        name: name.clone(),
        change: Change::Added { after: after.clone() },
    });
    kept.chain(new).collect()
}

/// An answer is taken whole or not at all, so that all its claims are refused, most of them for another's sake.
fn not_taken(token: Token, existing: &Map<String, Value>, answer: &Value, refused: &[RefusedClaim]) -> Vec<Claim> {
    let member = match token {
        Token::Access => ClaimsMember::AccessToken,
        Token::Id => ClaimsMember::IdToken,
    };
    let mut claims: Vec<Claim> = Vec::new();
    for member in [ClaimsMember::Both, member] {
        for (name, wanted) in answer
            .pointer(member.pointer())
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let reason = refused.iter().find(|r| r.member == member && r.name == *name);
            let why = reason.map_or_else(
                || "nothing is taken of an answer that cannot be taken as a whole".to_owned(),
                |reason| reason.why.clone(),
            );
            claims.push(Claim {
                name: name.clone(),
                change: Change::Refused {
                    before: existing.get(name).cloned(),
                    wanted: wanted.clone(),
                    why,
                },
            });
        }
    }
    claims
}
