//! A token response: held back, verified, asked about, and handed out under our signature.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Gate,
    consult::Allowed,
    issued::{Issued, Reissued, TokenResponse, Tokens, has_no_token, machine_claims, subject},
    issuers::Issuer,
    recognise::Recognised,
    request::{ClientAuthentication, TokenRequest},
    restore::forged,
    revoke::Revocation,
};
use crate::{
    audit::Entry,
    body::Body,
    event::{Context, Event, TokenClaims, Trigger},
    exchange::Exchange,
    facts::{self, Materials},
    form::Form,
    preset::{NamedBy, Preset},
    refusal::Refusal,
    route::{Action, Captures, Route},
    token::{self, Bound, Expected, Kind, Memory, RefreshWrap, Unissued, Unverified, WRAP_PREFIX, Wrap},
};

/// Tokens on their way out: who asks for them, and how.
pub(super) struct Grant<'a> {
    /// Who issued them.
    pub(super) issuer: &'a Issuer,
    /// The client that says it is asking.
    pub(super) client_id: Option<&'a str>,
    /// The authorization code that was exchanged for them, or that comes along.
    pub(super) code: Option<&'a str>,
    /// The nonce of the authorization request, where it is known.
    pub(super) nonce: Option<&'a str>,
    /// The `state` that comes along.
    pub(super) state: Option<&'a str>,
    /// Whether a browser carries them, so that the half hashes must be there (OIDC Core §3.2.2.9, §3.3.2.11).
    pub(super) in_front: bool,
    /// The preset.
    pub(super) preset: &'a Preset,
    /// The route whose facts describe the user.
    pub(super) route: &'a Route,
    /// What the path says.
    pub(super) captures: &'a Captures,
    /// The query of the request.
    pub(super) query: &'a Form,
    /// The circumstances, with the grant and what was asked for.
    pub(super) context: Context,
    /// What came sealed in the refresh token that was used.
    pub(super) memory: Option<&'a Memory>,
    /// What an opaque access token is for, and who may ask about it.
    pub(super) target: Target,
}

