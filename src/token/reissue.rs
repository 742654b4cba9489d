//! Signs a verified token anew, with claims added and a capsule that leads back to the original.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{json, misconfigured::Misconfigured};

use super::{
    algorithm::{Algorithm, AlgorithmChoice},
    capsule::{self, Contents, Original, Outer},
    jws,
    keyring::KeyRing,
    restore::{Restored, Unrestorable, restore},
    sealer::{Sealer, SealingKey},
    splice::{Unspliceable, splice},
    verify::{Nature, Verified},
    wrap::Wrap,
};

/// Signs the upstream's tokens anew and restores them. Holds no state about any token: replicas with the same keys and
/// the same secret are one.
#[derive(Debug)]
pub struct Reissuer {
    ring: KeyRing,
    sealer: Sealer,
    algorithm: AlgorithmChoice,
}

/// What an ID token is bound to: the values that the client really gets, which its half hashes are computed over.
#[derive(Clone, Copy, Default)]
pub struct Bound<'a> {
    /// The access token beside it, after it was signed anew itself.
    pub access_token: Option<&'a str>,
    /// The authorization code.
    pub code: Option<&'a str>,
    /// The `state` of the authorization request.
    pub state: Option<&'a str>,
}

/// Why a token was not signed anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unissued {
    /// Our key ring has no key for the algorithm.
    #[error(
        "no signing key of Tollgate fits {0}, the algorithm of the upstream's token; add a key for it to the directory `tokens.keys`, or set `tokens.algorithm`"
    )]
    NoKey(Algorithm),
    /// The upstream's token has a claim under the capsule's name.
    #[error("the upstream's token already has a claim `tgc`: it seems to have passed a Tollgate before")]
    AlreadyReissued,
    /// A claim to be added has a name that no interceptor may set.
    #[error("the claim `{0}` cannot be added to a token")]
    Reserved(String),
    /// An ID token was handed over as an access token, or the other way round.
    #[error("a token was verified as one kind and signed anew as another")]
    WrongKind,
    /// A half hash must change with the algorithm, and the value that it covers is not at hand.
    #[error("the claim `{0}` cannot be computed anew: what it covers is not at hand")]
    Unbound(&'static str),
    /// With the added claims the payload is no strict JSON, for instance since it is nested too deep.
    #[error("the claims to be added cannot be read strictly: {0}")]
    Unreadable(String),
    /// Header or token would be longer than what we read back.
    #[error("the token would be too long")]
    TooLong,
    /// Signing or sealing failed inside the crypto library.
    #[error("the token could not be signed or sealed")]
    Crypto,
}

impl Reissuer {
    /// Refuses an `algorithm` for which the ring has no key.
    pub fn new(ring: KeyRing, sealer: Sealer, algorithm: AlgorithmChoice) -> Result<Self, Misconfigured> {
        if let AlgorithmChoice::Fixed(fixed) = algorithm
            && !ring.can_sign(fixed)
        {
            return Err(
                Misconfigured::new("tokens.algorithm", format!("there is no signing key for {fixed}")).hint(format!(
                    "the keys in `tokens.keys` can sign with {}",
                    ring.algorithms().join(", ")
                )),
            );
        }
        Ok(Self {
            ring,
            sealer,
            algorithm,
        })
    }

    /// The keys that capsules are sealed with, newest first, each with its part at this time.
    pub fn capsule_keys(&self, now: Timestamp) -> Vec<SealingKey> {
        self.sealer.keys_at(now)
    }

    /// The keys it signs with.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Signs an access token anew with these claims added, or replaced where the upstream set them. All other claims
    /// stay byte for byte.
    pub fn access_token(&self, token: &Verified, add: &Map<String, Value>, now: Timestamp) -> Result<String, Unissued> {
        if token.nature() != Nature::AccessToken {
            return Err(Unissued::WrongKind);
        }
        self.reissue(token, add, &[], now)
    }

