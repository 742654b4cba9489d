//! The compact serialisation of a JWS (RFC 7515 §7.1), read strictly.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::splice::without_repetitions;
use crate::json;

/// The longest token that is looked at, in bytes. No relying party takes one this long in a header.
pub(super) const MAX_TOKEN: usize = 256 * 1024;

/// A compact JWS taken apart and decoded; nothing of it is verified.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    /// What the signature covers: both encoded parts and the dot between.
    pub(super) signed: &'a str,
    /// The protected header's bytes.
    pub(super) header_bytes: Vec<u8>,
    pub(super) header: Map<String, Value>,
    /// The payload's JSON text.
    pub(super) payload: String,
    pub(super) claims: Map<String, Value>,
    pub(super) signature: Vec<u8>,
}

/// Why a text is no compact JWS with a JSON object in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotCompact {
    /// Not three parts: some other kind of token. Says how many there are.
    Parts(usize),
    /// Three parts, of which this cannot be read.
    Unreadable(&'static str),
}

impl<'a> Compact<'a> {
    /// Takes a token apart: exactly three parts, each in canonical base64url without padding; header and payload are
    /// JSON objects without duplicate members.
    pub(super) fn read(raw: &'a str) -> Result<Self, NotCompact> {
        Self::read_with(raw, Some)
    }

    /// Takes a token apart likewise, and takes a member of the payload that is repeated to the letter for one: there are
    /// providers that say `iss` twice in an authorization response. `payload` has it once then.
    pub(super) fn read_repeating(raw: &'a str) -> Result<Self, NotCompact> {
        Self::read_with(raw, |payload| without_repetitions(payload).ok())
    }

    /// Takes a token apart likewise, with what `readable` makes of the payload's text in its place.
    pub(super) fn read_with(raw: &'a str, readable: impl FnOnce(String) -> Option<String>) -> Result<Self, NotCompact> {
        if raw.len() > MAX_TOKEN {
            return Err(NotCompact::Unreadable("it is too long"));
        }
        let (Some((signed, signature)), 2) = (raw.rsplit_once('.'), raw.matches('.').count()) else {
            return Err(NotCompact::Parts(raw.split('.').count()));
        };
        let Some((header, payload)) = signed.split_once('.') else {
            return Err(NotCompact::Parts(1));
        };
        let header_bytes = decode(header).ok_or(NotCompact::Unreadable("its header is not canonical base64url"))?;
        let payload = decode(payload).ok_or(NotCompact::Unreadable("its payload is not canonical base64url"))?;
        let signature = decode(signature).ok_or(NotCompact::Unreadable("its signature is not canonical base64url"))?;
        let not_strict = NotCompact::Unreadable("its payload is not one strict JSON object");
        let payload = String::from_utf8(payload).map_err(|_| NotCompact::Unreadable("its payload is not UTF-8"))?;
        let payload = readable(payload).ok_or(not_strict)?;
        Ok(Self {
            signed,
            header: object(&header_bytes).ok_or(NotCompact::Unreadable("its header is not one strict JSON object"))?,
            claims: object(payload.as_bytes()).ok_or(not_strict)?,
            payload,
            header_bytes,
            signature,
        })
    }
}

/// The `kid` in the header of what may be a JWT: cheap, bounded, and verifying nothing. For telling a token of ours
/// from a native one of the upstream before any work is done.
pub fn peek_kid(raw: &str) -> Option<String> {
    let (header, _) = raw.split_once('.')?;
    if header.len() > MAX_PEEKED {
        return None;
    }
    match object(&decode(header)?)?.remove("kid")? {
        Value::String(kid) => Some(kid),
        _ => None,
    }
}

/// What a signature covers: header and payload, encoded, the dot between.
pub(super) fn signing_input(header: &[u8], payload: &[u8]) -> String {
    let mut signed = URL_SAFE_NO_PAD.encode(header);
    signed.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut signed);
    signed
}

/// Completes a signing input with its signature.
pub(super) fn append(mut signed: String, signature: &[u8]) -> String {
    signed.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut signed);
    signed
}

/// The engine refuses padding and bits left over at the end, so there is one spelling of each value.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match json::parse(bytes) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

const MAX_PEEKED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_spelling() {
        // {} . {} . two bytes
        assert!(Compact::read("e30.e30.AAA").is_ok());
        for wrong in [
            "",
            "e30",
            "e30.e30",
            "e30.e30.AAA.",
            ".e30.e30.AAA",
            "e30.e30.AAA.e30.AAA",
            "e30=.e30.AAA",
            "e30.e30.AAA=",
            "e31.e30.AAA",
            "e30.e30.AAB",
            "e3 0.e30.AAA",
            "e30.e30\n.AAA",
            " e30.e30.AAA",
            "e30.e30.A+A",
            "e30.e30.A",
            "W10.e30.AAA",
            "e30.W10.AAA",
            ".e30.AAA",
            "e30..AAA",
        ] {
            assert!(Compact::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_peek_reads_the_header_alone() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"k1"}"#);
        assert_eq!(peek_kid(&format!("{header}.x")), Some("k1".into()));
        assert_eq!(peek_kid(&header), None);
        assert_eq!(peek_kid("opaque"), None);
        assert_eq!(peek_kid("e30.e30.AAA"), None);
        let twice = URL_SAFE_NO_PAD.encode(r#"{"kid":"a","k\u0069d":"b"}"#);
        assert_eq!(peek_kid(&format!("{twice}.x")), None);
        let long = URL_SAFE_NO_PAD.encode(format!(r#"{{"kid":"k1","x":"{}"}}"#, "a".repeat(MAX_PEEKED)));
        assert_eq!(peek_kid(&format!("{long}.x")), None);
    }
}
