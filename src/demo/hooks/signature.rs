//! Whether a request comes from the proxy: Standard Webhooks. There is a library for it in most languages; this is
//! what they do.

use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::{
    error::Unspecified,
    hmac,
    rand::{SecureRandom, SystemRandom},
};

use crate::secret::Secret;

/// The key that one interceptor shares with the proxy.
pub(super) struct Key(hmac::Key);

/// Why a request is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Untrusted {
    #[error("the headers webhook-id, webhook-timestamp and webhook-signature are missing")]
    Unsigned,
    #[error("the timestamp is more than five minutes off")]
    Old,
    #[error("no signature fits")]
    Forged,
}

impl Key {
    /// A fresh key, and the same as the text that goes into a configuration: `whsec_` and base64.
    pub(super) fn generate() -> Result<(Self, Secret), Unspecified> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes)?;
        let text = format!("whsec_{}", STANDARD.encode(bytes));
        Ok((Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)), Secret::new(text)))
    }

    /// Checks `webhook-signature`: at least one of its `v1,…` must be the HMAC-SHA256 of `id.timestamp.body`. The
    /// timestamp is part of it, so that an old request cannot be sent again for ever.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Untrusted> {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .ok_or(Untrusted::Unsigned)
        };
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        let sent: i64 = timestamp.parse().map_err(|_| Untrusted::Unsigned)?;
        if now.as_second().abs_diff(sent) > TOLERANCE_SECONDS {
            return Err(Untrusted::Old);
        }
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        let fits = |signature: &str| {
            let tag = signature.strip_prefix("v1,").and_then(|tag| STANDARD.decode(tag).ok());
            // `hmac::verify` compares in constant time.
            tag.is_some_and(|tag| hmac::verify(&self.0, &signed, &tag).is_ok())
        };
        if header("webhook-signature")?.split(' ').any(fits) {
            Ok(())
        } else {
            Err(Untrusted::Forged)
        }
    }

    /// The signature of a request, for tests.
    #[cfg(test)]
    pub(super) fn sign(secret: &Secret, id: &str, timestamp: i64, body: &str) -> String {
        let key = secret.expose_str().unwrap().strip_prefix("whsec_").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(key).unwrap());
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

const TOLERANCE_SECONDS: u64 = 300;
