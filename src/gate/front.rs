//! Tokens that leave through the browser: in a redirect, in a form that posts itself, in a JWT around them.
//!
//! The upstream remembers what an authorization request asked for, so any answer below an issuer may hand them out.

mod held;
mod page;
mod response;

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION,
        RANGE, TRANSFER_ENCODING,
    },
};
use serde_json::{Map, Value};

use self::{
    held::{Answer, Held},
    response::{AuthorizationResponse, Broken, OF_A_SUCCESS, Written},
};
use super::{
    Gate,
    issued::{About, Issued, Reissued},
    recognise::Recognised,
    request::ClientAuthentication,
    revoke::Revocation,
    tokens::{Grant, Target},
};
use crate::{
    body::{self, Body},
    event::{AuthRequest, Context, TokenClaims},
    exchange::Exchange,
    form::Form,
    preset::Preset,
    refusal::{Occasion, Refusal},
    route::{Action, Captures},
    token::{Kind, Unissued, Verified},
};

/// What a request says that may lead to tokens in its answer.
pub(super) struct Asked {
    preset: Arc<Preset>,
    method: String,
    path: String,
    query: Form,
    client_id: Option<String>,
    nonce: Option<String>,
    scope: Option<String>,
    context: Context,
}

/// An authorization response, opened.
struct Opened {
    response: AuthorizationResponse,
    /// The JWT around it (JARM), verified.
    outer: Option<Verified>,
    issued: Issued,
    code: Option<String>,
    state: Option<String>,
    scope: Option<String>,
    client_id: Option<String>,
}

impl Gate {
    /// What is known of a request before it is forwarded.
    pub(super) fn asked(&self, exchange: &Exchange, preset: &Arc<Preset>, recognised: Option<&Recognised>) -> Asked {
        let operation = recognised.map_or("authorization-response", |recognised| &recognised.route.name);
        let query = match recognised {
            Some(recognised) => recognised.query.clone(),
            None => Form::query(exchange.target.query().unwrap_or_default()).unwrap_or_default(),
        };
        // Elsewhere a form's field of that name may be anything.
        let authorizes = recognised.filter(|recognised| recognised.route.does == Action::Authorize);
        let parameter = |name: &str| {
            let found = authorizes.and_then(|recognised| recognised.parameters().find(|(known, _)| *known == name));
            found.map(|(_, value)| value.to_owned())
        };
        // What a request object says counts, and that may be another nonce.
        let by_value = parameter("request").is_none() && parameter("request_uri").is_none();
        Asked {
            client_id: parameter("client_id").or_else(|| query.get("client_id").map(str::to_owned)),
            nonce: parameter("nonce").filter(|_| by_value),
            scope: parameter("scope"),
            context: self.context(exchange, operation),
            preset: Arc::clone(preset),
            method: exchange.method.to_string(),
            path: exchange.target.path().to_owned(),
            query,
        }
    }

    /// Streams an answer, unless it hands out tokens through the browser: those are verified, asked about and signed again,
    /// whatever request led to them. `asked` is what a recognised request said.
    ///
    /// # Errors
    /// Tokens that do not verify or cannot be read, or outside of any issuer; the upstream is away. A DENY is an error in the
    /// format of the response, not here.
    pub(super) async fn relay(
        self: &Arc<Self>,
        exchange: &Exchange,
        preset: &Arc<Preset>,
        asked: Option<Asked>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let path = exchange.target.path();
        let captures = preset.issuer.path.captures_above(path);
        let has_sessions = preset.sessions_of(path).is_some();
        if has_sessions || (captures.is_some() && held::may_be_a_page(request.headers())) {
            let headers = request.headers_mut();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            headers.remove(RANGE);
        }
        let is_head = request.method() == http::Method::HEAD;
        // Only a recognised request has a span.
        let traceparent = match &asked {
            Some(_) => exchange.arrival.trace.traceparent(),
            None => "",
        };
        let asked = asked.or_else(|| has_sessions.then(|| self.asked(exchange, preset, None)));
        let answer = self
            .spanned(traceparent, request, |request| self.upstream.relay(request))
            .await
            .map_err(super::away)?;
        let answer = match &asked {
            Some(asked) if has_sessions => self.ask_of_sessions(asked, answer).await?,
            _ => answer,
        };
        let held = match held::look(answer, captures.is_some() && !is_head)
            .await
            .map_err(broken)?
        {
            Answer::Other(answer) => return Ok(answer),
            Answer::Held(held) => held,
        };
        let Some(captures) = captures else {
            return Err(Refusal::unserved(
                "tokens in the front channel are served below an issuer's path alone",
            ));
        };
        let asked = asked.unwrap_or_else(|| self.asked(exchange, preset, None));
        let gate = Arc::clone(self);
        self.undisturbed(async move { gate.hand_over(asked, captures, held).await })
            .await
    }