    /// Signs an ID token anew likewise; `at_hash` and `c_hash`, where present, are computed over what the client gets.
    pub fn id_token(
        &self,
        token: &Verified,
        add: &Map<String, Value>,
        bound: &Bound<'_>,
        now: Timestamp,
    ) -> Result<String, Unissued> {
        if token.nature() != Nature::IdToken {
            return Err(Unissued::WrongKind);
        }
        let values = [
            ("at_hash", bound.access_token),
            ("c_hash", bound.code),
            ("s_hash", bound.state),
        ];
        let ours = self.algorithm.for_upstream(token.algorithm());
        let mut hashes = Vec::new();
        for (claim, value) in values {
            match value {
                _ if !token.claims().contains_key(claim) => {}
                Some(value) => hashes.push((claim, ours.half_hash(value))),
                // What it covers is not ours to change, so it stays right as long as the hash function does.
                None if ours.hashes_like(token.algorithm()) => {}
                None => return Err(Unissued::Unbound(claim)),
            }
        }
        self.reissue(token, add, &hashes, now)
    }

    /// Signs anew what the upstream says to a client in a JWT that is no token: an authorization response, userinfo, an
    /// introspection response. Members of `edit` are replaced or added, those of `without` left out. No capsule: it never
    /// travels back.
    pub fn statement(
        &self,
        statement: &Verified,
        edit: &Map<String, Value>,
        without: &[&str],
        now: Timestamp,
    ) -> Result<String, Unissued> {
        if statement.nature() != Nature::Statement {
            return Err(Unissued::WrongKind);
        }
        let edited = if without.is_empty() {
            let edits = edit.iter().map(|(name, value)| (name.as_str(), value.clone()));
            splice(statement.payload(), edits).map_err(unreadable)?.text
        } else {
            let mut claims = statement.claims().clone();
            claims.retain(|name, _| !without.contains(&name.as_str()));
            claims.extend(edit.clone());
            Value::Object(claims).to_string()
        };
        let (algorithm, kid) = self.signer(statement, now)?;
        self.sign(&header(statement, algorithm, kid), algorithm, kid, &edited)
    }

    /// Signs a JWT access token (RFC 9068) in the place of an opaque one, which its capsule holds. `like` is the algorithm of the
    /// ID token beside it.
    pub fn opaque_token(
        &self,
        original: &str,
        claims: Map<String, Value>,
        add: &Map<String, Value>,
        like: Option<Algorithm>,
        now: Timestamp,
    ) -> Result<String, Unissued> {
        refuse_reserved(add)?;
        // RFC 9068 §4 has every resource server know RS256.
        let wanted = self.algorithm.for_upstream(like.unwrap_or(Algorithm::RS256));
        let able = Algorithm::ALL
            .into_iter()
            .find(|algorithm| self.ring.can_sign(*algorithm));
        let algorithm = if self.ring.can_sign(wanted) {
            wanted
        } else {
            able.unwrap_or(wanted)
        };
        let kid = self
            .ring
            .signing_kid(algorithm, now)
            .ok_or(Unissued::NoKey(algorithm))?;
        let mut payload = claims;
        payload.extend(add.clone());
        let payload = Value::Object(payload).to_string();
        let contents = Contents {
            original: Original::Opaque(original.to_owned()),
            added: add.keys().cloned().collect(),
        };
        let header = json!({ "alg": algorithm.name(), "kid": kid, "typ": "at+jwt" });
        self.sealed(&header, (algorithm, kid), &payload, &contents, now)
    }

    /// Seals a token that is no JWT, with what has to be remembered of it.
    pub fn wrap(&self, wrap: &Wrap, now: Timestamp) -> Result<String, Unissued> {
        let wrapped = self.sealer.wrap(wrap, now).ok_or(Unissued::Crypto)?;
        // What we hand out must be read by ourselves later, as strictly as everything else.
        if wrapped.len() > jws::MAX_TOKEN {
            return Err(Unissued::TooLong);
        }
        match self.sealer.unwrap(&wrapped) {
            Ok(read) if read == *wrap => Ok(wrapped),
            _ => Err(Unissued::Unreadable("they change when they are written".into())),
        }
    }

    /// Restores the upstream's token from one of ours. `exp` is not looked at: an expired `id_token_hint` must still
    /// map back, and the upstream judges it. Fails closed.
    pub fn restore(&self, raw: &str) -> Result<Restored, Unrestorable> {
        restore(raw, &self.ring, &self.sealer)
    }

