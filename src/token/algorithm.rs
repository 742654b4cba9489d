//! The signature algorithms that Tollgate verifies and makes.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature as lc;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use serde::{Deserialize, Deserializer, de};

/// An asymmetric JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1). `none` and the symmetric ones have no value here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 7518")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// What a key is; it alone decides which algorithms fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// With which algorithm a token is signed anew: the setting `tokens.algorithm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlgorithmChoice {
    /// The one that the upstream used for the token at hand.
    #[default]
    Match,
    /// Always this one.
    Fixed(Algorithm),
}

impl Algorithm {
    /// Every algorithm, in the order of RFC 7518.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The name as it stands in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of this exact name; names are case-sensitive (RFC 7515 §4.1.1).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The kind of key it needs.
    pub fn family(self) -> Family {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => Family::Rsa,
            Self::ES256 => Family::P256,
            Self::ES384 => Family::P384,
            Self::EdDSA => Family::Ed25519,
        }
    }

    /// The left half of the value's hash as `at_hash` and `c_hash` want it (OpenID Connect Core §3.1.3.6). `EdDSA`
    /// with Ed25519 hashes with SHA-512.
    pub(super) fn half_hash(self, value: &str) -> String {
        let hash = digest::digest(self.digest(), value.as_bytes());
        let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
        URL_SAFE_NO_PAD.encode(left)
    }

    /// Whether both hash with the same function, so that a half hash made for one is right for the other.
    pub(super) fn hashes_like(self, other: Self) -> bool {
        self.digest() == other.digest()
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::RS256 | Self::PS256 | Self::ES256 => &digest::SHA256,
            Self::RS384 | Self::PS384 | Self::ES384 => &digest::SHA384,
            Self::RS512 | Self::PS512 | Self::EdDSA => &digest::SHA512,
        }
    }

    /// The same algorithm in the words of the library that verifies with it.
    pub(super) fn in_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::RS384 => jsonwebtoken::Algorithm::RS384,
            Self::RS512 => jsonwebtoken::Algorithm::RS512,
            Self::PS256 => jsonwebtoken::Algorithm::PS256,
            Self::PS384 => jsonwebtoken::Algorithm::PS384,
            Self::PS512 => jsonwebtoken::Algorithm::PS512,
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::ES384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    /// The padding for an RSA key; none for the other families.
    pub(super) fn rsa_padding(self) -> Option<&'static dyn lc::RsaEncoding> {
        match self {
            Self::RS256 => Some(&lc::RSA_PKCS1_SHA256),
            Self::RS384 => Some(&lc::RSA_PKCS1_SHA384),
            Self::RS512 => Some(&lc::RSA_PKCS1_SHA512),
            Self::PS256 => Some(&lc::RSA_PSS_SHA256),
            Self::PS384 => Some(&lc::RSA_PSS_SHA384),
            Self::PS512 => Some(&lc::RSA_PSS_SHA512),
            Self::ES256 | Self::ES384 | Self::EdDSA => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Family {
    /// The name that key files and lists use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithms a key of this kind can sign with.
    pub fn algorithms(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL
            .into_iter()
            .filter(move |algorithm| algorithm.family() == self)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl AlgorithmChoice {
    /// The algorithm for a token that the upstream signed with `upstream`.
    pub fn for_upstream(self, upstream: Algorithm) -> Algorithm {
        match self {
            Self::Match => upstream,
            Self::Fixed(algorithm) => algorithm,
        }
    }
}

impl FromStr for AlgorithmChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "match" {
            return Ok(Self::Match);
        }
        Algorithm::named(text).map(Self::Fixed).ok_or_else(|| {
            let names = Algorithm::ALL.map(Algorithm::name).join(", ");
            format!("`{text}` is no algorithm to sign with; write `match` or one of {names}")
        })
    }
}

impl<'de> Deserialize<'de> for AlgorithmChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_half_hash_is_the_one_of_the_specification() {
        // OpenID Connect Core, appendix A.4 and A.6.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(Algorithm::RS256.half_hash(token), "77QmUPtjPfzWtF2AnpK9RQ");
        let code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
        assert_eq!(Algorithm::RS256.half_hash(code), "LDktKdoQak3Pk0cnXxCltA");
    }

    #[test]
    fn symmetric_and_missing_algorithms_have_no_value() {
        for name in ["none", "HS256", "HS512", "rs256", "ES256K", ""] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
        assert_eq!("match".parse(), Ok(AlgorithmChoice::Match));
        assert_eq!("PS384".parse(), Ok(AlgorithmChoice::Fixed(Algorithm::PS384)));
        assert!("HS256".parse::<AlgorithmChoice>().is_err());
    }
}
