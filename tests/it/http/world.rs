//! A client that writes bytes, a proxy that only reads and relays, and an upstream that records.

use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tollgate::{
    body::{self, Body},
    exchange::{Arrival, Exchange, Outside},
    listen::{self, Listener},
    upstream::{self, Upstream, UpstreamError},
};
use uuid::Uuid;

/// Far more than anything takes, so that a test that hangs fails.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) serving: JoinHandle<()>,
}

impl Proxy {
    /// A proxy for `id.example.com` in front of `upstream`; `listen` and `upstream_settings` are TOML to add.
    pub(super) async fn start(upstream: &str, listen: &str, upstream_settings: &str) -> Self {
        Self::start_in(Path::new("."), upstream, listen, upstream_settings).await
    }

    pub(super) async fn start_in(base: &Path, upstream: &str, listen: &str, upstream_settings: &str) -> Self {
        let listen: listen::Settings = toml::from_str(&format!(
            "address = '127.0.0.1:0'\npublic_url = 'https://id.example.com'\n{listen}"
        ))
        .unwrap();
        let settings: upstream::Settings =
            toml::from_str(&format!("url = '{upstream}'\npreset = 'generic'\n{upstream_settings}")).unwrap();
        let upstream = Upstream::new(&settings, base).unwrap();
        let outside = Outside::new(&listen.public_url, &listen.names, &listen.trusted_proxies).unwrap();
        let outside = Arc::new(outside);
        let tasks = TaskTracker::new();
        serve(&listen, base, move |request, peer| {
            let (upstream, outside, tasks) = (upstream.clone(), Arc::clone(&outside), tasks.clone());
            async move { pass(request, peer, &outside, &upstream, &tasks).await }
        })
        .await
    }
}

/// Any service behind a listener of ours; also the cleverer upstreams.
pub(super) async fn serve<S, F>(settings: &listen::Settings, base: &Path, service: S) -> Proxy
where
    S: Fn(Request<Body>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = Listener::bind(settings, base).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(service, stop.clone()));
    Proxy { address, stop, serving }
}

/// A plain upstream made of a function.
pub(super) async fn upstream<S, F>(service: S) -> String
where
    S: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let settings: listen::Settings =
        toml::from_str("address = '127.0.0.1:0'\npublic_url = 'http://id.example.com'").unwrap();
    let proxy = serve(&settings, Path::new("."), move |request, _| service(request)).await;
    format!("http://{}", proxy.address)
}

async fn pass(
    request: Request<Body>,
    peer: SocketAddr,
    outside: &Outside,
    upstream: &Upstream,
    tasks: &TaskTracker,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let arrival = Arrival::new(Uuid::now_v7(), Timestamp::now(), Instant::now(), peer, &parts.headers);
    let exchange = match Exchange::read(arrival, parts, outside) {
        Ok(exchange) => exchange,
        Err(unreadable) => return answer(unreadable.status, &unreadable.reason),
    };
    let request = exchange.to_upstream(body);
    let answered = if exchange.wants_websocket() {
        upstream.upgrade(request, tasks).await
    } else {
        upstream.relay(request).await
    };
    answered.unwrap_or_else(|error: UpstreamError| answer(error.status(), &error.to_string()))
}

pub(super) fn answer(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(body::full(text.to_owned()));
    *response.status_mut() = status;
    response
}

/// An upstream that keeps every byte and answers each request that it can make out with the same bytes.
#[derive(Clone)]
pub(super) struct Recorder {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<String>>>,
    came: Arc<Notify>,
}

impl Recorder {
    pub(super) async fn start() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await
    }

    pub(super) async fn answering(answer: &'static str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let recorder = Self {
            url: format!("http://{}", socket.local_addr().unwrap()),
            seen: Arc::default(),
            came: Arc::default(),
        };
        let own = recorder.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                tokio::spawn(own.clone().record(stream, answer));
            }
        });
        recorder
    }

    /// Every request that came, head and body as on the wire.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The one request that came, headers in lower case.
    pub(super) fn one(&self) -> String {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].to_lowercase()
    }

    pub(super) async fn until_seen(&self, count: usize) {
        let enough = async {
            while self.seen.lock().unwrap().len() < count {
                self.came.notified().await;
            }
        };
        timeout(DEADLINE, enough).await.unwrap();
    }

    async fn record(self, mut stream: TcpStream, answer: &'static str) {
        let mut buffer = Vec::new();
        loop {
            while let Some(end) = message_end(&buffer) {
                let rest = buffer.split_off(end);
                let message = String::from_utf8_lossy(&std::mem::replace(&mut buffer, rest)).into_owned();
                self.seen.lock().unwrap().push(message);
                self.came.notify_one();
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                if !buffer.is_empty() {
                    let rest = String::from_utf8_lossy(&buffer).into_owned();
                    self.seen.lock().unwrap().push(format!("(broken off) {rest}"));
                }
                self.came.notify_one();
                return;
            }
        }
    }
}

/// Where the first message in the bytes ends, as the simplest of servers reads it.
fn message_end(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let head = text.find("\r\n\r\n")? + 4;
    if text[..head].contains("transfer-encoding: chunked") {
        // The last chunk, then trailers, then an empty line.
        let last = head - 2 + text[head - 2..].find("\r\n0\r\n")? + 3;
        return Some(last + text[last..].find("\r\n\r\n")? + 4);
    }
    let length = text[..head]
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    (text.len() >= head + length).then_some(head + length)
}

/// What a client got: status and everything as text. Status 0: the connection was closed without an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

/// Sends bytes on a connection of its own and reads one answer.
pub(super) async fn ask(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The proxy may refuse before it has taken everything.
    let _ = stream.write_all(bytes.as_ref()).await;
    read_answer(&mut stream).await
}

/// Reads one answer: its head, and what `Content-Length` or the last chunk or the end of the stream says is its body.
pub(super) async fn read_answer(stream: &mut (impl AsyncReadExt + Unpin)) -> Answer {
    let mut buffer = Vec::new();
    let reading = async {
        while message_end(&buffer).is_none() {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    timeout(DEADLINE, reading)
        .await
        .expect("an answer or the end of the connection");
    let text = String::from_utf8_lossy(&buffer).into_owned();
    let status = text.get(9..12).map_or(0, |status| status.parse().unwrap());
    Answer { status, text }
}

/// Waits until the other side closes.
pub(super) async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut rest))
        .await
        .expect("the connection to be closed");
    String::from_utf8_lossy(&rest).into_owned()
}
