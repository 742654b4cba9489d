//! A token response: held back, verified, asked about, and handed out under our signature.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Gate,
    issued::{Issued, Tokens, machine_claims},
    issuers::Issuer,
    recognise::Recognised,
    request::TokenRequest,
    revoke::Revocation,
};
use crate::{
    audit::Entry,
    body::Body,
    event::{Context, Event, TokenClaims, Trigger},
    exchange::Exchange,
    facts::{self, Materials},
    refusal::Refusal,
    token::{self, Bound, Expected, Kind, Unissued, Unverified},
    verdict::Additions,
};

/// One token request on its way: what the steps below have in common.
struct Occasion<'a> {
    exchange: &'a Exchange,
    recognised: &'a Recognised,
    request: &'a TokenRequest,
    issuer: &'a Issuer,
}

impl Gate {
    /// A gate after: the upstream answers, the interceptors are asked, and what they let through is signed again.
    ///
    /// # Errors
    /// DENY; a token that a strict relying party would refuse; an upstream or an audit that is away.
    pub(super) async fn tokens(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
    ) -> Result<Response<Body>, Refusal> {
        let request = TokenRequest::read(exchange, recognised)?;
        // Before the code is spent: without the issuer's keys the answer could not be used.
        let issuer = self
            .issuers
            .of(&recognised.preset, &recognised.captures)
            .await
            .map_err(super::away)?;
        let answer = self.call(exchange, recognised).await?;
        let Some(issued) = Issued::read(answer.status(), answer.body())? else {
            return Ok(super::relayed(answer));
        };

        let occasion = Occasion {
            exchange,
            recognised,
            request: &request,
            issuer: &issuer,
        };
        match self.judge(&occasion, &issued).await {
            Ok(body) => Ok(super::with_body(answer, body)),
            Err((event, refusal)) => {
                self.revoke_later(
                    Revocation {
                        issuer: Arc::clone(&issuer),
                        client: request.authentication.clone(),
                        event,
                    },
                    &issued,
                );
                Err(refusal.like(answer.headers()))
            }
        }
    }

    /// Verify, ask, sign. With an error comes the event as far as it was known, for the record of what is revoked.
    async fn judge(&self, occasion: &Occasion<'_>, issued: &Issued) -> Result<String, (Event, Refusal)> {
        let tokens = match self.verify(occasion, issued).await {
            Ok(tokens) => tokens,
            Err(why) => return Err(self.unusable(occasion, &why).await),
        };
        let existing = tokens.claims();
        let event = self.event_after(occasion, &existing);
        let additions = match self.ask(&event, &existing).await {
            Ok(additions) => additions,
            Err(refusal) => return Err((event, refusal)),
        };
        self.reissue(occasion.request, issued, &tokens, &additions)
            .map_err(|e| (event, Refusal::ourselves(format!("the token cannot be signed: {e}"))))
    }

    async fn verify(&self, occasion: &Occasion<'_>, issued: &Issued) -> Result<Tokens, Unverified> {
        let client_id = occasion.request.client_id.as_deref();
        let access = match issued.access_token.as_deref() {
            Some(raw) => match self.verify_one(occasion, raw, Kind::AccessToken { client_id }).await {
                Ok(verified) => Some(verified),
                // An opaque token has nothing to verify or to add to.
                Err(Unverified::NotAJwt) => None,
                Err(why) => return Err(why),
            },
            None => None,
        };
        let id = match issued.id_token.as_deref() {
            Some(raw) => {
                let (access_token, code) = (issued.access_token.as_deref(), occasion.request.code.as_deref());
                let kind = Kind::IdToken {
                    client_id,
                    nonce: None,
                    access_token,
                    code,
                };
                Some(self.verify_one(occasion, raw, kind).await?)
            }
            None => None,
        };
        Ok(Tokens { access, id })
    }

    /// Against the keys at hand; an unknown `kid` has them fetched again, once.
    async fn verify_one(
        &self,
        occasion: &Occasion<'_>,
        raw: &str,
        kind: Kind<'_>,
    ) -> Result<token::Verified, Unverified> {
        let expected = Expected {
            issuer: occasion.issuer.identifier(),
            kind,
        };
        let now = self.clock.now();
        match token::verify(raw, &occasion.issuer.keys(), &expected, now) {
            Err(Unverified::UnknownKey { .. }) => {
                let keys = occasion.issuer.refetched_keys().await;
                token::verify(raw, &keys, &expected, now)
            }
            judged => judged,
        }
    }

