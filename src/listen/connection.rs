//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    ClientCertificate,
    activity::{Activity, InFlight},
    bounded::Bounded,
    limits::Limits,
    patient::Patient,
    tls,
    wire::{self, Untidy},
};
use crate::{
    body::{self, Body, BoxError},
    metrics::Metrics,
};

pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) limits: Limits,
    pub(super) shutdown: CancellationToken,
    pub(super) metrics: Metrics,
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http1,
    Http2,
}

impl Connection {
    pub(super) async fn run<S, F>(self, stream: TcpStream, acceptor: Option<TlsAcceptor>, service: Arc<S>)
    where
        S: Fn(Request<Body>, SocketAddr) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Some(acceptor) = acceptor else {
            let first = tokio::time::timeout(self.limits.header_timeout, sniff(&stream));
            if let Some(Ok(Ok(protocol))) = self.unless_stopped(first).await {
                self.speak(stream, protocol, None, service).await;
            }
            return;
        };
        let handshake = tokio::time::timeout(self.limits.header_timeout, acceptor.accept(stream));
        let Some(stream) = self.unless_stopped(handshake).await else {
            return;
        };
        match stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                // Where ALPN chose, nothing is sniffed: a client that then speaks the other protocol is wrong.
                let session = stream.get_ref().1;
                let certificate = session.peer_certificates().and_then(<[_]>::first);
                let certificate = certificate.map(ClientCertificate::new);
                let protocol = match session.alpn_protocol() {
                    Some(tls::H2) => Protocol::Http2,
                    _ => Protocol::Http1,
                };
                self.speak(stream, protocol, certificate, service).await;
            }
            Err(error) => {
                self.metrics.handshake_failed();
                debug!(peer.address = %self.peer, "TLS handshake failed: {error}");
            }
        }
    }

    /// What comes of waiting, or `None` some time after the listener was told to stop: what a client has sent by then may still
    /// be on its way, and must not be answered with a reset.
    async fn unless_stopped<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = waiting => Some(done),
            () = async {
                self.shutdown.cancelled().await;
                tokio::time::sleep(STILL_ON_ITS_WAY).await;
            } => None,
        }
    }

    async fn speak<I, S, F>(
        self,
        stream: I,
        protocol: Protocol,
        certificate: Option<ClientCertificate>,
        service: Arc<S>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Fn(Request<Body>, SocketAddr) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Self {
            peer, limits, shutdown, ..
        } = self;
        let activity = Activity::new();
        let stream = Patient::new(stream, &limits, activity.clone());
        let answer = {
            let (limits, activity) = (limits.clone(), activity.clone());
            hyper::service::service_fn(move |mut request: Request<Incoming>| {
                let http2 = request.version() == Version::HTTP_2;
                let (in_flight, head) = activity.begin(http2);
                let checked = if http2 { Ok(()) } else { tidy(&head, &mut request) };
                let last = checked.is_err() || !http2 && wire::is_doubtful(request.headers());
                if let Some(certificate) = &certificate {
                    request.extensions_mut().insert(certificate.clone());
                }
                let answering = checked.map(|()| {
                    let request = request.map(|body| Bounded::new(body, &limits).boxed_unsync());
                    service(request, peer)
                });
                // In a box, or every connection would have room for a request while it has none.
                Box::pin(async move {
                    let mut response = match answering {
                        Ok(answering) => answering.await,
                        Err(error) => refused(peer, error),
                    };
                    if last {
                        response
                            .headers_mut()
                            .insert(header::CONNECTION, HeaderValue::from_static("close"));
                    }
                    Ok::<_, Infallible>(holding(response, in_flight))
                })
            })
        };
        let stream = TokioIo::new(stream);
        let watch = Watch {
            peer,
            limits: limits.clone(),
            shutdown,
            activity,
        };
        match protocol {
            Protocol::Http1 => {
                let connection = http1(&limits).serve_connection(stream, answer).with_upgrades();
                drive(connection, http1::UpgradeableConnection::graceful_shutdown, watch).await;
            }
            Protocol::Http2 => {
                let connection = http2(&limits).serve_connection(stream, answer);
                drive(connection, http2::Connection::graceful_shutdown, watch).await;
            }
        }
    }
}

/// Plain TCP: HTTP/1, or HTTP/2 with prior knowledge, whose preface no HTTP/1 request begins like (RFC 9113 §3.4).
async fn sniff(stream: &TcpStream) -> io::Result<Protocol> {
    let mut first = [0; PREFACE.len()];
    let seen = stream.peek(&mut first).await?;
    // A client with prior knowledge writes its preface at once; whoever sends less is taken for HTTP/1.
    let http2 = first == *PREFACE && seen == PREFACE.len();
    Ok(if http2 { Protocol::Http2 } else { Protocol::Http1 })
}

struct Watch {
    peer: SocketAddr,
    limits: Limits,
    shutdown: CancellationToken,
    activity: Activity,
}

/// Follows a connection to its end; `hang_up` tells the client that there is nothing more to come.
async fn drive<C>(connection: C, hang_up: fn(Pin<&mut C>), watch: Watch)
where
    C: Future<Output = hyper::Result<()>>,
{
    let Watch {
        peer,
        limits,
        shutdown,
        activity,
    } = watch;
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            // hyper closes a connection that it has read nothing of yet, and its client may have sent a request.
            let first = async {
                if activity.is_new() {
                    tokio::time::sleep(STILL_ON_ITS_WAY).await;
                }
            };
            tokio::select! {
                biased;
                ended = connection.as_mut() => return told(peer, ended),
                () = first => {}
            }
            hang_up(connection.as_mut());
            tokio::select! {
                ended = connection => ended,
                () = activity.overdue(&limits) => Ok(()),
            }
        }
        () = activity.overdue(&limits) => {
            hang_up(connection.as_mut());
            // Enough for a GOAWAY; whoever is in the middle of a head gets nothing more.
            tokio::time::timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    told(peer, ended);
}

fn told(peer: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(peer.address = %peer, "connection failed: {error}");
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // `Activity` times heads and idle connections.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_header_size(limits.max_head)
        .max_buf_size(limits.max_head);
    builder
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

fn tidy(head: &[u8], request: &mut Request<Incoming>) -> Result<(), Untidy> {
    let method = request.method().clone();
    wire::check(&method, head, request.headers_mut())
}

/// As bare as hyper's own answer to a head that it cannot read.
fn refused(peer: SocketAddr, error: Untidy) -> Response<Body> {
    debug!(peer.address = %peer, "refused a request: {error}");
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// Keeps a request in flight until its answer's body is gone.
fn holding(response: Response<Body>, in_flight: InFlight) -> Response<Body> {
    response.map(|body| {
        let hold = move |error: BoxError| {
            let _held: &InFlight = &in_flight;
            error
        };
        body.map_err(hold).boxed_unsync()
    })
}

const PREFACE: &[u8; 3] = b"PRI";
const MAX_HEADERS: usize = 100;
const MAX_STREAMS: u32 = 128;
const MAX_RESET_STREAMS: usize = 20;
const MAX_LOCAL_RESETS: usize = 1024;
const MAX_SEND_BUFFER: usize = 64 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const STILL_ON_ITS_WAY: Duration = Duration::from_millis(500);
const LAST_WORDS: Duration = Duration::from_secs(1);
