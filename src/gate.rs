//! The line that every request walks, from the first byte to the last.

mod accounts;
mod assemble;
mod authorize;
mod consult;
mod front;
mod guard;
mod held;
mod hosts;
mod introspection;
mod issued;
mod issuers;
mod late;
mod learned;
mod learning;
mod logout;
mod metadata;
mod natives;
mod observe;
mod opaque;
mod overload;
pub mod preview;
mod recognise;
mod request;
mod restore;
mod revoke;
mod sessions;
mod tokens;

use std::{net::SocketAddr, sync::Arc, time::Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, REFERER, TRAILER},
};
use serde_json::Value;
use uuid::Uuid;

use self::{
    held::{relayed, with_body, with_json},
    issuers::Issuers,
    late::Asked,
    learned::Learned,
    learning::Learning,
    metadata::path_of,
    natives::Natives,
    recognise::{Content, Recognised, Recognition},
};
pub use self::{
    hosts::Gates,
    overload::{Most, Room},
};
use crate::{
    audit::Audit,
    body::{self, Body},
    clock::Clock,
    exchange::{Arrival, Exchange, Outside, Unreadable},
    geo::Geo,
    interceptor::Interceptors,
    listen::ClientCertificate,
    metrics::{self, Metrics},
    preset::Preset,
    refusal::{Fault, Occasion, Page, Refusal, Style},
    route::Action,
    telemetry::Telemetry,
    token::{Opaque, Publish, Reissuer},
    upstream::{CertificateHeader, Egress, LateSignup, RelyingParties, ServiceAccount, Upstream, UpstreamError},
};

/// What a gate is made of.
pub struct Parts {
    /// `environment` in `proxy.toml`.
    pub environment: String,
    /// The name of the upstream, where it has one.
    pub upstream_name: Option<Arc<str>>,
    /// What is under way, with all other gates of the process.
    pub room: Room,
    /// How the outside sees this proxy.
    pub outside: Outside,
    /// The identity provider behind it.
    pub upstream: Upstream,
    /// What is recognised; paths from discovery are filled in when the first request comes.
    pub preset: Preset,
    /// Who is asked.
    pub interceptors: Interceptors,
    /// Signs tokens again and maps them back.
    pub reissuer: Reissuer,
    /// Where every verdict is recorded before it has an effect.
    pub audit: Audit,
    /// The wall clock.
    pub clock: Clock,
    /// The status of a denial at an OAuth endpoint.
    pub denied: StatusCode,
    /// The page that browsers are shown.
    pub page: Page,
    /// Whether routes are suggested for requests that none fits.
    pub learn: bool,
    /// Form fields that are sent as attributes of a signup.
    pub signup_attributes: Vec<String>,
    /// Whether a native upstream token is refused.
    pub require_reissued: bool,
    /// What becomes of an answer with a token of the upstream's own.
    pub egress: Egress,
    /// Who is told of logouts by us.
    pub relying_parties: RelyingParties,
    /// Whether the key set has the upstream's token keys as well.
    pub upstream_keys: Publish,
    /// What becomes of opaque access tokens.
    pub opaque: Opaque,
    /// The resource servers that a JWT in the place of an opaque token may be for, the usual one first.
    pub audience: Vec<String>,
    /// For how many seconds caches may keep the key set.
    pub key_set_max_age: u64,
    /// A token longer than this is warned about, in bytes.
    pub warn_size: usize,
    /// Where the upstream finds the certificates of clients.
    pub certificate_header: CertificateHeader,
    /// Where clients are.
    pub geo: Geo,
    /// Acts at the upstream's admin API, where the operator gave an account for it.
    pub service_account: Option<ServiceAccount>,
    /// Which users must have been asked about before they get a token.
    pub late_signup: Option<LateSignup>,
    /// Where all this is counted.
    pub metrics: Metrics,
    /// Where recognised requests leave their spans.
    pub telemetry: Telemetry,
}

/// The line, with everything a request meets on it. Made once for a configuration, shared by all connections.
pub struct Gate {
    parts: Parts,
    origin: String,
    preset: ArcSwapOption<Preset>,
    issuers: Arc<Issuers>,
    learned: Arc<Learned>,
    learning: Learning,
    asked: Arc<Asked>,
    natives: Arc<Natives>,
}

