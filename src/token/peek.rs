//! A look at a token that nobody has verified, only to tell whose it claims to be.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::json;

use super::jws::MAX_TOKEN;

/// The `iss` that a JWT under a public-key algorithm claims. `None` for opaque tokens and for those that only their issuer
/// can verify. Never a ground to trust a token, only to refuse it.
pub fn claimed_issuer(raw: &str) -> Option<String> {
    if raw.len() > MAX_TOKEN || raw.matches('.').count() != 2 {
        return None;
    }
    let mut parts = raw
        .split('.')
        .take(2)
        .map(|part| json::parse(&URL_SAFE_NO_PAD.decode(part).ok()?).ok());
    let (header, claims) = (parts.next()??, parts.next()??);
    let algorithm = header.get("alg").and_then(Value::as_str)?;
    let is_public = !algorithm.starts_with("HS") && algorithm != "none";
    is_public
        .then(|| claims.get("iss")?.as_str().map(str::to_owned))
        .flatten()
}
