//! The signature of a request: Standard Webhooks, `v1,` + base64(HMAC-SHA256(key, `id.timestamp.body`)).

use std::{fmt, path::Path};

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use ring::hmac;

use super::Settings;
use crate::{
    misconfigured::Misconfigured,
    secret::{Secret, SecretSource},
};

/// Signs with the keys of one interceptor: the current one first, then the one before a rotation.
pub(super) struct Signer {
    keys: Vec<hmac::Key>,
}

impl Signer {
    /// Reads `secret` and `previous_secret`.
    pub(super) fn read(settings: &Settings, base: &Path) -> Result<Self, Vec<Misconfigured>> {
        let sources = [
            ("secret", Some(&settings.secret)),
            ("previous_secret", settings.previous_secret.as_ref()),
        ];
        let mut keys = Vec::new();
        let mut found = Vec::new();
        for (key, source) in sources.into_iter().filter_map(|(key, source)| Some((key, source?))) {
            match read_key(key, source, base) {
                Ok(key) => keys.push(key),
                Err(finding) => found.push(finding),
            }
        }
        if found.is_empty() {
            Ok(Self { keys })
        } else {
            Err(found)
        }
    }

    /// The value of the signature header: one signature for each key, separated by one space.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp}.");
        let signatures = self.keys.iter().map(|key| {
            let mut context = hmac::Context::with_key(key);
            context.update(head.as_bytes());
            context.update(body);
            format!("v1,{}", STANDARD.encode(context.sign()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

fn read_key(key: &str, source: &SecretSource, base: &Path) -> Result<hmac::Key, Misconfigured> {
    let secret = source
        .read(base)
        .map_err(|error| Misconfigured::new(key, error.to_string()))?;
    let bytes = decode(&secret).ok_or_else(|| {
        Misconfigured::new(key, format!("the secret in {source} is not a prefix and base64"))
            .hint("a secret is `whsec_` and a key in base64; make one with `echo whsec_$(openssl rand -base64 32)`")
    })?;
    if bytes.len() < MIN_KEY {
        return Err(
            Misconfigured::new(key, format!("the secret in {source} is shorter than {MIN_KEY} bytes"))
                .hint("make one with `echo whsec_$(openssl rand -base64 32)`"),
        );
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Base64's standard alphabet has no `_`, so the prefix ends at the last one.
fn decode(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose_str()?.trim();
    let encoded = text.rsplit_once('_').map_or(text, |(_, encoded)| encoded);
    BASE64.decode(encoded).ok()
}

const MIN_KEY: usize = 16;

/// Padding may be left out, as Standard Webhooks libraries take it either way.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secrets: &[&str]) -> Signer {
        let keys = secrets.iter().map(|s| decode(&Secret::new(*s)).unwrap());
        Signer {
            keys: keys.map(|k| hmac::Key::new(hmac::HMAC_SHA256, &k)).collect(),
        }
    }

    #[test]
    fn the_published_example_of_standard_webhooks_verifies() {
        let signer = signer(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let body = br#"{"test": 2432232314}"#;
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_live_secrets_give_both_signatures_separated_by_one_space() {
        let (new, old) = ("whsec_AAAAAAAAAAAAAAAAAAAAAA==", "old_key_AAAAAAAAAAAAAAAAAAAAAQ");
        let both = signer(&[new, old]).sign("id", 1, b"{}");
        let alone = |secret| signer(&[secret]).sign("id", 1, b"{}");
        assert_eq!(both, format!("{} {}", alone(new), alone(old)));
    }

    #[test]
    fn a_secret_that_is_no_base64_or_too_short_is_named_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in ["whsec_not base64!", "whsec_c2hvcnQ="] {
            std::fs::write(dir.path().join("key"), wrong).unwrap();
            let finding = read_key("secret", &SecretSource::File { file: "key".into() }, dir.path()).unwrap_err();
            assert_eq!(finding.key, "secret");
            assert!(!finding.to_string().contains(wrong.split_once('_').unwrap().1));
        }
    }
}