impl std::ops::Deref for Gate {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Gate {
    /// One request, from the first byte to the last. Read this to see what happens to it.
    pub async fn serve(self: Arc<Self>, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        let _in_flight = self.metrics.in_flight();
        let (parts, body) = request.into_parts();
        let certificate = parts.extensions.get::<ClientCertificate>().cloned();
        let arrival = Arrival::new(Uuid::now_v7(), self.clock.now(), Instant::now(), peer, &parts.headers);
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let mut exchange = match Exchange::read(arrival.clone(), parts, &self.outside) {
            Ok(exchange) => exchange,
            Err(unreadable) => {
                let answer = self.unreadable(&arrival, &method, &path, unreadable);
                self.metrics.refused(Fault::Client.as_str());
                return self.counted(&arrival, metrics::UNREADABLE, answer);
            }
        };
        self.tell_certificate(&mut exchange, certificate.as_ref());
        if logout::is_own(exchange.target.path()) {
            let answer = Box::pin(self.serve_own(&exchange, body)).await;
            return self.counted(&arrival, metrics::OWN, answer);
        }
        self.ask_readably(&mut exchange);
        let mut place = self.room.places.begin();
        // What is boxed on this line is over, or not begun, while a request is paused, and must not take memory then.
        let recognition = match Box::pin(self.recognise(&exchange, body, &mut place)).await {
            Ok(mut recognition) => place.enter(&mut recognition).map(|held| (recognition, held)),
            Err(refusal) => Err(refusal),
        };
        match recognition {
            Err(refusal) => {
                let answer = self.refuse(&exchange, None, refusal);
                self.counted(&arrival, metrics::UNRECOGNISED, answer)
            }
            Ok((Recognition::None(content), _held)) => {
                let passed = Box::pin(self.pass(&mut exchange, content)).await;
                let exchange = Arc::new(exchange);
                let streamed = match passed {
                    Ok(answer) => Box::pin(self.guard(&exchange, None, answer)).await,
                    Err(refusal) => Err(refusal),
                };
                let answer = streamed.unwrap_or_else(|refusal| self.refuse(&exchange, None, refusal));
                self.counted(&arrival, metrics::UNRECOGNISED, answer)
            }
            // A verdict, its record and what follows from it are not undone by a client that goes away.
            Ok((Recognition::Found(recognised), held)) => {
                let request_id = exchange.arrival.request_id.clone();
                let gate = Arc::clone(&self);
                let acted = self.room.tasks.spawn(async move {
                    let answer = gate.act(exchange, recognised).await;
                    drop(held);
                    answer
                });
                acted.await.unwrap_or_else(|e| {
                    let occasion = Occasion {
                        request_id: &request_id,
                        method: method.as_str(),
                        path: &path,
                        back: None,
                    };
                    let refusal = Refusal::ourselves(format!("a request's task ended early: {e}"));
                    self.metrics.refused(refusal.fault().as_str());
                    let answer = refusal.into_response(&self.oauth(), &occasion);
                    self.counted(&arrival, metrics::UNRECOGNISED, answer)
                })
            }
        }
    }

    /// What the route says is done.
    async fn act(self: &Arc<Self>, mut exchange: Exchange, mut recognised: Recognised) -> Response<Body> {
        let span = self.begin_span(&mut exchange, &recognised);
        let outcome = self.act_or_refuse(&mut exchange, &mut recognised).await;
        let exchange = Arc::new(exchange);
        let outcome = match outcome {
            Ok(answer) => Box::pin(self.guard(&exchange, Some(&recognised), answer)).await,
            Err(refusal) => Err(refusal),
        };
        let response = outcome.unwrap_or_else(|refusal| self.refuse(&exchange, Some(&recognised), refusal));
        tracing::info!(
            request_id = %exchange.arrival.request_id,
            client.ip = %exchange.client_ip,
            upstream.name = self.upstream_name.as_deref(),
            operation = %recognised.route.name,
            status = response.status().as_u16(),
            duration_ms = exchange.arrival.started.elapsed().as_millis() as u64,
            "{} {} was `{}`",
            exchange.method,
            exchange.target.path(),
            recognised.route.name,
        );
        if let Some(span) = span {
            self.end_span(span, response.status());
        }
        self.counted(&exchange.arrival, &recognised.route.name, response)
    }

