//! A look at a token that nobody has verified, only to tell whose it claims to be.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use memchr::memmem;
use serde_json::Value;

use crate::json;

use super::jws::MAX_TOKEN;

/// The `iss` that a JWT under a public-key algorithm claims. `None` for opaque tokens and for those that only their issuer
/// can verify. Never a ground to trust a token, only to refuse it.
pub fn claimed_issuer(raw: &str) -> Option<String> {
    let (header, claims) = parts(raw)?;
    let algorithm = header.get("alg").and_then(Value::as_str)?;
    let is_public = !algorithm.starts_with("HS") && algorithm != "none";
    is_public
        .then(|| claims.get("iss")?.as_str().map(str::to_owned))
        .flatten()
}

/// The one `aud` that a JWT claims. Only to know what it has to be verified as.
pub fn claimed_audience(raw: &str) -> Option<String> {
    match parts(raw)?.1.get("aud")? {
        Value::String(one) => Some(one.clone()),
        Value::Array(several) => match several.as_slice() {
            [Value::String(one)] => Some(one.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a JWT says of itself that it is an ID token, by a claim `typ`. Only to know what it has to be
/// verified as.
pub fn claims_to_be_id_token(raw: &str) -> bool {
    // Most tokens are none, and in those the word stands nowhere, however it could be spelled.
    let payload = raw
        .split('.')
        .nth(1)
        .and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let may_say_so =
        |payload: &[u8]| memmem::find(payload, b"\"ID\"").is_some() || memchr::memchr(b'\\', payload).is_some();
    payload.is_some_and(|payload| may_say_so(&payload))
        && parts(raw).is_some_and(|(_, claims)| claims.get("typ").and_then(Value::as_str) == Some("ID"))
}

/// Whether a text has the form of a JWT, signed or encrypted, whatever it says.
pub fn is_jwt_shaped(raw: &str) -> bool {
    let mut parts = raw.split('.');
    let header = parts.next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    header.is_some_and(|header| header.trim_ascii_start().starts_with(b"{")) && matches!(parts.count(), 2 | 4)
}

fn parts(raw: &str) -> Option<(Value, Value)> {
    if raw.len() > MAX_TOKEN || raw.matches('.').count() != 2 {
        return None;
    }
    let mut parts = raw
        .split('.')
        .take(2)
        .map(|part| json::parse(&URL_SAFE_NO_PAD.decode(part).ok()?).ok());
    Some((parts.next()??, parts.next()??))
}
