//! From a token of ours back to the upstream's, byte for byte.

use serde_json::{Map, Value};

use super::{
    algorithm::Algorithm,
    capsule::{self, Outer, Sealer},
    jws::{self, Compact, peek_kid},
    keyring::KeyRing,
    splice::{members, undo},
};

/// What a token of ours stands for.
#[derive(Clone)]
pub struct Restored {
    /// The upstream's JWT, byte for byte.
    pub original: String,
    /// The claims that interceptors added or replaced, with the values that the client holds.
    pub added: Map<String, Value>,
    /// The upstream's own claims.
    pub claims: Map<String, Value>,
}

/// Why a token was not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrestorable {
    /// No JWT, or one under a `kid` that is none of ours: an opaque token or a native one of the upstream.
    #[error("the token is not one of ours")]
    NotOurs,
    /// It has a `kid` of ours and does not hold what we would have signed. The client's fault; never passed on.
    #[error("the token names a key of ours and is not what we issued")]
    Forged,
}

/// A token is a credential and is never printed.
impl std::fmt::Debug for Restored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restored").finish_non_exhaustive()
    }
}

pub(super) fn restore(raw: &str, ring: &KeyRing, sealer: &Sealer) -> Result<Restored, Unrestorable> {
    let kid = peek_kid(raw)
        .filter(|kid| ring.holds(kid))
        .ok_or(Unrestorable::NotOurs)?;
    open(raw, &kid, ring, sealer).ok_or(Unrestorable::Forged)
}

fn open(raw: &str, kid: &str, ring: &KeyRing, sealer: &Sealer) -> Option<Restored> {
    let outer = Compact::read(raw).ok()?;
    let algorithm = Algorithm::named(outer.header.get("alg")?.as_str()?)?;
    if !ring.verifies(kid, algorithm, outer.signed.as_bytes(), &outer.signature) {
        return None;
    }
    let (edited, sealed) = take_capsule(&outer)?;
    let contents = sealer.open(sealed, &Outer { kid, payload: &edited }).ok()?;
    let payload = undo(&edited, &contents.inverse).ok()?;
    let original = jws::append(
        jws::signing_input(&contents.header, payload.as_bytes()),
        &contents.signature,
    );
    let claims = Compact::read(&original).ok()?.claims;
    let added = contents
        .added
        .into_iter()
        .map(|name| Some((name.clone(), outer.claims.get(&name)?.clone())))
        .collect::<Option<_>>()?;
    Some(Restored {
        original,
        added,
        claims,
    })
}

/// The payload as it was before the capsule was added, and the capsule. It is always the last member.
fn take_capsule<'a>(outer: &'a Compact<'_>) -> Option<(String, &'a str)> {
    let members = members(&outer.payload).ok()?;
    let (last, others) = members.split_last()?;
    if last.name != capsule::CLAIM {
        return None;
    }
    let start = match others.last() {
        Some(before) => before.value.end,
        None => outer.payload.find('{')? + 1,
    };
    let edited = [outer.payload.get(..start)?, outer.payload.get(last.value.end..)?].concat();
    Some((edited, outer.claims.get(capsule::CLAIM)?.as_str()?))
}
