//! Verifies the upstream's tokens as a strict relying party does.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    algorithm::Algorithm,
    jws::{Compact, NotCompact},
    upstream_keys::UpstreamKeys,
};

mod claims;

/// What a token must be, besides well signed.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The upstream's issuer; `iss` must be exactly this.
    pub issuer: &'a str,
    /// What kind of token, for whom.
    pub kind: Kind<'a>,
}

/// The kind of token and what it must be bound to. An absent value is one that the caller cannot know.
#[derive(Clone, Copy)]
pub enum Kind<'a> {
    /// An access token (RFC 9068, or a provider's own form of it).
    AccessToken {
        /// The requesting client: `azp` and `client_id`, where present, must be this.
        client_id: Option<&'a str>,
    },
    /// An ID token (OpenID Connect Core §2, §3.1.3.7).
    IdToken {
        /// The requesting client: `aud` must hold it, `azp` if present be it.
        client_id: Option<&'a str>,
        /// The nonce of the authorization request.
        nonce: Option<&'a str>,
        /// The access token that came along; `at_hash`, where present, must fit it.
        access_token: Option<&'a str>,
        /// The authorization code it was exchanged for; `c_hash`, where present, must fit it.
        code: Option<&'a str>,
        /// The `state` beside it in the front channel; `s_hash`, where present, must fit it.
        state: Option<&'a str>,
    },
    /// The parameters of an authorization response in one JWT (JARM §2.1).
    AuthorizationResponse {
        /// The requesting client: `aud` must hold it.
        client_id: Option<&'a str>,
    },
    /// A signed userinfo response (OpenID Connect Core §5.3.2).
    Userinfo {
        /// The client whose access token was presented: `aud` must hold it.
        client_id: Option<&'a str>,
    },
    /// A signed introspection response (RFC 9701 §5).
    Introspection {
        /// The resource server that asks: `aud` must hold it.
        client_id: Option<&'a str>,
    },
    /// A logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
    LogoutToken {
        /// The relying party that it is for: `aud` must be this alone.
        client_id: &'a str,
    },
}

/// What a token was verified as, and may be signed anew as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    AccessToken,
    IdToken,
    Statement,
}

/// A token of the upstream that a strict relying party would accept. Only [`verify`] makes one.
#[derive(Clone)]
pub struct Verified {
    raw: String,
    header_bytes: Vec<u8>,
    header: Map<String, Value>,
    algorithm: Algorithm,
    payload: String,
    claims: Map<String, Value>,
    signature: Vec<u8>,
    nature: Nature,
}