    async fn ask_of_sessions(
        self: &Arc<Self>,
        asked: &Asked,
        answer: Response<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let (gate, preset, context) = (Arc::clone(self), Arc::clone(&asked.preset), asked.context.clone());
        self.undisturbed(async move { gate.sessions(preset, context, answer).await })
            .await
    }

    /// A verdict, its record and what follows from it are not undone by a client that goes away.
    async fn undisturbed(
        &self,
        acting: impl Future<Output = Result<Response<Body>, Refusal>> + Send + 'static,
    ) -> Result<Response<Body>, Refusal> {
        let acted = self.room.tasks.spawn(acting).await;
        acted.unwrap_or_else(|e| Err(Refusal::ourselves(format!("a response's task ended early: {e}"))))
    }

    async fn hand_over(
        self: &Arc<Self>,
        asked: Asked,
        captures: Captures,
        held: Held,
    ) -> Result<Response<Body>, Refusal> {
        let Held { parts, response } = held;
        let issuer = self.issuers.of(&asked.preset, &captures).await.map_err(super::away)?;
        let routes = &asked.preset.routes;
        let Some(route) = routes.iter().find(|route| route.does == Action::Tokens) else {
            return Err(Refusal::ourselves("the preset has no route for tokens"));
        };
        let mut grant = Grant {
            issuer: &issuer,
            client_id: asked.client_id.as_deref(),
            code: None,
            nonce: asked.nonce.as_deref(),
            state: None,
            in_front: true,
            preset: &asked.preset,
            route,
            captures: &captures,
            query: &asked.query,
            context: asked.context.clone(),
            memory: None,
            target: Target::default(),
        };
        let opened = self.open(&grant, response).await?;
        grant.client_id = opened.client_id.as_deref();
        grant.code = opened.code.as_deref();
        grant.state = opened.state.as_deref();
        // Who would have to be asked is asked when the code is redeemed.
        if opened.issued.is_empty() {
            let written = self.close(&opened, Reissued::default()).map_err(unsigned)?;
            return answer(parts, written);
        }
        let grant_type = if opened.code.is_some() { "hybrid" } else { "implicit" };
        grant.context.grant_type = Some(grant_type.to_owned());
        grant.context.auth_request = Some(AuthRequest {
            grant_type: Some(grant_type.to_owned()),
            scope: opened.scope.clone().or(asked.scope.clone()),
            redirect_uri: Some(opened.response.redirect_uri().to_owned()),
            acr_values: None,
        });
        let put = |reissued| self.close(&opened, reissued);
        let (event, refusal) = match self.judge(&grant, &opened.issued, put).await {
            Ok(written) => return answer(parts, written),
            Err(refused) => refused,
        };
        let client = match event.context.client_id.clone() {
            // A public client needs no more; of a confidential one we know no secret here.
            Some(client_id) => ClientAuthentication::Form {
                client_id,
                client_secret: None,
            },
            None => ClientAuthentication::Unrepeatable,
        };
        let revocation = Revocation {
            issuer: Arc::clone(&issuer),
            client,
            event,
        };
        self.revoke_later(revocation, &opened.issued);
        if !refusal.is_denial() {
            return Err(refusal);
        }
        let occasion = Occasion {
            request_id: &asked.context.request_id,
            method: &asked.method,
            path: &asked.path,
            back: None,
        };
        self.metrics.refused(refusal.fault().as_str());
        let error = refusal.into_parameters(&occasion, parts.status);
        let written = self.deny(&opened, &error).map_err(unsigned)?;
        answer(parts, written)
    }

