//! Sealing cookies and marking forms, with keys that are derived from the secret of the capsules and used for nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hkdf, hmac,
    rand::{SecureRandom, SystemRandom},
};

use crate::{misconfigured::Misconfigured, secret::Secret};

/// AES-256-GCM and HMAC-SHA256. Any replica with the same secret opens what another sealed.
pub(super) struct Seal {
    sealing: LessSafeKey,
    marking: hmac::Key,
    random: SystemRandom,
}

impl Seal {
    pub(super) fn new(secret: &Secret) -> Result<Self, Misconfigured> {
        let unusable = |_| Misconfigured::new("tokens.capsule_secret", "no key can be derived from the secret");
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tollgate").extract(secret.expose());
        let sealing = extracted
            .expand(&[b"dashboard v1 seal"], &AES_256_GCM)
            .map_err(unusable)?;
        let marking = extracted
            .expand(&[b"dashboard v1 mark"], hmac::HMAC_SHA256)
            .map_err(unusable)?;
        Ok(Self {
            sealing: LessSafeKey::new(UnboundKey::from(sealing)),
            marking: hmac::Key::from(marking),
            random: SystemRandom::new(),
        })
    }

    /// Seals a text for one purpose; it opens for no other. `None` only where the machine has no random numbers.
    pub(super) fn seal(&self, purpose: &str, text: &str) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = self.random()?;
        let mut sealed = text.as_bytes().to_vec();
        self.sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut sealed,
            )
            .ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed for this purpose.
    pub(super) fn open(&self, purpose: &str, sealed: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .sealing
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut sealed)
            .ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }

    /// A mark of a text that nobody else can make.
    pub(super) fn mark(&self, purpose: &str, text: &str) -> String {
        let tag = hmac::sign(&self.marking, format!("{purpose}\0{text}").as_bytes());
        URL_SAFE_NO_PAD.encode(tag)
    }

    /// Whether two texts are the same, in a time that says nothing about where they differ.
    pub(super) fn same(&self, expected: &[u8], presented: &[u8]) -> bool {
        let tag = hmac::sign(&self.marking, presented);
        hmac::verify(&self.marking, expected, tag.as_ref()).is_ok()
    }

    /// A fresh value that nobody can guess, in base64url.
    pub(super) fn fresh(&self) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(self.random::<32>()?))
    }

    fn random<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// The challenge of a verifier (RFC 7636 §4.2, `S256`).
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_alone_and_only_unchanged() {
        let seal = Seal::new(&Secret::new([7; 32])).unwrap();
        let sealed = seal.seal("session", "ada").unwrap();
        assert_eq!(seal.open("session", &sealed).unwrap(), "ada");
        assert_eq!(seal.open("login", &sealed), None);
        assert_eq!(Seal::new(&Secret::new([8; 32])).unwrap().open("session", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.open("session", std::str::from_utf8(&changed).unwrap()), None);
        }
        assert_ne!(sealed, seal.seal("session", "ada").unwrap());
    }

    #[test]
    fn texts_are_compared_whole() {
        let seal = Seal::new(&Secret::new([7; 32])).unwrap();
        assert!(seal.same(b"token", b"token"));
        for other in ["", "toke", "token ", "Token"] {
            assert!(!seal.same(b"token", other.as_bytes()));
        }
        assert_ne!(seal.mark("csrf", "a"), seal.mark("csrf", "b"));
    }
}