    /// What a token that does not verify ends as: a record, and an answer that passes nothing on.
    async fn unusable(&self, occasion: &Occasion<'_>, why: &Unverified) -> (Event, Refusal) {
        let event = self.event_after(occasion, &TokenClaims::default());
        let entry = Entry::of_failure("unverified_token", why.to_string()).about(&event);
        let refusal = match self.audit.record(vec![entry]).await {
            Err(e) => Refusal::ourselves(format!("the audit cannot be written: {e}")),
            Ok(_) => match why {
                // The operator's to mend, and the developer of the client sees it first.
                Unverified::Encrypted | Unverified::Symmetric(_) => Refusal::unserved(why.to_string()),
                _ => Refusal::upstream(StatusCode::BAD_GATEWAY, why.to_string()),
            },
        };
        (event, refusal)
    }

    fn event_after(&self, occasion: &Occasion<'_>, existing: &TokenClaims) -> Event {
        let Occasion {
            exchange,
            recognised,
            request,
            issuer,
        } = occasion;
        // Anything but a grant for the client itself is a session.
        let machine = recognised.preset.machine_grants.contains(&request.grant_type);
        let trigger = if machine {
            Trigger::PreM2mTokenCreation
        } else {
            Trigger::PreSessionCreation
        };
        let mut context = self.context(exchange, recognised);
        let materials = Materials {
            query: Some(&recognised.query),
            captures: Some(&recognised.captures),
            claims: Some(existing),
            ..Materials::default()
        };
        let mut data = facts::gather(&recognised.route, &materials, &mut context);
        let claim = |name: &str| {
            existing
                .access_token
                .get(name)
                .or_else(|| existing.id_token.get(name))?
                .as_str()
        };
        let verified_client = claim("azp").or_else(|| claim("client_id")).map(str::to_owned);
        context.client_id = verified_client.or_else(|| request.client_id.clone());
        context.grant_type = Some(request.grant_type.clone());
        context.issuer = Some(issuer.identifier().to_owned());
        context.auth_request = Some(request.asked_for());
        if machine {
            data.remove("user");
            context = Context {
                user_id: None,
                user_email: None,
                ..context
            };
            data.insert("m2m_token_claims".into(), machine_claims(&context, existing));
        }
        data.insert("claims".into(), json!(existing));
        Event { trigger, context, data }
    }

    fn reissue(
        &self,
        request: &TokenRequest,
        issued: &Issued,
        tokens: &Tokens,
        add: &Additions,
    ) -> Result<String, Unissued> {
        let now = self.clock.now();
        let access = match &tokens.access {
            Some(verified) => Some(self.reissuer.access_token(verified, &add.access_token, now)?),
            None => issued.access_token.clone(),
        };
        let bound = Bound {
            access_token: access.as_deref(),
            code: request.code.as_deref(),
        };
        let id = tokens
            .id
            .as_ref()
            .map(|id| self.reissuer.id_token(id, &add.id_token, &bound, now))
            .transpose()?;
        // RFC 6749 §5.1: the client is told of a scope that is not the one it asked for.
        let scope = add.access_token.get("scope").and_then(Value::as_str).map(str::to_owned);
        for (name, token) in [("access_token", &access), ("id_token", &id)] {
            let size = token.as_ref().map_or(0, String::len);
            if size > self.warn_size {
                tracing::warn!(
                    token = name,
                    size_bytes = size,
                    "the {name} has {size} bytes; clients that keep it in a header may fail"
                );
            }
        }
        let edits = [("access_token", access), ("id_token", id), ("scope", scope)];
        let edits = edits
            .into_iter()
            .filter_map(|(name, value)| Some((name, Value::String(value?))));
        let spliced = token::splice(&issued.text, edits).map_err(|e| Unissued::Unreadable(e.to_string()))?;
        Ok(spliced.text)
    }
}