    /// Finds the tokens in a response, and verifies the JWT around it.
    async fn open(&self, grant: &Grant<'_>, response: AuthorizationResponse) -> Result<Opened, Refusal> {
        let client_id = grant.client_id;
        let mut outer = None;
        if let Some(raw) = response.get("response") {
            let kind = Kind::AuthorizationResponse { client_id };
            match self.verify_one(grant.issuer, raw, kind).await {
                Ok(verified) => outer = Some(verified),
                Err(why) => {
                    let event = self.event_after(grant, &TokenClaims::default());
                    return Err(self.unusable(&event, &why).await);
                }
            }
        }
        let parameter = |name: &str| -> Result<Option<String>, Refusal> {
            let Some(outer) = &outer else {
                return Ok(response.get(name).filter(|value| !value.is_empty()).map(str::to_owned));
            };
            match outer.claims().get(name) {
                // Beside the JWT there is nothing (JARM §2.3).
                _ if response.get(name).is_some_and(|value| !value.is_empty()) && name.ends_with("_token") => {
                    Err(broken(Broken("tokens beside a JWT that has the response")))
                }
                None => Ok(None),
                Some(Value::String(value)) => Ok(Some(value.clone())),
                Some(_) => Err(broken(Broken("a parameter that is no string"))),
            }
        };
        let audience = outer.as_ref().and_then(|outer| outer.claims().get("aud")?.as_str());
        // In a JWT around the response it may be a number.
        let seconds = match outer.as_ref().and_then(|outer| outer.claims().get("expires_in")) {
            Some(Value::Number(seconds)) => seconds.as_i64(),
            _ => parameter("expires_in")?.and_then(|seconds| seconds.parse().ok()),
        };
        Ok(Opened {
            issued: Issued {
                access_token: parameter("access_token")?,
                id_token: parameter("id_token")?,
                refresh_token: None,
                about: About {
                    token_type: parameter("token_type")?,
                    expires_in: seconds,
                    scope: parameter("scope")?,
                },
            },
            code: parameter("code")?,
            state: parameter("state")?,
            scope: parameter("scope")?,
            client_id: client_id.or(audience).map(str::to_owned),
            outer,
            response,
        })
    }

    /// The response with the tokens that the client gets.
    fn close(&self, opened: &Opened, reissued: Reissued) -> Result<Written, Unissued> {
        let tokens = [("access_token", reissued.access_token), ("id_token", reissued.id_token)];
        let tokens = tokens.into_iter().filter_map(|(name, token)| Some((name, token?)));
        let Some(outer) = &opened.outer else {
            let tokens: Vec<_> = tokens.collect();
            let values: Vec<_> = tokens.iter().map(|(name, token)| (*name, token.as_str())).collect();
            return Ok(opened.response.with(&values));
        };
        let members = tokens.map(|(name, token)| (name.to_owned(), Value::String(token)));
        let around = self
            .reissuer
            .statement(outer, &members.collect::<Map<_, _>>(), &[], self.clock.now())?;
        self.metrics.reissued("statement");
        Ok(opened.response.with(&[("response", &around)]))
    }

    /// An error in the place of the response, in its mode.
    fn deny(&self, opened: &Opened, error: &[(&'static str, String)]) -> Result<Written, Unissued> {
        let Some(outer) = &opened.outer else {
            return Ok(opened.response.error(error));
        };
        let members = error
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Value::String(text.clone())));
        let around =
            self.reissuer
                .statement(outer, &members.collect::<Map<_, _>>(), &OF_A_SUCCESS, self.clock.now())?;
        self.metrics.reissued("statement");
        Ok(opened.response.with(&[("response", &around)]))
    }
}

/// The upstream's answer with the response that the client gets.
fn answer(mut parts: http::response::Parts, written: Written) -> Result<Response<Body>, Refusal> {
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING, ETAG] {
        parts.headers.remove(name);
    }
    let page = match written {
        Written::Location(url) => {
            let url = HeaderValue::from_bytes(url.as_bytes())
                .map_err(|_| Refusal::ourselves("the redirect cannot be written"))?;
            parts.headers.insert(LOCATION, url);
            return Ok(Response::from_parts(parts, body::empty()));
        }
        Written::Page(page) => page,
        Written::OwnPage(page) => {
            for (name, value) in [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CONTENT_SECURITY_POLICY, page::POLICY),
            ] {
                parts.headers.insert(name, HeaderValue::from_static(value));
            }
            page
        }
    };
    Ok(Response::from_parts(parts, body::full(Bytes::from(page))))
}

/// An endpoint that answers its caller redirects nobody with tokens.
///
/// # Errors
/// It does.
pub(super) fn refuse_redirect(headers: &HeaderMap) -> Result<(), Refusal> {
    match AuthorizationResponse::in_location(headers) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(broken(Broken("tokens by a redirect where none belongs"))),
        Err(why) => Err(broken(why)),
    }
}

fn broken(why: Broken) -> Refusal {
    Refusal::upstream(
        StatusCode::BAD_GATEWAY,
        format!("the upstream's answer cannot be used: {why}"),
    )
}

fn unsigned(why: Unissued) -> Refusal {
    Refusal::ourselves(format!("the response cannot be signed: {why}"))
}
