//! What a logout token must say (OpenID Connect Back-Channel Logout 1.0 §2.4, §2.6).

use jiff::Timestamp;
use serde_json::Value;

use super::{Claims, LEEWAY_SECONDS, LOGOUT_EVENT, missing, refused, seconds_of};
use crate::token::verify::Unverified;

/// A token that does not say when it ends is no older than this, in seconds.
const LONGEST_WITHOUT_END: f64 = 120.0;

/// Issuer and times are checked already; `audiences` are those of the token.
pub(super) fn check(claims: Claims<'_>, audiences: &[&str], client_id: &str, now: Timestamp) -> Result<(), Unverified> {
    if audiences != [client_id] {
        return Err(refused("aud", "is not the client alone"));
    }
    let issued = claims.seconds("iat")?.ok_or(missing("iat"))?;
    let oldest = seconds_of(now) - LONGEST_WITHOUT_END - LEEWAY_SECONDS;
    if claims.seconds("exp")?.is_none() && issued < oldest {
        return Err(refused("iat", "is too long ago for a token without `exp`"));
    }
    let text = |claim| Ok(claims.text(claim)?.filter(|text| !text.is_empty()));
    text("jti")?.ok_or(missing("jti"))?;
    if text("sub")?.or(text("sid")?).is_none() {
        return Err(missing("sub"));
    }
    match claims.0.get("events").map(|events| events.get(LOGOUT_EVENT)) {
        Some(Some(Value::Object(_))) => {}
        Some(_) => return Err(refused("events", "has no member for a logout")),
        None => return Err(missing("events")),
    }
    // So that nobody takes an ID token for one.
    if claims.0.contains_key("nonce") {
        return Err(refused("nonce", "is that of an ID token"));
    }
    Ok(())
}
