//! A plain HTTP client: follows no redirect, sends no cookie of its own accord.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Connections to wherever it is sent.
#[derive(Clone)]
pub(super) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// A request in the making.
pub(super) struct Call<'c> {
    client: &'c Client,
    url: String,
    method: Method,
    headers: Vec<(header::HeaderName, String)>,
    body: Bytes,
}

/// A whole answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct NoReply(String);

impl Client {
    pub(super) fn new() -> Self {
        Self {
            pool: Pool::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub(super) fn get(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, url)
    }

    pub(super) fn post(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::POST, url)
    }

    fn call(&self, method: Method, url: impl Into<String>) -> Call<'_> {
        Call {
            client: self,
            url: url.into(),
            method,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }
}

impl Call<'_> {
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header::HeaderName::from_static(name), value.into()));
        self
    }

    /// Authenticates as a client (RFC 6749 §2.3.1).
    pub(super) fn basic(self, id: &str, secret: &str) -> Self {
        let credentials = STANDARD.encode(format!("{id}:{secret}"));
        self.header("authorization", format!("Basic {credentials}"))
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(super) fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish();
        self.body("application/x-www-form-urlencoded", body)
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(super) fn body(mut self, content_type: &str, body: String) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sends it and reads the whole answer, all in 15 s and 1 MiB.
    pub(super) async fn send(self) -> Result<Reply, NoReply> {
        let (method, url) = (self.method.clone(), self.url.clone());
        let failed = |why: &dyn fmt::Display| NoReply(format!("{method} {url}: {why}"));
        let mut request = Request::builder().method(&self.method).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body)).map_err(|error| failed(&error))?;
        let whole = async {
            let answer = self
                .client
                .pool
                .request(request)
                .await
                .map_err(|error| failed(&error))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_BODY)
                .collect()
                .await
                .map_err(|error| failed(&error))?;
            Ok(Reply {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        match tokio::time::timeout(DEADLINE, whole).await {
            Ok(outcome) => outcome,
            Err(_) => Err(failed(&"no answer within 15 s")),
        }
    }
}

impl Reply {
    /// The body as JSON; `null` where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A parameter in the query of `Location`.
    pub(super) fn location_parameter(&self, name: &str) -> Option<String> {
        let location = self.headers.get(header::LOCATION)?.to_str().ok()?;
        let (_, query) = location.split_once('?')?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }
}

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const DEADLINE: Duration = Duration::from_secs(15);
/// In bytes.
const MAX_BODY: usize = 1 << 20;