    fn reissue(
        &self,
        token: &Verified,
        add: &Map<String, Value>,
        hashes: &[(&'static str, String)],
        now: Timestamp,
    ) -> Result<String, Unissued> {
        if token.claims().contains_key(capsule::CLAIM) {
            return Err(Unissued::AlreadyReissued);
        }
        refuse_reserved(add)?;
        let (algorithm, kid) = self.signer(token, now)?;
        let added = add.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let hashed = hashes.iter().map(|(name, hash)| (*name, Value::from(hash.as_str())));
        let edited = splice(token.payload(), added.chain(hashed)).map_err(unreadable)?;
        let contents = Contents {
            original: Original::Jwt {
                header: token.header_bytes().to_vec(),
                signature: token.signature().to_vec(),
                inverse: edited.inverse,
            },
            added: add.keys().cloned().collect(),
        };
        self.sealed(
            &header(token, algorithm, kid),
            (algorithm, kid),
            &edited.text,
            &contents,
            now,
        )
    }

    /// Signs a payload with its capsule put into it.
    fn sealed(
        &self,
        header: &Value,
        (algorithm, kid): (Algorithm, &str),
        payload: &str,
        contents: &Contents,
        now: Timestamp,
    ) -> Result<String, Unissued> {
        // What we sign must be read by ourselves later, as strictly as everything else.
        json::parse(payload.as_bytes()).map_err(|malformed| Unissued::Unreadable(malformed.to_string()))?;
        let sealed = self.sealer.seal(contents, &Outer { kid, payload }, now);
        let capsule = (capsule::CLAIM, sealed.ok_or(Unissued::Crypto)?.into());
        let payload = splice(payload, [capsule]).map_err(unreadable)?;
        self.sign(header, algorithm, kid, &payload.text)
    }

    /// The algorithm for a token of the upstream, and the key for it.
    fn signer(&self, token: &Verified, now: Timestamp) -> Result<(Algorithm, &str), Unissued> {
        let algorithm = self.algorithm.for_upstream(token.algorithm());
        let kid = self.ring.signing_kid(algorithm, now);
        Ok((algorithm, kid.ok_or(Unissued::NoKey(algorithm))?))
    }

    fn sign(&self, header: &Value, algorithm: Algorithm, kid: &str, payload: &str) -> Result<String, Unissued> {
        let signed = jws::signing_input(header.to_string().as_bytes(), payload.as_bytes());
        let signature = self
            .ring
            .sign(kid, algorithm, signed.as_bytes())
            .ok_or(Unissued::Crypto)?;
        let reissued = jws::append(signed, &signature);
        // A token that `restore` would not look at must not go out.
        if reissued.len() > jws::MAX_TOKEN || jws::peek_kid(&reissued).as_deref() != Some(kid) {
            return Err(Unissued::TooLong);
        }
        Ok(reissued)
    }
}

/// The header of the new token: our algorithm and `kid`, and what else the upstream wrote, save what speaks of its key.
fn header(token: &Verified, algorithm: Algorithm, kid: &str) -> Value {
    let mut header = Map::new();
    header.insert("alg".into(), algorithm.name().into());
    header.insert("kid".into(), kid.into());
    for (name, value) in token.header() {
        if !OF_THE_KEY.contains(&name.as_str()) {
            header.insert(name.clone(), value.clone());
        }
    }
    Value::Object(header)
}

fn refuse_reserved(add: &Map<String, Value>) -> Result<(), Unissued> {
    match add.keys().find(|name| RESERVED.contains(&name.as_str())) {
        Some(name) => Err(Unissued::Reserved(name.clone())),
        None => Ok(()),
    }
}

fn unreadable(error: Unspliceable) -> Unissued {
    Unissued::Unreadable(error.to_string())
}

/// Claims that are ours to compute, or that would make the token another's.
const RESERVED: [&str; 5] = [capsule::CLAIM, "iss", "at_hash", "c_hash", "s_hash"];
const OF_THE_KEY: [&str; 8] = ["alg", "kid", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];
