//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    future::{self, Future},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::Either};
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::HttpService,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    ClientCertificate,
    activity::{Activity, InFlight},
    bounded::Bounded,
    limits::Limits,
    patient::{Patient, Socket},
    tls,
    wire::{self, Untidy},
};
use crate::{
    body::{self, Body, BoxError},
    head,
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
        // What is in a box here and below takes memory as long as it lasts, and not as long as the connection does.
        if let Some(acceptor) = acceptor {
            return Box::pin(self.run_tls(stream, &acceptor, service)).await;
        }
        let first = tokio::time::timeout(self.limits.header_timeout, sniff(&stream));
        if let Some(Ok(Ok(protocol))) = Box::pin(self.unless_stopped(first)).await {
            Box::pin(self.speak(stream, protocol, None, service)).await;
        }
    }

    async fn run_tls<S, F>(self, stream: TcpStream, acceptor: &TlsAcceptor, service: Arc<S>)
    where
        S: Fn(Request<Body>, SocketAddr) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let handshake = tokio::time::timeout(self.limits.header_timeout, acceptor.accept(stream));
        let handshake = Box::pin(handshake).map(|stream| {
            let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            stream.map(Box::new)
        });
        match Box::pin(self.unless_stopped(handshake)).await {
            None => {}
            Some(Ok(stream)) => {
                // Where ALPN chose, nothing is sniffed: a client that then speaks the other protocol is wrong.
                let session = stream.get_ref().1;
                let certificate = session.peer_certificates().and_then(<[_]>::first);
                let certificate = certificate.map(ClientCertificate::new);
                let protocol = match session.alpn_protocol() {
                    Some(tls::H2) => Protocol::Http2,
                    _ => Protocol::Http1,
                };
                Box::pin(self.speak(stream, protocol, certificate, service)).await;
            }
            Some(Err(error)) => {
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
        I: Socket,
        S: Fn(Request<Body>, SocketAddr) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Self {
            peer, limits, shutdown, ..
        } = self;
        let watch = Watch {
            peer,
            limits,
            shutdown,
            activity: Activity::new(),
        };
        let mut stream = Patient::new(stream, &watch.limits, watch.activity.clone());
        let mut service = answering(service, certificate, &watch);
        match protocol {
            Protocol::Http1 => {
                // What serves requests is in a box that is gone while there is none: a connection then has its socket, and little else.
                while let Some(at_rest) = Box::pin(serve(stream, service, &watch)).await {
                    (stream, service) = at_rest;
                    if !watch.wakes(&mut stream).await {
                        break;
                    }
                }
            }
            Protocol::Http2 => {
                let connection = http2(&watch.limits).serve_connection(TokioIo::new(stream), service);
                let mut connection = Box::pin(connection);
                let never = future::pending();
                drive(connection.as_mut(), http2::Connection::graceful_shutdown, never, &watch).await;
            }
        }
    }
}

/// What hyper calls for every request.
fn answering<S, F>(
    service: Arc<S>,
    certificate: Option<ClientCertificate>,
    watch: &Watch,
) -> impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send + 'static> + use<S, F>
where
    S: Fn(Request<Body>, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (peer, limits, activity) = (watch.peer, watch.limits.clone(), watch.activity.clone());
    hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let http2 = request.version() == Version::HTTP_2;
        let (in_flight, unread, head) = activity.begin(http2);
        let checked = if http2 { Ok(()) } else { tidy(&head, &mut request) };
        let last = checked.is_err() || !http2 && wire::is_doubtful(request.headers());
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        let answer = match checked {
            Ok(()) => {
                let request = request.map(|body| Bounded::new(body, &limits, unread).boxed_unsync());
                Either::Left(service(request, peer))
            }
            Err(error) => Either::Right(future::ready(refused(peer, error))),
        };
        // In a box, or every connection would have room for a request while it has none.
        Box::pin(answer.map(move |mut response| {
            if last {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(holding(response, in_flight))
        }))
    })
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

impl Watch {
    /// Waits with a connection at rest until something comes; false if it is over instead.
    async fn wakes<I: Socket>(&self, stream: &mut Patient<I>) -> bool {
        let wakes = tokio::select! {
            biased;
            () = stream.readable() => true,
            () = self.shutdown.cancelled() => false,
            () = self.activity.overdue(&self.limits) => false,
        };
        if !wakes {
            _ = tokio::time::timeout(LAST_WORDS, stream.shutdown()).await;
        }
        wakes
    }
}

/// Serves the requests of an HTTP/1 connection; what is left of it comes back when it rests.
async fn serve<I, S>(stream: Patient<I>, service: S, watch: &Watch) -> Option<(Patient<I>, S)>
where
    I: Socket,
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<BoxError>,
{
    let connection = http1(&watch.limits).serve_connection(TokioIo::new(stream), service);
    let mut connection = connection.with_upgrades();
    let (hang_up, rests) = (
        http1::UpgradeableConnection::graceful_shutdown,
        watch.activity.rests(&watch.limits),
    );
    if !drive(Pin::new(&mut connection), hang_up, rests, watch).await {
        return None;
    }
    let parts = connection.into_parts()?;
    let mut stream = parts.io.into_inner();
    stream.put_back(parts.read_buf);
    Some((stream, parts.service))
}

/// Follows a connection to its end, or to its rest: then true. `hang_up` tells the client that there is nothing more to come.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    hang_up: fn(Pin<&mut C>),
    rests: impl Future<Output = ()>,
    watch: &Watch,
) -> bool
where
    C: Future<Output = hyper::Result<()>>,
{
    let Watch {
        peer,
        limits,
        shutdown,
        activity,
    } = watch;
    let ended = tokio::select! {
        // What comes is read before anything is ended.
        biased;
        ended = connection.as_mut() => ended,
        () = rests => return true,
        () = shutdown.cancelled() => {
            // hyper closes a connection that it has read nothing of yet, and its client may have sent a request.
            let first = async {
                if activity.is_new() {
                    tokio::time::sleep(STILL_ON_ITS_WAY).await;
                }
            };
            tokio::select! {
                biased;
                ended = connection.as_mut() => return told(*peer, ended),
                () = first => {}
            }
            hang_up(connection.as_mut());
            tokio::select! {
                ended = connection => ended,
                () = activity.overdue(limits) => Ok(()),
            }
        }
        () = activity.overdue(limits) => {
            hang_up(connection.as_mut());
            // Enough for a GOAWAY; whoever is in the middle of a head gets nothing more.
            tokio::time::timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    told(*peer, ended)
}

fn told(peer: SocketAddr, ended: hyper::Result<()>) -> bool {
    if let Err(error) = ended {
        debug!(peer.address = %peer, "connection failed: {error}");
    }
    false
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

/// What is left of a request's head once it is checked holds nothing of the connection's buffer, which can be used again meanwhile.
fn tidy(raw: &[u8], request: &mut Request<Incoming>) -> Result<(), Untidy> {
    let method = request.method().clone();
    wire::check(&method, raw, request.headers_mut())?;
    head::detach(request.headers_mut());
    head::detach_target(request.uri_mut());
    Ok(())
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

#[cfg(test)]
mod tests;
