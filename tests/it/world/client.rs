//! A client without habits: no redirects, no cookies, no retries of its own accord.

use std::{fmt, net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Connections to one server.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, UnsyncBoxBody<Bytes, std::io::Error>>,
    base: String,
    /// Another name of the server, for `Host`.
    host: Option<String>,
}

/// A request in the making.
pub(crate) struct Call<'c> {
    client: &'c Client,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: UnsyncBoxBody<Bytes, std::io::Error>,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        Self {
            pool: Pool::builder(TokioExecutor::new()).build_http(),
            base: base.to_owned(),
            host: None,
        }
    }

    /// To a server that has this name as well.
    pub(crate) fn named(base: &str, host: &str) -> Self {
        Self {
            host: Some(host.to_owned()),
            ..Self::new(base)
        }
    }

    /// The server as this client sees it.
    pub(crate) fn public_url(&self) -> String {
        match &self.host {
            Some(host) => format!("http://{host}"),
            None => self.base.clone(),
        }
    }

    pub(crate) fn get(&self, target: &str) -> Call<'_> {
        self.call("GET", target)
    }

    pub(crate) fn post(&self, target: &str) -> Call<'_> {
        self.call("POST", target)
    }

    pub(crate) fn call(&self, method: &str, target: &str) -> Call<'_> {
        Call {
            client: self,
            method: method.parse().unwrap(),
            target: target.to_owned(),
            headers: self
                .host
                .iter()
                .map(|host| (header::HOST, host.parse().unwrap()))
                .collect(),
            body: whole(Bytes::new()),
        }
    }
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, id: &str, secret: &str) -> Self {
        let credentials = STANDARD.encode(format!("{id}:{secret}"));
        self.header("authorization", &format!("Basic {credentials}"))
    }

    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.body("application/x-www-form-urlencoded", body)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.header("content-type", content_type).bytes(body)
    }

    /// A body without a content type.
    pub(crate) fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = whole(body.into());
        self
    }

    /// A body that is sent while it is made.
    pub(crate) fn streamed(mut self, body: UnsyncBoxBody<Bytes, std::io::Error>) -> Self {
        self.body = body;
        self
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.target);
        let whole = async {
            let (parts, body) = self.open().await.into_parts();
            let body = body
                .collect()
                .await
                .unwrap_or_else(|e| panic!("{what}: {e}"))
                .to_bytes();
            Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            }
        };
        tokio::time::timeout(PATIENCE, whole)
            .await
            .unwrap_or_else(|_| panic!("{what}: no answer"))
    }

    /// Sends it and gives the answer as it streams in.
    pub(crate) async fn open(self) -> Response<Incoming> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = format!("{}{}", self.client.base, self.target).parse().unwrap();
        *request.headers_mut() = self.headers;
        let what = format!("{} {}", request.method(), request.uri());
        self.client
            .pool
            .request(request)
            .await
            .unwrap_or_else(|e| panic!("{what}: {e}"))
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A parameter in the query of `Location`.
    pub(crate) fn location_parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.header(header::LOCATION.as_str())?.split_once('?')?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.into_owned())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value:?}")?;
        }
        f.write_str(&self.text())
    }
}

/// Sends bytes as they are and gives what comes back until the other side closes; the request must ask for that.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A server that refuses early may close before everything was written.
        _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .expect("the connection stays open")
}

/// The status of a raw answer.
pub(crate) fn status(raw: &str) -> u16 {
    raw.split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {raw:?}"))
}

fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, std::io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
