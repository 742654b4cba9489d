//! Calling an endpoint: one signed POST inside a deadline, at most one repetition, and an answer read up to a cap.

mod connect;
mod miss;
mod tls;

#[cfg(test)]
mod tests;

pub(super) use self::{
    connect::{Lookup, system_lookup},
    tls::system_roots,
};

use std::{fmt, net::IpAddr, path::Path, pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{CaptureConnection, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::RootCertStore;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use self::{connect::Connector, miss::Miss};
use super::{
    Settings, address,
    answer::{Head, invalid},
    authentication::Credentials,
    exchange::{Exchange, Prepared, RawAnswer},
    signature::Signer,
};
use crate::{
    clock::Clock,
    misconfigured::Misconfigured,
    verdict::{Attempt, Failure},
};

/// The client of one interceptor, with connections of its own.
pub(super) struct Caller {
    client: Client<Connector, Full<Bytes>>,
    endpoint: Uri,
    url: String,
    authentication: Option<(HeaderName, HeaderValue)>,
    signer: Signer,
    retries: u32,
}

/// One consultation, as it is sent.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The `interceptor-id`, the same over retries.
    pub(super) id: &'a str,
    /// The event.
    pub(super) body: Bytes,
    /// The trace that the client's request belongs to.
    pub(super) trace_id: Option<&'a str>,
    /// Whether that trace is recorded.
    pub(super) recorded: bool,
    /// When the whole answer must be there, the retry's too.
    pub(super) deadline: Instant,
    /// The clock of `interceptor-timestamp`.
    pub(super) clock: &'a Clock,
}

/// What came of a call.
#[derive(Debug)]
pub(super) struct Called {
    /// The last attempt's answer: its head, already judged, and its body.
    pub(super) outcome: Result<(Head, Bytes), Failure>,
    /// The last attempt's status.
    pub(super) status: Option<u16>,
    /// The attempts that were made.
    pub(super) attempts: Vec<Attempt>,
    /// How late it was noticed that the time was up: we were too busy, and the endpoint's silence says little.
    pub(super) late: Duration,
}

impl Caller {
    /// Reads secrets and certificates. `roots` are the system's root certificates.
    pub(super) fn build(
        settings: &Settings,
        base: &Path,
        roots: &RootCertStore,
        lookup: Lookup,
    ) -> Result<Self, Vec<Misconfigured>> {
        let mut found = Vec::new();
        let mut keep = |finding: Misconfigured| found.push(finding);
        let endpoint = parse_endpoint(settings).map_err(&mut keep).ok();
        let credentials = match &settings.authentication {
            Some(authentication) => Credentials::read(authentication, base).map_err(&mut keep).ok(),
            None => Some(Credentials::default()),
        };
        let ca = settings.ca.as_ref().map(|path| base.join(path));
        let certificate = credentials.as_ref().and_then(|c| c.certificate.as_ref());
        let tls = tls::config(roots, ca.as_deref(), certificate).map_err(&mut keep).ok();
        if let Some(endpoint) = &endpoint {
            let https = endpoint.scheme() == Some(&http::uri::Scheme::HTTPS);
            if certificate.is_some() && !https {
                keep(
                    Misconfigured::new("authentication.client_certificate", "the endpoint is not `https://`")
                        .hint("a client certificate is shown in TLS only"),
                );
            }
            if https && roots.is_empty() && ca.is_none() {
                keep(
                    Misconfigured::new(
                        "endpoint",
                        "this system has no root certificates to judge the endpoint's by",
                    )
                    .hint("install the package `ca-certificates` or name a root certificate with `ca`"),
                );
            }
        }
        let signer = Signer::read(settings, base);
        match (endpoint, credentials, tls, signer) {
            (Some(endpoint), Some(credentials), Some(tls), Ok(signer)) if found.is_empty() => {
                let mut builder = Client::builder(TokioExecutor::new());
                builder
                    .pool_timer(TokioTimer::new())
                    .pool_idle_timeout(IDLE)
                    .http1_max_buf_size(MAX_HEAD);
                Ok(Self {
                    client: builder.build(Connector::new(tls, settings.allow_private_network, lookup)),
                    endpoint,
                    url: settings.endpoint.clone(),
                    authentication: credentials.header,
                    signer,
                    retries: settings.retries,
                })
            }
            (.., signer) => {
                found.extend(signer.err().into_iter().flatten());
                Err(found)
            }
        }
    }

    /// Calls the endpoint, and once more if that is allowed and may help. Never takes longer than to the deadline.
    /// What went over the wire is put into `record`, if there is one.
    pub(super) async fn call(&self, call: &Call<'_>, mut record: Option<&mut Vec<Exchange>>) -> Called {
        let mut attempt = 0;
        let mut late = Duration::ZERO;
        let mut attempts = Vec::new();
        loop {
            attempt += 1;
            let request = self.prepare(call, attempt);
            if let Some(record) = &mut record {
                record.push(self.exchange(&request, call));
            }
            let mut seen = Seen::default();
            let (time, started) = (call.clock.now(), Instant::now());
            let in_time = {
                let mut attempting = pin!(self.attempt(request, &mut seen));
                match timeout_at(call.deadline, attempting.as_mut()).await {
                    Ok(outcome) => Some(outcome),
                    // The time that we did not run is not the endpoint's: its answer may be here, unread.
                    Err(_) => {
                        late = call.deadline.elapsed();
                        timeout(late.min(MOST_LATE), attempting).await.ok()
                    }
                }
            };
            let outcome = in_time.unwrap_or_else(|| Err(Miss::timeout(started.elapsed(), seen.doing())));
            let status = seen.status.map(|status| status.as_u16());
            attempts.push(Attempt {
                started: time,
                duration: started.elapsed(),
                status,
                failure: outcome.as_ref().err().map(|miss| miss.failure.clone()),
            });
            let body = seen.body.freeze();
            if let Some(exchange) = record.as_mut().and_then(|record| record.last_mut()) {
                exchange.answer = status.map(|status| RawAnswer {
                    status,
                    headers: shown(&seen.headers),
                    body: body.clone(),
                });
                exchange.duration = started.elapsed();
            }
            match outcome {
                Err(miss) if miss.retryable && attempt <= self.retries && Instant::now() < call.deadline => {}
                outcome => {
                    return Called {
                        outcome: outcome.map(|head| (head, body)).map_err(|miss| miss.failure),
                        status,
                        attempts,
                        late,
                    };
                }
            }
        }
    }

    fn prepare(&self, call: &Call<'_>, attempt: u32) -> Request<Full<Bytes>> {
        let timestamp = call.clock.now().as_second();
        let left = call.deadline.saturating_duration_since(Instant::now()).as_millis();
        let signature = self.signer.sign(call.id, timestamp, &call.body);
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let headers = request.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json"),
            (header::ACCEPT, "application/json"),
            (header::ACCEPT_ENCODING, "identity"),
            (header::USER_AGENT, USER_AGENT),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in [
            ("interceptor-id", call.id.to_owned()),
            ("interceptor-timestamp", timestamp.to_string()),
            ("interceptor-signature", signature.clone()),
            ("webhook-id", call.id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
            ("interceptor-deadline-ms", left.to_string()),
            ("interceptor-attempt", attempt.to_string()),
            ("traceparent", traceparent(call)),
        ] {
            // Ids, numbers and base64 are visible ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Some((name, value)) = &self.authentication {
            headers.insert(name, value.clone());
        }
        request
    }

    fn exchange(&self, request: &Request<Full<Bytes>>, call: &Call<'_>) -> Exchange {
        let header = |name| {
            request
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
        };
        Exchange {
            request: Prepared {
                url: self.url.clone(),
                headers: shown(request.headers()),
                body: call.body.clone(),
                signed: format!(
                    "{}.{}.{}",
                    call.id,
                    header("interceptor-timestamp"),
                    String::from_utf8_lossy(&call.body)
                ),
            },
            answer: None,
            duration: Duration::ZERO,
        }
    }

    async fn attempt(&self, mut request: Request<Full<Bytes>>, seen: &mut Seen) -> Result<Head, Miss> {
        seen.connection = Some(capture_connection(&mut request));
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| Miss::before_the_head(&error))?;
        let (parts, mut body) = answer.into_parts();
        seen.status = Some(parts.status);
        seen.headers = parts.headers;
        let head = Head::judge(parts.status, &seen.headers).map_err(|failure| Miss {
            failure,
            retryable: matches!(parts.status.as_u16(), 502..=504),
        })?;
        if head == Head::NoContent {
            return Ok(head);
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Miss::in_the_body(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            let room = MAX_BODY.saturating_sub(seen.body.len());
            seen.body.extend_from_slice(data.get(..room).unwrap_or(data));
            if data.len() > room {
                return Err(invalid(format!("the answer is larger than {} KiB", MAX_BODY / 1024)).into());
            }
        }
        Ok(head)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({})", self.url)
    }
}

/// What one attempt has seen so far; it is still there when time is up.
#[derive(Default)]
struct Seen {
    connection: Option<CaptureConnection>,
    status: Option<StatusCode>,
    headers: HeaderMap,
    body: BytesMut,
}

impl Seen {
    fn doing(&self) -> &'static str {
        let connected = |capture: &CaptureConnection| capture.connection_metadata().is_some();
        match (self.status, &self.connection) {
            (Some(_), _) => "reading the answer",
            (None, Some(capture)) if connected(capture) => "waiting for the answer",
            (None, _) => "connecting",
        }
    }
}

/// Errors: what is wrong with `endpoint`. Addresses in it are judged here; names when they are resolved.
fn parse_endpoint(settings: &Settings) -> Result<Uri, Misconfigured> {
    let wrong = |what: &str| {
        Misconfigured::new("endpoint", format!("the endpoint {what}"))
            .hint("write a URL like `https://hooks.example.com/signup`")
    };
    let uri: Uri = settings.endpoint.parse().map_err(|_| wrong("is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("https" | "http")) {
        return Err(wrong("is neither `https://` nor `http://`"));
    }
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(
            wrong("has a user name or password in it").hint("use `authentication` and keep the secret in a file")
        );
    }
    if settings.endpoint.contains('#') {
        return Err(wrong("has a fragment"));
    }
    let host = uri.host().unwrap_or_default();
    if host.is_empty() {
        return Err(wrong("names no host"));
    }
    if let Ok(literal) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        address::judge(literal, settings.allow_private_network)
            .map_err(|barred| Misconfigured::new("endpoint", barred.to_string()))?;
    }
    Ok(uri)
}

