//! From a token of ours back to the upstream's, byte for byte.

use serde_json::{Map, Value};

use super::{
    algorithm::Algorithm,
    capsule::{self, Original, Outer},
    jws::{self, Compact, peek_kid},
    keyring::KeyRing,
    sealer::Sealer,
    splice::{members, undo},
    wrap::{self, Memory, Wrap},
};

/// What a token of ours stands for.
#[derive(Clone)]
pub struct Restored {
    /// The upstream's token, byte for byte.
    pub original: String,
    /// The claims that interceptors added to the access token or replaced in it: introspection shows them.
    pub added: Map<String, Value>,
    /// The claims that userinfo shows: of a token that its holder can read, the same.
    pub told: Map<String, Value>,
    /// The upstream's own claims; of an opaque token, what is known of it.
    pub claims: Map<String, Value>,
    /// For a refresh token, and only for one: what it came with.
    pub memory: Option<Memory>,
    /// Whether the upstream's token is opaque, so that nobody has compared its claims with the added ones.
    pub opaque: bool,
}

/// Why a token was not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrestorable {
    /// Neither a wrap nor a JWT under a `kid` of ours: somebody's opaque token or a native one of the upstream.
    #[error("the token is not one of ours")]
    NotOurs,
    /// It has the form of ours and is not what we would have sealed or signed. The client's fault; never passed on.
    #[error("the token has the form of ours and is not what we issued")]
    Forged,
}

impl Restored {
    /// Whether the upstream takes it only with a proof of possession that names it (RFC 9449 §6).
    pub fn is_bound_by_dpop(&self) -> bool {
        let confirmation = self.claims.get("cnf");
        confirmation.is_some_and(|confirmation| confirmation.get("jkt").is_some())
    }
}

/// A token is a credential and is never printed.
impl std::fmt::Debug for Restored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restored").finish_non_exhaustive()
    }
}

pub(super) fn restore(raw: &str, ring: &KeyRing, sealer: &Sealer) -> Result<Restored, Unrestorable> {
    if raw.starts_with(wrap::PREFIX) {
        return unwrap(raw, sealer).ok_or(Unrestorable::Forged);
    }
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
    let added: Map<_, _> = contents
        .added
        .into_iter()
        .map(|name| Some((name.clone(), outer.claims.get(&name)?.clone())))
        .collect::<Option<_>>()?;
    let (original, claims, opaque) = match contents.original {
        Original::Jwt {
            header,
            signature,
            inverse,
        } => {
            let payload = undo(&edited, &inverse).ok()?;
            let original = jws::append(jws::signing_input(&header, payload.as_bytes()), &signature);
            let claims = Compact::read(&original).ok()?.claims;
            (original, claims, false)
        }
        Original::Opaque(token) => {
            let mut claims = outer.claims.clone();
            claims.retain(|name, _| name != capsule::CLAIM && !added.contains_key(name));
            (token, claims, true)
        }
    };
    Some(Restored {
        original,
        told: added.clone(),
        added,
        claims,
        memory: None,
        opaque,
    })
}

fn unwrap(raw: &str, sealer: &Sealer) -> Option<Restored> {
    if raw.len() > jws::MAX_TOKEN {
        return None;
    }
    Some(match sealer.unwrap(raw).ok()? {
        Wrap::Access(wrap) => Restored {
            original: wrap.original,
            added: wrap.added,
            told: wrap.told,
            claims: wrap.claims,
            memory: None,
            opaque: true,
        },
        Wrap::Refresh(wrap) => Restored {
            original: wrap.original,
            added: Map::new(),
            told: Map::new(),
            claims: Map::new(),
            memory: Some(wrap.memory),
            opaque: true,
        },
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
