//! Introspection and userinfo: the upstream is asked about its own token, the caller sees the one it holds.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};

use super::{
    Gate,
    issuers::Issuer,
    recognise::{Recognised, accepts},
    request::TokenRequest,
    restore::Bearer,
};
use crate::{
    audit::Entry,
    body::Body,
    exchange::Exchange,
    json,
    refusal::Refusal,
    token::{Kind, Restored, Unissued, Unverified, Verified},
};

/// RFC 9701 §4.
const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";
const JWT: &str = "application/jwt";

impl Gate {
    /// RFC 7662, with the added claims merged into the answer. A native upstream token is not active here.
    ///
    /// A signed answer (RFC 9701) is signed again with the same claims; so is the JWT of the token itself, where the
    /// answer has it in a member `jwt`.
    ///
    /// # Errors
    /// An answer that cannot be read, or a JWT in it that does not verify.
    pub(super) async fn introspect(
        &self,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
        bearer: Option<Bearer>,
    ) -> Result<Response<Body>, Refusal> {
        let signed = [INTROSPECTION_JWT, JWT]
            .into_iter()
            .find(|media_type| accepts(&exchange.headers, media_type));
        exchange
            .headers
            .insert(ACCEPT, HeaderValue::from_static(signed.unwrap_or("application/json")));
        let client_id = TokenRequest::read(exchange, recognised)?.client_id;
        let answer = self.call(exchange, recognised).await?;
        if !answer.status().is_success() {
            return Ok(super::relayed(answer));
        }
        let native = matches!(bearer, Some(Bearer::Native)) && self.require_reissued;
        let ours = match bearer {
            Some(Bearer::Ours(restored)) => Some(*restored),
            _ => None,
        };
        if is(answer.headers(), INTROSPECTION_JWT) {
            let kind = Kind::Introspection {
                client_id: client_id.as_deref(),
            };
            let verified = self.verified_statement(exchange, recognised, &answer, kind).await?;
            let about = verified.claims().get("token_introspection").and_then(Value::as_object);
            let about = told(about.cloned().unwrap_or_default(), native, ours.as_ref());
            let edit = [("token_introspection".to_owned(), Value::Object(about))];
            return self.signed_again(answer, &verified, edit.into_iter().collect());
        }
        let Ok(Value::Object(members)) = json::parse(answer.body()) else {
            return Err(Refusal::upstream(
                StatusCode::BAD_GATEWAY,
                "the introspection answer is no JSON object",
            ));
        };
        let jwt = members.get("jwt").and_then(Value::as_str).map(str::to_owned);
        let mut members = told(members, native, ours.as_ref());
        members.shift_remove("jwt");
        // Unasked, or about a token that counts for nothing, it is taken out: it is under a key that nobody knows.
        if let Some(raw) = jwt.filter(|_| signed.is_some() && is_active(&members)) {
            let issuer = self.issuer_of(recognised).await?;
            let kind = Kind::AccessToken { client_id: None };
            let verified = match self.verify_one(&issuer, &raw, kind).await {
                Ok(verified) => verified,
                Err(why) => return Err(self.refused(exchange, recognised, &why).await),
            };
            let added = ours.map(|ours| ours.added).unwrap_or_default();
            let again = self.reissuer.access_token(&verified, &added, self.clock.now());
            members.insert("jwt".into(), json!(again.map_err(|e| unsigned(&e))?));
        }
        Ok(super::with_json(answer, &Value::Object(members)))
    }