/// Why a token was not verified. Shows no claim's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It is not made of three or five parts: no JWT, but an opaque token.
    #[error("the upstream's token is not a JWT")]
    NotAJwt,
    /// It is encrypted (JWE), so it can be neither checked nor signed anew.
    #[error(
        "the upstream's token is encrypted and cannot be signed anew; turn off token encryption for this client at the upstream"
    )]
    Encrypted,
    /// It is signed with a secret that the upstream and the client share, so it can be neither checked nor signed anew.
    #[error(
        "the upstream's token is signed with the symmetric algorithm {0} and cannot be signed anew; choose RS256 or another asymmetric algorithm for this client at the upstream"
    )]
    Symmetric(String),
    /// No key of the upstream's JWKS has its `kid`. The caller may fetch the JWKS anew, once.
    #[error("no key of the upstream's key set has the kid {kid:?} of its token")]
    UnknownKey {
        /// The `kid` in the header, if there is one.
        kid: Option<String>,
    },
    /// Three parts that cannot be read in one way only.
    #[error("the upstream's token is malformed: {0}")]
    Malformed(&'static str),
    /// A header member that is missing, wrong, or asks for something we refuse.
    #[error("the upstream's token has a header that is refused: {0}")]
    Header(&'static str),
    /// The header's algorithm is none that the key can have signed with.
    #[error("the upstream's token names an algorithm that does not fit its key")]
    Algorithm,
    /// The signature is wrong.
    #[error("the upstream's token has a wrong signature")]
    Signature,
    /// A claim is missing or wrong.
    #[error("the upstream's token has a claim that is refused: `{claim}` {problem}")]
    Claim {
        /// Which one.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Verifies a token against the upstream's keys and what is expected of it, with 60 s of leeway for the times. The
/// header's `kid` only picks a key and `alg` must fit it; `jku`, `x5u`, `x5c` and `jwk` are never used, `crit` never
/// accepted (RFC 8725 §3).
pub fn verify(raw: &str, keys: &UpstreamKeys, expected: &Expected<'_>, now: Timestamp) -> Result<Verified, Unverified> {
    let compact = match expected.kind {
        Kind::AuthorizationResponse { .. } => Compact::read_repeating(raw),
        _ => Compact::read(raw),
    };
    let compact = compact.map_err(|error| match error {
        NotCompact::Parts(5) => Unverified::Encrypted,
        NotCompact::Parts(_) => Unverified::NotAJwt,
        NotCompact::Unreadable(why) => Unverified::Malformed(why),
    })?;
    let algorithm = check_signed(&compact, &expected.kind, keys)?;
    claims::check(&compact.claims, algorithm, expected, now)?;
    Ok(Verified {
        raw: raw.to_owned(),
        header_bytes: compact.header_bytes,
        header: compact.header,
        algorithm,
        payload: compact.payload,
        claims: compact.claims,
        signature: compact.signature,
        nature: match expected.kind {
            Kind::AccessToken { .. } => Nature::AccessToken,
            Kind::IdToken { .. } => Nature::IdToken,
            Kind::AuthorizationResponse { .. }
            | Kind::Userinfo { .. }
            | Kind::Introspection { .. }
            | Kind::LogoutToken { .. } => Nature::Statement,
        },
    })
}

impl Verified {
    /// The claims, with every number as it was written.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The algorithm it is signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The token as the upstream sent it.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    pub(super) fn nature(&self) -> Nature {
        self.nature
    }

    pub(super) fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    pub(super) fn header_bytes(&self) -> &[u8] {
        &self.header_bytes
    }

    pub(super) fn payload(&self) -> &str {
        &self.payload
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// A token is a credential: its claims may be read, never printed by accident.
impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified")
            .field("algorithm", &self.algorithm)
            .field("nature", &self.nature)
            .finish_non_exhaustive()
    }
}

/// Everything but the claims: header, type and signature.
pub(super) fn check_signed(
    compact: &Compact<'_>,
    kind: &Kind<'_>,
    keys: &UpstreamKeys,
) -> Result<Algorithm, Unverified> {
    let algorithm = algorithm(&compact.header)?;
    check_type(&compact.header, kind)?;
    check_signature(compact, algorithm, keys)?;
    Ok(algorithm)
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, Unverified> {
    if header.contains_key("enc") {
        return Err(Unverified::Header("it speaks of encryption"));
    }
    if header.contains_key("crit") {
        return Err(Unverified::Header("`crit` asks for extensions"));
    }
    // RFC 7797 changes what is signed, and §6 wants it in `crit`; whoever overlooks it reads another payload.
    if header.contains_key("b64") {
        return Err(Unverified::Header("`b64` changes how the payload is read"));
    }
    let name = header
        .get("alg")
        .and_then(Value::as_str)
        .ok_or(Unverified::Header("`alg` is missing"))?;
    if name.starts_with("HS") {
        return Err(Unverified::Symmetric(name.chars().take(8).collect()));
    }
    Algorithm::named(name).ok_or(Unverified::Header("`alg` is none of the asymmetric algorithms we know"))
}

/// An explicit type keeps one kind of JWT from being taken for another (RFC 8725 §3.11): logout tokens, security
/// events and DPoP proofs are signed with the same keys.
fn check_type(header: &Map<String, Value>, kind: &Kind<'_>) -> Result<(), Unverified> {
    let name = match header.get("typ") {
        // RFC 9701 §5 wants it there, so that no other JWT is taken for an answer about a token.
        None if matches!(kind, Kind::Introspection { .. }) => return Err(Unverified::Header("`typ` is missing")),
        None => return Ok(()),
        Some(Value::String(name)) => name.to_ascii_lowercase(),
        Some(_) => return Err(Unverified::Header("`typ` is not a string")),
    };
    match (name.strip_prefix("application/").unwrap_or(&name), kind) {
        ("token-introspection+jwt", Kind::Introspection { .. })
        | ("at+jwt", Kind::AccessToken { .. })
        | ("logout+jwt", Kind::LogoutToken { .. }) => Ok(()),
        ("jwt", kind) if !matches!(kind, Kind::Introspection { .. }) => Ok(()),
        _ => Err(Unverified::Header("`typ` is that of another kind of token")),
    }
}

fn check_signature(compact: &Compact<'_>, algorithm: Algorithm, keys: &UpstreamKeys) -> Result<(), Unverified> {
    let kid = match compact.header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(Unverified::Header("`kid` is not a string")),
    };
    let candidates = keys.candidates(kid);
    if candidates.is_empty() {
        return Err(Unverified::UnknownKey {
            kid: kid.map(str::to_owned),
        });
    }
    if !candidates.iter().any(|key| key.fits(algorithm)) {
        return Err(Unverified::Algorithm);
    }
    candidates
        .iter()
        .any(|key| key.verifies(algorithm, compact.signed.as_bytes(), &compact.signature))
        .then_some(())
        .ok_or(Unverified::Signature)
}
