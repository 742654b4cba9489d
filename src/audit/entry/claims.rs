//! What became of claims, by their names.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::verdict::RefusedClaim;

/// The names of changed claims, by token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimChanges {
    /// Those of the access token.
    #[serde(skip_serializing_if = "ClaimNames::is_empty")]
    pub access_token: ClaimNames,
    /// Those of the ID token.
    #[serde(skip_serializing_if = "ClaimNames::is_empty")]
    pub id_token: ClaimNames,
}

/// The names of one token's changed claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimNames {
    /// The upstream's token had no such claim.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// The upstream's token had another value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
    /// The interceptor may not set them as it did, so that nothing of its answer was taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// A claim that was not taken, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its name.
    pub name: String,
    /// What one says of it: `may not be set by an interceptor`.
    pub why: String,
}

impl ClaimChanges {
    /// Whether no claim was changed.
    pub fn is_empty(&self) -> bool {
        self.access_token.is_empty() && self.id_token.is_empty()
    }
}

impl ClaimNames {
    /// Whether no claim of this token was changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.replaced.is_empty() && self.refused.is_empty()
    }

    pub(super) fn of(additions: &Map<String, Value>, upstream: &[Option<&Value>], refused: Vec<Refused>) -> Self {
        let (replaced, added) = additions
            .keys()
            .cloned()
            .partition(|name| upstream.iter().flatten().any(|claims| claims.get(name).is_some()));
        Self {
            added,
            replaced,
            refused,
        }
    }
}

impl Refused {
    pub(super) fn of(claim: &RefusedClaim) -> Self {
        Self {
            name: claim.name.clone(),
            why: claim.why.clone(),
        }
    }
}