    /// OIDC Core §5.3, with the added claims merged into the answer; a signed one (§5.3.2) is signed again.
    ///
    /// # Errors
    /// A signed answer that does not verify.
    pub(super) async fn userinfo(
        &self,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
        caller: Option<Restored>,
        posted: Option<Bearer>,
    ) -> Result<Response<Body>, Refusal> {
        let token = match (&caller, &posted) {
            (None, Some(Bearer::Ours(restored))) => Some(restored.as_ref()),
            (caller, _) => caller.as_ref(),
        };
        let answer = self.call(exchange, recognised).await?;
        if !is(answer.headers(), JWT) {
            let told = token.filter(|token| answer.status().is_success() && !token.told.is_empty());
            let (Some(token), Ok(Value::Object(mut members))) = (told, json::parse(answer.body())) else {
                return Ok(super::relayed(answer));
            };
            members.extend(shown(&token.told, token, &members));
            return Ok(super::with_json(answer, &Value::Object(members)));
        }
        let client_id = token.and_then(|token| token.claims.get("azp").or_else(|| token.claims.get("client_id")));
        let kind = Kind::Userinfo {
            client_id: client_id.and_then(Value::as_str),
        };
        let verified = self.verified_statement(exchange, recognised, &answer, kind).await?;
        let edit = token.map(|token| shown(&token.told, token, verified.claims()));
        self.signed_again(answer, &verified, edit.unwrap_or_default())
    }

    async fn verified_statement(
        &self,
        exchange: &Exchange,
        recognised: &Recognised,
        answer: &Response<Bytes>,
        kind: Kind<'_>,
    ) -> Result<Verified, Refusal> {
        let issuer = self.issuer_of(recognised).await?;
        let raw = String::from_utf8_lossy(answer.body());
        match self.verify_one(&issuer, raw.trim(), kind).await {
            Ok(verified) => Ok(verified),
            Err(why) => Err(self.refused(exchange, recognised, &why).await),
        }
    }

    fn signed_again(
        &self,
        answer: Response<Bytes>,
        verified: &Verified,
        edit: Map<String, Value>,
    ) -> Result<Response<Body>, Refusal> {
        self.metrics.reissued("statement");
        let again = self.reissuer.statement(verified, &edit, &[], self.clock.now());
        Ok(super::with_body(answer, again.map_err(|e| unsigned(&e))?))
    }

    async fn issuer_of(&self, recognised: &Recognised) -> Result<Arc<Issuer>, Refusal> {
        let issuer = self.issuers.of(&recognised.preset, &recognised.captures).await;
        issuer.map_err(super::away)
    }

    async fn refused(&self, exchange: &Exchange, recognised: &Recognised, why: &Unverified) -> Refusal {
        let context = self.context(exchange, &recognised.route.name);
        let entry = Entry::of_failure("unverified_token", why.to_string()).within(&context);
        self.unverified(entry, why).await
    }
}

/// What the caller is told of its token.
fn told(mut about: Map<String, Value>, native: bool, ours: Option<&Restored>) -> Map<String, Value> {
    if native {
        return [("active".to_owned(), Value::Bool(false))].into_iter().collect();
    }
    if let Some(ours) = ours.filter(|_| is_active(&about)) {
        let shown = shown(&ours.added, ours, &about);
        about.extend(shown);
    }
    about
}

/// The added claims as they are put into what the upstream says of a token. What it says itself stays, unless the claim was
/// replaced in the token, or was nobody else's to set.
fn shown(added: &Map<String, Value>, token: &Restored, about: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = Map::new();
    for (name, value) in added {
        let replaced = token.claims.contains_key(name) || matches!(name.as_str(), "aud" | "scope");
        let value = match (about.get(name), value) {
            (None, value) => value.clone(),
            (Some(_), value) if replaced => value.clone(),
            // The object of `claims_at`, of which nobody knew that it was there already.
            (Some(Value::Object(theirs)), Value::Object(ours)) => {
                let mut both = ours.clone();
                both.extend(theirs.clone());
                Value::Object(both)
            }
            (Some(_), _) => continue,
        };
        shown.insert(name.clone(), value);
    }
    shown
}

fn is_active(about: &Map<String, Value>) -> bool {
    about.get("active") == Some(&Value::Bool(true))
}

fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(media_type)
}

fn unsigned(why: &Unissued) -> Refusal {
    Refusal::ourselves(format!("the answer cannot be signed: {why}"))
}
