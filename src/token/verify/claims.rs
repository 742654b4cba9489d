//! What the claims of a token must say before it may be signed anew.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::token::algorithm::Algorithm;

use super::{Expected, Kind, Unverified};

mod logout;

/// Checks every claim that a strict relying party checks. A claim of the wrong JSON type is refused like a wrong one.
pub(super) fn check(
    claims: &Map<String, Value>,
    algorithm: Algorithm,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<(), Unverified> {
    let claims = Claims(claims);
    if claims.text("iss")?.ok_or(missing("iss"))? != expected.issuer {
        return Err(refused("iss", "is not the upstream's issuer"));
    }
    // An access or ID token and an authorization response must end; what is said about one need not (RFC 9701 §5).
    let must_end = !matches!(
        expected.kind,
        Kind::Userinfo { .. } | Kind::Introspection { .. } | Kind::LogoutToken { .. }
    );
    times(claims, must_end, now)?;
    let audiences = claims.audiences()?;
    // A logout token of the time before explicit types differs from an ID token by this claim alone
    // (OpenID Connect Back-Channel Logout §2.4).
    let ends_sessions = claims
        .0
        .get("events")
        .is_some_and(|events| events.get(LOGOUT_EVENT).is_some());
    if ends_sessions && !matches!(expected.kind, Kind::LogoutToken { .. }) {
        return Err(refused("events", "is that of a logout token"));
    }
    match expected.kind {
        Kind::AccessToken { client_id } => access_token(claims, client_id),
        Kind::IdToken {
            client_id,
            nonce,
            access_token,
            code,
            state,
        } => {
            claims
                .text("sub")?
                .filter(|sub| !sub.is_empty())
                .ok_or(missing("sub"))?;
            parties(claims, &audiences.ok_or(missing("aud"))?, client_id)?;
            if claims.seconds("iat")?.is_none() {
                return Err(missing("iat"));
            }
            let echoed = claims.text("nonce")?;
            if nonce.is_some() && echoed != nonce {
                return Err(refused("nonce", "is not the one of the request"));
            }
            half_hash(claims, "at_hash", algorithm, access_token)?;
            half_hash(claims, "c_hash", algorithm, code)?;
            half_hash(claims, "s_hash", algorithm, state)
        }
        Kind::AuthorizationResponse { client_id } => {
            parties(claims, &audiences.ok_or(missing("aud"))?, client_id)?;
            none_of(
                claims,
                &["sub", "typ", "azp", "client_id", "nonce", "at_hash", "c_hash"],
            )
        }
        Kind::Userinfo { client_id } => {
            claims.text("sub")?.ok_or(missing("sub"))?;
            parties(claims, &audiences.ok_or(missing("aud"))?, client_id)?;
            none_of(claims, &["typ", "nonce", "at_hash", "c_hash"])
        }
        Kind::Introspection { client_id } => {
            parties(claims, &audiences.ok_or(missing("aud"))?, client_id)?;
            if claims.seconds("iat")?.is_none() {
                return Err(missing("iat"));
            }
            if !claims.0.get("token_introspection").is_some_and(Value::is_object) {
                return Err(missing("token_introspection"));
            }
            none_of(claims, &["sub", "nonce", "at_hash", "c_hash"])
        }
        Kind::LogoutToken { client_id } => logout::check(claims, &audiences.ok_or(missing("aud"))?, client_id, now),
    }
}

/// Refuses a token in the place of something that is signed without a verdict and a capsule.
fn none_of(claims: Claims<'_>, names: &[&'static str]) -> Result<(), Unverified> {
    match names.iter().find(|name| claims.0.contains_key(**name)) {
        Some(name) => Err(refused(name, "is that of a token")),
        None => Ok(()),
    }
}

fn times(claims: Claims<'_>, must_end: bool, now: Timestamp) -> Result<(), Unverified> {
    let now = seconds_of(now);
    match claims.seconds("exp")? {
        Some(end) if end <= now - LEEWAY_SECONDS => return Err(refused("exp", "is past")),
        None if must_end => return Err(missing("exp")),
        _ => {}
    }
    for claim in ["nbf", "iat"] {
        if claims.seconds(claim)?.is_some_and(|time| time > now + LEEWAY_SECONDS) {
            return Err(refused(claim, "is in the future"));
        }
    }
    Ok(())
}

fn access_token(claims: Claims<'_>, client_id: Option<&str>) -> Result<(), Unverified> {
    claims.text("sub")?;
    for claim in ["azp", "client_id"] {
        let party = claims.text(claim)?;
        if client_id.is_some() && party.is_some() && party != client_id {
            return Err(refused(claim, "is not the requesting client"));
        }
    }
    Ok(())
}

/// `aud` and `azp` of an ID token (OpenID Connect Core §3.1.3.7, 3 to 5).
fn parties(claims: Claims<'_>, audiences: &[&str], client_id: Option<&str>) -> Result<(), Unverified> {
    let authorized = claims.text("azp")?;
    if audiences.len() > 1 && authorized.is_none() {
        return Err(refused("azp", "is missing beside several audiences"));
    }
    let Some(client_id) = client_id else { return Ok(()) };
    if !audiences.contains(&client_id) {
        return Err(refused("aud", "does not hold the requesting client"));
    }
    if authorized.is_some_and(|party| party != client_id) {
        return Err(refused("azp", "is not the requesting client"));
    }
    Ok(())
}

/// A half hash that is there must be right wherever its value is at hand: a wrong one is how a relying party finds out
/// that a token was swapped.
fn half_hash(
    claims: Claims<'_>,
    claim: &'static str,
    algorithm: Algorithm,
    value: Option<&str>,
) -> Result<(), Unverified> {
    match (claims.text(claim)?, value) {
        (Some(hash), Some(value)) if hash != algorithm.half_hash(value) => Err(refused(claim, "does not fit")),
        _ => Ok(()),
    }
}

#[derive(Clone, Copy)]
struct Claims<'a>(&'a Map<String, Value>);

impl<'a> Claims<'a> {
    fn text(self, claim: &'static str) -> Result<Option<&'a str>, Unverified> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(refused(claim, "is not a string")),
        }
    }

    /// A NumericDate (RFC 7519 §2): seconds, possibly with a fraction.
    fn seconds(self, claim: &'static str) -> Result<Option<f64>, Unverified> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or(refused(claim, "is not a time in seconds")),
        }
    }

    fn audiences(self) -> Result<Option<Vec<&'a str>>, Unverified> {
        let wrong = refused("aud", "is neither a string nor a list of strings");
        match self.0.get("aud") {
            None => Ok(None),
            Some(Value::String(one)) => Ok(Some(vec![one])),
            // Some providers write so that an access token is for nobody in particular; what must have an audience has none.
            Some(Value::Array(several)) if several.is_empty() => Ok(None),
            Some(Value::Array(several)) => several
                .iter()
                .map(|audience| audience.as_str().ok_or(wrong.clone()))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of any date we meet fit 53 bits")]
fn seconds_of(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

fn missing(claim: &'static str) -> Unverified {
    refused(claim, "is missing")
}

fn refused(claim: &'static str, problem: &'static str) -> Unverified {
    Unverified::Claim { claim, problem }
}

const LEEWAY_SECONDS: f64 = 60.0;
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
