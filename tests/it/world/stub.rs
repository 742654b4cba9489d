//! An upstream that answers what a test wants and remembers what arrived, byte for byte.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) method: String,
    /// Path and query as they were sent.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrival {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(&self.body)
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Ends the server when it is dropped, and the server's task.
type Running = (oneshot::Sender<()>, JoinHandle<()>);

type Handler = Box<dyn Fn(&Arrival) -> Response + Send + Sync>;

/// What becomes of requests for one path, whatever the handler would say.
#[derive(Clone)]
pub(crate) enum Fate {
    /// This status, content type and body.
    Answer(u16, &'static str, String),
    /// No answer ever comes.
    Hang,
    /// The connection ends behind this half of a body.
    BreakOff(String),
    /// What this function says.
    By(Arc<Handler>),
}

impl Fate {
    pub(crate) fn by(answer: impl Fn(&Arrival) -> Response + Send + Sync + 'static) -> Self {
        Self::By(Arc::new(Box::new(answer)))
    }
}

#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    handler: Arc<Handler>,
    fates: Arc<Mutex<HashMap<String, Fate>>>,
    running: Arc<Mutex<Option<Running>>>,
}

impl Stub {
    pub(crate) async fn start(handler: impl Fn(&Arrival) -> Response + Send + Sync + 'static) -> Self {
        Self::at_address(([127, 0, 0, 1], 0).into(), handler).await
    }

    pub(crate) async fn at_address(
        address: SocketAddr,
        handler: impl Fn(&Arrival) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let stub = Self {
            address: listener.local_addr().unwrap(),
            arrivals: Arc::default(),
            handler: Arc::new(Box::new(handler)),
            fates: Arc::default(),
            running: Arc::default(),
        };
        let routes = Router::new().fallback(answer).with_state(stub.clone());
        let (running, dropped) = oneshot::channel();
        let served = axum::serve(listener, routes).with_graceful_shutdown(async move { _ = dropped.await });
        let task = tokio::spawn(async move { served.await.unwrap() });
        *stub.running.lock().unwrap() = Some((running, task));
        stub
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is what becomes of requests for a path.
    pub(crate) fn fate(&self, path: &str, fate: Fate) {
        self.fates.lock().unwrap().insert(path.to_owned(), fate);
    }

    /// The handler answers for this path again.
    pub(crate) fn spare(&self, path: &str) {
        self.fates.lock().unwrap().remove(path);
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.book().clone()
    }

    pub(crate) fn forget(&self) {
        self.book().clear();
    }

    /// The requests that arrived at a path.
    pub(crate) fn at(&self, path: &str) -> Vec<Arrival> {
        let mut arrivals = self.arrivals();
        arrivals.retain(|a| a.path() == path);
        arrivals
    }

    /// Stops listening and closes its connections.
    pub(crate) async fn go_away(&self) {
        let running = self.running.lock().unwrap().take();
        if let Some((running, task)) = running {
            drop(running);
            task.await.unwrap();
        }
    }

    fn book(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap()
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: u16, document: &Value) -> Response {
    reply(status, "application/json", document.to_string())
}

pub(crate) fn reply(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
        .headers_mut()
        .insert("content-type", content_type.parse().unwrap());
    response
}

async fn answer(State(stub): State<Stub>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let arrival = Arrival {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body,
    };
    stub.book().push(arrival.clone());
    let fate = stub.fates.lock().unwrap().get(arrival.path()).cloned();
    match fate {
        None => (stub.handler)(&arrival),
        Some(Fate::By(answer)) => answer(&arrival),
        Some(Fate::Answer(status, content_type, body)) => reply(status, content_type, body),
        Some(Fate::Hang) => std::future::pending().await,
        Some(Fate::BreakOff(half)) => {
            let parts = [Ok(half), Err(io::Error::other("broken off"))];
            reply(200, "application/json", Body::from_stream(stream::iter(parts)))
        }
    }
}
