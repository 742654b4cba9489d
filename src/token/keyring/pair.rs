//! A private key, parsed once and held: parsing costs more than signing.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use jsonwebtoken::DecodingKey;

use crate::{
    misconfigured::Misconfigured,
    token::{
        algorithm::{Algorithm, Family},
        public_key::PublicKey,
    },
};

/// A key pair of one family. `Debug` shows no private part: the library's own types print the public key alone.
#[derive(Debug)]
pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Ec(Family, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    /// Reads an unencrypted PKCS#8 document; what it holds decides the family.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Some(Self::Rsa(pair));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Some(Self::Ed25519(pair));
        }
        CURVES.into_iter().find_map(|(family, curve)| {
            let pair = EcdsaKeyPair::from_pkcs8(curve, der).ok()?;
            Some(Self::Ec(family, pair))
        })
    }

    /// Makes a key: RSA of 2048 bits, or of the size of the one it succeeds.
    pub(super) fn generate(family: Family, predecessor: Option<&Self>) -> Result<Self, Misconfigured> {
        let made = match family {
            Family::Rsa => {
                let size = match predecessor {
                    Some(Self::Rsa(old)) => rsa_size(old.public_modulus_len()),
                    _ => KeySize::Rsa2048,
                };
                RsaKeyPair::generate(size).map(Self::Rsa)
            }
            Family::P256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(|pair| Self::Ec(family, pair)),
            Family::P384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map(|pair| Self::Ec(family, pair)),
            Family::Ed25519 => Ed25519KeyPair::generate().map(Self::Ed25519),
        };
        made.map_err(|_| {
            Misconfigured::new(
                super::KEYS,
                format!("the machine could not make a key of kind {family}"),
            )
        })
    }

    /// The key as PKCS#8 DER, for its file.
    pub(super) fn to_pkcs8(&self) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair)
                .ok()
                .map(|der| der.as_ref().to_vec()),
            Self::Ec(_, pair) => pair.to_pkcs8v1().ok().map(|document| document.as_ref().to_vec()),
            Self::Ed25519(pair) => pair.to_pkcs8v1().ok().map(|document| document.as_ref().to_vec()),
        }
    }

    /// Its public part; `None` where that is none a relying party could use.
    pub(super) fn public(&self) -> Option<PublicKey> {
        PublicKey::new(match self {
            Self::Rsa(pair) => {
                let components = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                DecodingKey::from_rsa_raw_components(&components.n, &components.e)
            }
            Self::Ec(_, pair) => DecodingKey::from_ec_der(pair.public_key().as_ref()),
            Self::Ed25519(pair) => DecodingKey::from_ed_der(pair.public_key().as_ref()),
        })
    }

    /// Signs; `None` for an algorithm that needs another kind of key.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(algorithm.rsa_padding()?, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
            Self::Ec(family, pair) if *family == algorithm.family() => pair
                .sign(&random, message)
                .ok()
                .map(|signature| signature.as_ref().to_vec()),
            Self::Ed25519(pair) if algorithm.family() == Family::Ed25519 => Some(pair.sign(message).as_ref().to_vec()),
            Self::Ec(..) | Self::Ed25519(_) => None,
        }
    }
}

/// The size to generate for a modulus of so many bytes: never a shorter one.
fn rsa_size(modulus_bytes: usize) -> KeySize {
    [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096]
        .into_iter()
        .find(|size| size.len() >= modulus_bytes)
        .unwrap_or(KeySize::Rsa8192)
}

static CURVES: [(Family, &EcdsaSigningAlgorithm); 2] = [
    (Family::P256, &ECDSA_P256_SHA256_FIXED_SIGNING),
    (Family::P384, &ECDSA_P384_SHA384_FIXED_SIGNING),
];
