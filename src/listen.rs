//! Sockets, TLS, limits and connections; what is served on them is a function.

mod pace;
mod settings;

use std::{convert::Infallible, future::Future, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::pace::{Pace, Patient};
pub use self::settings::{Settings, Tls};
use crate::{body::Body, misconfigured::Misconfigured};

/// How many streams one HTTP/2 connection may have at once.
const STREAMS: u32 = 128;

/// How many HTTP/2 errors of a client's making end its connection.
const RESETS: usize = 128;

/// How many headers a request may have.
const HEADERS: usize = 100;

/// A bound socket and the rules for the connections on it.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    rules: Rules,
}

/// The limits of a connection.
#[derive(Clone)]
struct Rules {
    connections: Arc<Semaphore>,
    head: usize,
    header_timeout: Duration,
    idle_timeout: Duration,
    pace: Pace,
    drain_timeout: Duration,
}

impl Listener {
    /// Binds the socket and reads certificate and key.
    ///
    /// # Errors
    /// An address that cannot be bound, a certificate or key that cannot be used.
    pub async fn bind(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let tls = settings.tls.as_ref().map(|tls| tls.acceptor(base)).transpose()?;
        let socket = TcpListener::bind(settings.address).await.map_err(|e| {
            Misconfigured::new(
                "listen.address",
                format!("{} cannot be listened on: {e}", settings.address),
            )
            .hint("choose an address of this machine and a port that nothing else uses")
        })?;
        let rules = Rules {
            connections: Arc::new(Semaphore::new(settings.max_connections)),
            head: settings.max_head,
            header_timeout: settings.header_timeout.0,
            idle_timeout: settings.idle_timeout.0,
            pace: Pace {
                stall: settings.body_timeout.0,
                bytes_per_second: settings.min_body_rate,
            },
            drain_timeout: settings.drain_timeout.0,
        };
        Ok(Self { socket, tls, rules })
    }

    /// The address that was bound, with its port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop`, then takes no more connections and lets requests in flight finish within the drain timeout.
    pub async fn serve<S, F>(self, service: S, stop: CancellationToken)
    where
        S: Fn(Request<Body>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Self { socket, tls, rules } = self;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let (stream, peer, permit) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&socket, &rules) => accepted,
            };
            while connections.try_join_next().is_some() {}
            let (tls, rules, service, watcher) = (tls.clone(), rules.clone(), service.clone(), graceful.watcher());
            connections.spawn(async move {
                let _permit = permit;
                connect(stream, peer, tls, &rules, service, watcher).await;
            });
        }
        drop(socket);
        if tokio::time::timeout(rules.drain_timeout, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!(
                "requests that are in flight after {} s are cut off",
                rules.drain_timeout.as_secs()
            );
        }
        connections.abort_all();
    }
}

/// The next connection, once there is room for it. Errors of single connections are theirs; when the process has run out
/// of descriptors, others must close first.
async fn accept(socket: &TcpListener, rules: &Rules) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = Arc::clone(&rules.connections).acquire_owned().await else {
            return std::future::pending().await;
        };
        match socket.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(e) => {
                tracing::warn!(error = %e, "no connection can be accepted: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connect<S, F>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    rules: &Rules,
    service: S,
    watcher: Watcher,
) where
    S: Fn(Request<Body>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // Answers are small and written at once; waiting for more would only delay them.
    _ = stream.set_nodelay(true);
    let Some(acceptor) = tls else {
        return converse(stream, peer, builder(rules), rules, service, watcher).await;
    };
    let Ok(Ok(stream)) = tokio::time::timeout(rules.header_timeout, acceptor.accept(stream)).await else {
        return tracing::debug!(%peer, "the TLS handshake came to nothing");
    };
    // What ALPN chose is what is spoken; it is never guessed from the first bytes.
    let builder = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => builder(rules).http2_only(),
        _ => builder(rules).http1_only(),
    };
    converse(stream, peer, builder, rules, service, watcher).await;
}

async fn converse<I, S, F>(
    io: I,
    peer: SocketAddr,
    builder: auto::Builder<TokioExecutor>,
    rules: &Rules,
    service: S,
    watcher: Watcher,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Body>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (io, patience) = Patient::new(io, rules.header_timeout);
    let pace = rules.pace;
    let serve = service_fn(move |request: Request<Incoming>| {
        let busy = patience.busy();
        let held = busy.clone();
        let request = request.map(|body| pace.hold(body, held));
        let answer = service(request, peer);
        async move {
            let answer = answer.await;
            drop(busy);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(io), serve)
        .into_owned();
    if let Err(e) = watcher.watch(connection).await {
        tracing::debug!(%peer, error = %e, "a connection ended early: {e}");
    }
}

fn builder(rules: &Rules) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper's timer runs from the end of the request before, so it holds the idle time; `Patient` holds the head's.
        .header_read_timeout(rules.idle_timeout)
        .max_buf_size(rules.head)
        .max_headers(HEADERS)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(rules.head).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(RESETS)
        .keep_alive_interval(rules.idle_timeout)
        .keep_alive_timeout(rules.header_timeout);
    builder
}