    async fn act_or_refuse(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
    ) -> Result<Response<Body>, Refusal> {
        let caller = self.restore_bearer(exchange, &recognised.preset, recognised.route.native_bearer)?;
        let presented = self.restore_parameters(exchange, recognised)?;
        match recognised.route.does {
            Action::Consult => {
                let caller = caller.as_ref().map(|caller| &caller.claims);
                Box::pin(self.consult_before(exchange, recognised, caller)).await
            }
            Action::Tokens => Box::pin(self.tokens(exchange, recognised, presented.memory)).await,
            Action::Authorize => Box::pin(self.authorize(exchange, recognised)).await,
            Action::Introspect => Box::pin(self.introspect(exchange, recognised, presented.first)).await,
            Action::Userinfo => Box::pin(self.userinfo(exchange, recognised, caller, presented.first)).await,
            Action::Discovery => Box::pin(self.discovery(exchange, recognised)).await,
            Action::Jwks => Box::pin(self.jwks(recognised)).await,
            Action::PublicKey => Box::pin(self.public_key(exchange, recognised)).await,
            Action::Session | Action::Restore | Action::Pass => Box::pin(self.forward(exchange, recognised)).await,
            Action::Refuse => Err(Refusal::rule(
                "invalid_request",
                recognised.route.because.clone().unwrap_or_default(),
            )),
        }
    }

    /// Nothing is recognised: the request streams, and only a token of ours in `Authorization` is mapped back.
    async fn pass(self: &Arc<Self>, exchange: &mut Exchange, content: Content) -> Result<Response<Body>, Refusal> {
        let preset = self.preset().await?;
        let content = self.learn_from(exchange, content).await?;
        self.restore_bearer(exchange, &preset, false)?;
        if exchange.wants_websocket()
            && preset
                .websockets
                .iter()
                .any(|path| path.captures(exchange.target.path()).is_some())
        {
            return self
                .upstream
                .upgrade(exchange.to_upstream(body::empty()), &self.room.tasks)
                .await
                .map_err(away);
        }
        let body = written(exchange, content);
        let request = exchange.to_upstream(body);
        self.relay(exchange, &preset, None, request).await
    }

    /// Forwards what was judged, not what was sent, and streams the answer.
    async fn forward(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
    ) -> Result<Response<Body>, Refusal> {
        let asked = self.asked(exchange, &recognised.preset, Some(recognised));
        let request = judged(exchange, recognised)?;
        self.relay(exchange, &recognised.preset, Some(asked), request).await
    }

    /// Forwards what was judged, and holds the answer.
    async fn call(&self, exchange: &mut Exchange, recognised: &mut Recognised) -> Result<Response<Bytes>, Refusal> {
        let request = judged(exchange, recognised)?;
        let traceparent = exchange.arrival.trace.traceparent();
        let calling = self.spanned(traceparent, request, |request| self.upstream.call(request));
        let answer = Box::pin(calling).await.map_err(away)?;
        front::refuse_redirect(answer.headers())?;
        Ok(answer)
    }