/// W3C Trace Context §3.2: our call is a span of the client's trace, or of a new one, and has the end of its id as its own.
fn traceparent(call: &Call<'_>) -> String {
    let usable = |id: &&str| id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = Uuid::parse_str(call.id).unwrap_or_else(|_| Uuid::now_v7());
    let (span, flags) = (id.as_u64_pair().1, if call.recorded { "01" } else { "00" });
    match call.trace_id.filter(usable) {
        Some(trace_id) => format!("00-{trace_id}-{span:016x}-{flags}"),
        None => format!("00-{}-{span:016x}-{flags}", Uuid::now_v7().simple()),
    }
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |value: &HeaderValue| {
        if value.is_sensitive() {
            return "***".to_owned();
        }
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    };
    headers.iter().map(|(name, v)| (name.to_string(), value(v))).collect()
}

const USER_AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

/// For no longer is an answer waited for that should have been read before.
const MOST_LATE: Duration = Duration::from_secs(2);

/// An answer's body; the head has room for as many headers as a sane server sends.
const MAX_BODY: usize = 256 * 1024;
const MAX_HEAD: usize = 64 * 1024;

/// Shorter than any common server keeps an idle connection, so that a call does not meet one that is just being closed.
const IDLE: Duration = Duration::from_secs(1);