/// What a request says of the access token that it asks for.
#[derive(Default)]
pub(super) struct Target {
    /// The resource server that it names (RFC 8707 §2, RFC 8693 §2.1).
    pub(super) resource: Option<String>,
    /// How its client can ask about the token.
    pub(super) authentication: Option<ClientAuthentication>,
    /// Whether it came with a proof or a certificate that the upstream may bind the token to.
    pub(super) may_be_bound: bool,
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
        memory: Option<Memory>,
    ) -> Result<Response<Body>, Refusal> {
        let mut request = TokenRequest::read(exchange, recognised)?;
        let certificate = self.certificate_header.of(&exchange.headers);
        let may_be_bound = certificate.is_some() || exchange.headers.contains_key("dpop");
        if let Some(certificate) = certificate {
            request.authentication = ClientAuthentication::Certified(Box::new(request.authentication), certificate);
        }
        // Before the code is spent: without the issuer's keys the answer could not be used.
        let named = match recognised.preset.issuer.named_by {
            NamedBy::Path => {
                let issuer = self.issuers.of(&recognised.preset, &recognised.captures).await;
                Some(issuer.map_err(super::away)?)
            }
            NamedBy::Token => None,
        };
        let memory = memory.filter(|_| request.grant_type == "refresh_token");
        let elsewhere = |issuer: &Issuer| {
            memory
                .as_ref()
                .is_some_and(|memory| memory.issuer != issuer.identifier())
        };
        if named.as_deref().is_some_and(elsewhere) {
            return Err(forged(Action::Tokens));
        }
        let asks_for_no_token = recognised.route.asks_for_no_token(recognised.parameters());
        let answer = self.call(exchange, recognised).await?;
        if asks_for_no_token && has_no_token(answer.body()) {
            return Ok(super::relayed(answer));
        }
        let Some(response) = TokenResponse::read(answer.status(), answer.body())? else {
            return Ok(super::relayed(answer));
        };
        let mut captures = recognised.captures.clone();
        let issuer = match named {
            Some(issuer) => issuer,
            None => {
                captures = self.named_by(&recognised.preset, &response.issued)?;
                let issuer = self.issuers.of(&recognised.preset, &captures).await;
                issuer.map_err(super::away)?
            }
        };
        if elsewhere(&issuer) {
            return Err(forged(Action::Tokens));
        }

        let grant = Grant {
            issuer: &issuer,
            client_id: request.client_id.as_deref(),
            code: request.code.as_deref(),
            nonce: None,
            state: None,
            in_front: false,
            preset: &recognised.preset,
            route: &recognised.route,
            captures: &captures,
            query: &recognised.query,
            context: Context {
                grant_type: Some(request.grant_type.clone()),
                auth_request: Some(request.asked_for()),
                ..self.context(exchange, &recognised.route.name)
            },
            memory: memory.as_ref(),
            target: Target {
                resource: request.resource.clone(),
                authentication: Some(request.authentication.clone()),
                may_be_bound,
            },
        };
        let issued = &response.issued;
        let judged = self.judge(&grant, issued, |reissued| response.with(reissued)).await;
        match judged {
            Ok(body) => Ok(super::with_body(answer, body)),
            Err((event, refusal)) => {
                let revocation = Revocation {
                    issuer: Arc::clone(&issuer),
                    client: request.authentication.clone(),
                    event,
                };
                self.revoke_later(revocation, issued);
                Err(refusal.like(answer.headers()))
            }
        }
    }

    /// The issuer that the tokens name, which is only to know what they have to be verified against.
    fn named_by(&self, preset: &Preset, issued: &Issued) -> Result<Captures, Refusal> {
        let tokens = [&issued.id_token, &issued.access_token].into_iter().flatten();
        let mut named =
            tokens.filter_map(|token| self.issuers.captures(&preset.issuer, &token::claimed_issuer(token)?));
        named.next().ok_or_else(|| {
            Refusal::upstream(
                StatusCode::BAD_GATEWAY,
                "the provider's tokens name no issuer of its own, so they cannot be verified",
            )
        })
    }

    /// Verify, ask, sign, and put the tokens where the client finds them. With an error comes the event as far as it was
    /// known, for the record of what is revoked.
    pub(super) async fn judge<T>(
        &self,
        grant: &Grant<'_>,
        issued: &Issued,
        put: impl FnOnce(Reissued) -> Result<T, Unissued>,
    ) -> Result<T, (Event, Refusal)> {
        let tokens = match self.verify(grant, issued).await {
            Ok(tokens) => tokens,
            Err(why) => {
                let event = self.event_after(grant, &TokenClaims::default());
                let refusal = self.unusable(&event, &why).await;
                return Err((event, refusal));
            }
        };
        let existing = tokens.claims();
        let event = self.event_after(grant, &existing);
        let remembered = grant.memory.filter(|memory| is_about(memory, &event, &existing));
        let remembered = remembered.map_or(&[][..], |memory| &memory.verdicts);
        let allowed = match self.ask(&event, &existing, remembered).await {
            Ok(allowed) => allowed,
            Err(refusal) => return Err((event, refusal)),
        };
        let opaque = match (&issued.access_token, &tokens.access) {
            (Some(original), None) => match self.opaque(grant, issued, original, &tokens, &event, &allowed).await {
                Ok(token) => Some(token),
                Err(refusal) => return Err((event, refusal)),
            },
            _ => None,
        };
        self.reissue(grant, issued, &tokens, opaque, &event, allowed)
            .and_then(put)
            .map_err(|e| (event, unsigned(&e)))
    }

    async fn verify(&self, grant: &Grant<'_>, issued: &Issued) -> Result<Tokens, Unverified> {
        let client_id = grant.client_id;
        let access = match issued.access_token.as_deref() {
            Some(raw) => match self
                .verify_one(grant.issuer, raw, Kind::AccessToken { client_id })
                .await
            {
                Ok(verified) => Some(verified),
                // An opaque token has nothing to verify or to add to; one with a JWT in it is none.
                Err(Unverified::NotAJwt) if token::sight(raw.as_bytes(), self).is_none() => None,
                Err(Unverified::NotAJwt) => return Err(Unverified::Malformed(NO_OPAQUE_TOKEN)),
                Err(why) => return Err(why),
            },
            None => None,
        };
        if let Some(refresh) = issued.refresh_token.as_deref()
            && token::sight(refresh.as_bytes(), self).is_some()
        {
            return Err(Unverified::Malformed(NO_OPAQUE_TOKEN));
        }
        let id = match issued.id_token.as_deref() {
            Some(raw) => {
                let kind = Kind::IdToken {
                    client_id,
                    nonce: grant.nonce,
                    access_token: issued.access_token.as_deref(),
                    code: grant.code,
                    state: grant.state,
                };
                Some(self.verify_one(grant.issuer, raw, kind).await?)
            }
            None => None,
        };
        if let Some(id) = id.as_ref().filter(|_| grant.in_front) {
            let there = |claim| id.claims().contains_key(claim);
            let (access_token, code) = (issued.access_token.is_some(), grant.code.is_some());
            for (claim, covers) in [("at_hash", access_token), ("c_hash", code)] {
                if covers && !there(claim) {
                    let problem = "is missing in the front channel";
                    return Err(Unverified::Claim { claim, problem });
                }
            }
        }
        Ok(Tokens { access, id })
    }

    /// Against the keys at hand; an unknown `kid` has them fetched again, once.
    pub(super) async fn verify_one(
        &self,
        issuer: &Issuer,
        raw: &str,
        kind: Kind<'_>,
    ) -> Result<token::Verified, Unverified> {
        let expected = Expected {
            issuer: issuer.identifier(),
            kind,
        };
        let now = self.clock.now();
        match token::verify(raw, &issuer.keys(), &expected, now) {
            Err(Unverified::UnknownKey { .. }) => {
                let keys = issuer.refetched_keys().await;
                token::verify(raw, &keys, &expected, now)
            }
            judged => judged,
        }
    }

    /// What a token that does not verify ends as: a record, and an answer that passes nothing on.
    pub(super) async fn unusable(&self, event: &Event, why: &Unverified) -> Refusal {
        let entry = Entry::of_failure("unverified_token", why.to_string()).about(event);
        self.unverified(entry, why).await
    }

    /// The same, with a record that was made elsewhere.
    pub(super) async fn unverified(&self, entry: Entry, why: &Unverified) -> Refusal {
        self.metrics.unverified();
        match self.audit.record(vec![entry]).await {
            Err(e) => Refusal::ourselves(format!("the audit cannot be written: {e}")),
            Ok(_) => match why {
                // The operator's to mend, and the developer of the client sees it first.
                Unverified::Encrypted | Unverified::Symmetric(_) => Refusal::unserved(why.to_string()),
                _ => Refusal::upstream(StatusCode::BAD_GATEWAY, why.to_string()),
            },
        }
    }

    pub(super) fn event_after(&self, grant: &Grant<'_>, existing: &TokenClaims) -> Event {
        let mut context = grant.context.clone();
        let materials = Materials {
            query: Some(grant.query),
            captures: Some(grant.captures),
            claims: Some(existing),
            ..Materials::default()
        };
        let mut data = facts::gather(grant.route, &materials, &mut context);
        let claim = |name: &str| {
            existing
                .access_token
                .get(name)
                .or_else(|| existing.id_token.get(name))?
                .as_str()
        };
        let client = claim("azp").or_else(|| claim("client_id"));
        context.client_id = client.or(grant.client_id).map(str::to_owned);
        context.issuer = Some(grant.issuer.identifier().to_owned());
        // Anything but a grant for the client itself is a session.
        let grant_type = context.grant_type.as_deref().unwrap_or_default();
        let is_client = claim("sub").is_some_and(|subject| client == Some(subject));
        let machine = grant.preset.is_for_client(grant_type, is_client);
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
        let trigger = if machine {
            Trigger::PreM2mTokenCreation
        } else {
            Trigger::PreSessionCreation
        };
        Event { trigger, context, data }
    }

    fn reissue(
        &self,
        grant: &Grant<'_>,
        issued: &Issued,
        tokens: &Tokens,
        opaque: Option<String>,
        event: &Event,
        allowed: Allowed,
    ) -> Result<Reissued, Unissued> {
        let now = self.clock.now();
        let add = &allowed.additions;
        let access = match &tokens.access {
            Some(verified) => Some(self.reissuer.access_token(verified, &add.access_token, now)?),
            None => opaque,
        };
        let bound = Bound {
            access_token: access.as_deref(),
            code: grant.code,
            state: grant.state,
        };
        let id = tokens
            .id
            .as_ref()
            .map(|id| self.reissuer.id_token(id, &add.id_token, &bound, now))
            .transpose()?;
        // RFC 6749 §5.1: the client is told of a scope that is not the one it asked for.
        let scope = add.access_token.get("scope").and_then(Value::as_str).map(str::to_owned);
        let refresh = match &issued.refresh_token {
            // One that begins like ours would be taken for a forgery when it comes back.
            Some(original) if !allowed.remember.is_empty() || original.starts_with(WRAP_PREFIX) => {
                let memory = Memory {
                    issuer: grant.issuer.identifier().to_owned(),
                    client_id: event.context.client_id.clone(),
                    subject: subject(&tokens.claims()).map(str::to_owned),
                    verdicts: allowed.remember,
                };
                let original = original.clone();
                let refresh = Wrap::Refresh(RefreshWrap { original, memory });
                let wrapped = self.reissuer.wrap(&refresh, self.clock.now())?;
                self.metrics.wrapped("refresh_token");
                Some(wrapped)
            }
            _ => None,
        };
        for (name, token, is_new) in [
            ("access_token", &access, tokens.access.is_some()),
            ("id_token", &id, tokens.id.is_some()),
            ("refresh_token", &refresh, false),
        ] {
            if is_new {
                self.metrics.reissued(name);
            }
            let size = token.as_ref().map_or(0, String::len);
            if size > self.warn_size {
                self.metrics.oversized(name);
                tracing::warn!(
                    token = name,
                    size_bytes = size,
                    "the {name} has {size} bytes; clients that keep it in a header may fail"
                );
            }
        }
        Ok(Reissued {
            access_token: access,
            id_token: id,
            refresh_token: refresh,
            scope,
        })
    }
}

/// Whether what is remembered is about the user and the client of these tokens, as far as both are known.
fn is_about(memory: &Memory, event: &Event, existing: &TokenClaims) -> bool {
    let same = |kept: &Option<String>, now: Option<&str>| match (kept, now) {
        (Some(kept), Some(now)) => kept == now,
        _ => true,
    };
    same(&memory.client_id, event.context.client_id.as_deref()) && same(&memory.subject, subject(existing))
}

/// A token that our own keys or secrets do not suffice for.
pub(super) fn unsigned(why: &Unissued) -> Refusal {
    Refusal::ourselves(format!("the token cannot be signed: {why}"))
}

const NO_OPAQUE_TOKEN: &str = "it is no JWT and has one of the provider's in it";