    /// A request of our own.
    async fn send(
        &self,
        method: Method,
        target: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, UpstreamError> {
        self.outside.stamp(&mut headers, None);
        let mut request = Request::new(body::full(body));
        *request.method_mut() = method;
        *request.uri_mut() = target
            .parse()
            .map_err(|_| UpstreamError::Broken("it names an endpoint that is no path".into()))?;
        *request.headers_mut() = headers;
        self.upstream.call(request).await
    }

    /// What is recognised; for a preset whose paths come from discovery, once that was found.
    async fn preset(&self) -> Result<Arc<Preset>, Refusal> {
        if let Some(preset) = self.preset.load_full() {
            return Ok(preset);
        }
        let path = self.parts.preset.issuer.discovery.as_str();
        let document = self.issuers.document(path).await.map_err(|e| {
            // Without it a token request cannot be told from others, so nothing may pass.
            Refusal::ourselves(format!("the upstream's discovery document is not there yet: {e}"))
        })?;
        let found = |member: &str| document.get(member).and_then(Value::as_str).and_then(path_of);
        let preset = Arc::new(self.parts.preset.clone().discovered(found));
        if !preset.routes.iter().any(|route| route.does == Action::Tokens) {
            return Err(Refusal::ourselves(
                "the upstream's discovery document names no token_endpoint",
            ));
        }
        self.preset.store(Some(Arc::clone(&preset)));
        Ok(preset)
    }

    /// The answer to a request whose head was refused.
    fn unreadable(&self, arrival: &Arrival, method: &Method, path: &str, why: Unreadable) -> Response<Body> {
        let occasion = Occasion {
            request_id: &arrival.request_id,
            method: method.as_str(),
            path,
            back: None,
        };
        Refusal::client(why.status, why.reason).into_response(&self.oauth(), &occasion)
    }

    fn refuse(&self, exchange: &Exchange, recognised: Option<&Recognised>, refusal: Refusal) -> Response<Body> {
        self.metrics.refused(refusal.fault().as_str());
        // Pages and scripts log in at one path: who asks for a page is shown one.
        let shows_pages = exchange.wants_html() && recognised.is_some_and(|r| r.route.does == Action::Session);
        let style = match recognised.map(|r| (r.route.denial.as_str(), &r.preset)) {
            Some(("page", _)) => Style::Page(&self.page),
            Some(_) if shows_pages => Style::Page(&self.page),
            Some((name, preset)) => preset.denial.get(name).map_or_else(|| self.oauth(), Style::Own),
            None if exchange.wants_html() => Style::Page(&self.page),
            None => self.oauth(),
        };
        let referer = exchange.headers.get(REFERER).and_then(|value| value.to_str().ok());
        let came_from = referer.filter(|page| {
            page.strip_prefix(&self.origin)
                .is_some_and(|path| path.starts_with('/'))
        });
        let again = recognised.and_then(|recognised| recognised.opened_again(exchange.target.path()));
        let occasion = Occasion {
            request_id: &exchange.arrival.request_id,
            method: exchange.method.as_str(),
            path: exchange.target.path(),
            back: again.as_deref().or(came_from),
        };
        refusal.into_response(&style, &occasion)
    }

    fn oauth(&self) -> Style<'static> {
        Style::OAuth { denied: self.denied }
    }
}

/// The request that was judged: its query and body are written anew from what was read of them.
fn judged(exchange: &mut Exchange, recognised: &mut Recognised) -> Result<Request<Body>, Refusal> {
    if !recognised.query.is_empty() {
        let target = exchange.target.with_query(&recognised.query.to_urlencoded());
        exchange.target = target.map_err(|e| Refusal::client(e.status, e.reason))?;
    }
    let content = std::mem::replace(&mut recognised.content, Content::Empty);
    let body = written(exchange, content);
    Ok(exchange.to_upstream(body))
}

/// A body that was read is written anew; one that was not streams.
fn written(exchange: &mut Exchange, content: Content) -> Body {
    let (media_type, bytes) = match content {
        Content::Unread(body) => return body.into_inner(),
        Content::Empty => return body::empty(),
        Content::Form(form) => ("application/x-www-form-urlencoded", form.to_urlencoded()),
        Content::Json(document) => ("application/json", document.to_string()),
    };
    // A JSON type of its own, such as SCIM's, stays.
    let keeps = media_type == "application/json" && exchange.headers.contains_key(CONTENT_TYPE);
    if !keeps {
        exchange
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    exchange.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    // The trailers that it announces were read away with the body.
    exchange.headers.remove(TRAILER);
    body::full(bytes)
}

/// What a client is answered when the upstream is away.
fn away(error: UpstreamError) -> Refusal {
    match error {
        UpstreamError::Status(status) if status.is_client_error() => {
            Refusal::client(status, "the provider does not have this")
        }
        error @ (UpstreamError::ClientTooSlow | UpstreamError::ClientBroke) => {
            Refusal::client(error.status(), error.to_string())
        }
        error => Refusal::upstream(error.status(), error.to_string()),
    }
}
