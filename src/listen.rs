//! The public side: sockets, TLS, limits and connections, for any service.

mod activity;
mod bounded;
mod connection;
mod limits;
mod patient;
mod tls;
mod wire;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use ipnet::IpNet;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use self::limits::Places;
use crate::{body::Body, clock::Period, misconfigured::Misconfigured};

/// `[listen]`: where clients connect, and what a connection may cost.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on: `0.0.0.0:8443`.
    pub address: SocketAddr,
    /// The address that clients use, without a path: `https://id.example.com`.
    pub public_url: String,
    /// Further host names that clients may use; a `Host` that is neither here nor in `public_url` is refused.
    #[serde(default)]
    pub names: Vec<String>,
    /// The certificate to serve TLS with; leave it out for plain HTTP behind another proxy.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
    /// Networks of proxies whose `X-Forwarded-For` counts. None by default: everybody else's is replaced.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
    /// How many connections are open at once; more wait until one closes.
    #[serde(default = "defaults::max_connections")]
    pub max_connections: usize,
    /// How many of them one address may have; without a limit by default. More are closed at once. Behind a proxy, that is the
    /// proxy's address.
    #[serde(default)]
    pub max_connections_per_ip: Option<usize>,
    /// How long a request's head may take, counted from its first byte; also a TLS handshake and a new connection's first request.
    #[serde(default = "defaults::header_timeout")]
    pub header_timeout: Period,
    /// How long a connection may stay open between requests.
    #[serde(default = "defaults::idle_timeout")]
    pub idle_timeout: Period,
    /// How long a request's body may stall, and how long a client may leave an answer unread.
    #[serde(default = "defaults::body_timeout")]
    pub body_timeout: Period,
    /// Bytes a second that a request's body must reach on average once `body_timeout` has passed; only time spent waiting for the
    /// client counts.
    #[serde(default = "defaults::min_body_rate")]
    pub min_body_rate: u64,
    /// Bytes that a request's head may have.
    #[serde(default = "defaults::max_head")]
    pub max_head: usize,
    /// How long requests in flight may take to finish when the process is told to end.
    #[serde(default = "defaults::drain_timeout")]
    pub drain_timeout: Period,
}

/// `listen.tls`: PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key, unencrypted.
    pub key: PathBuf,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address and port.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// A bound socket and what its connections may do.
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    tls: Option<TlsAcceptor>,
    limits: limits::Limits,
    max_connections: usize,
    max_connections_per_ip: Option<usize>,
    drain_timeout: Duration,
}

impl Listener {
    /// Reads the certificate and binds the address. Connections wait until [`Listener::serve`].
    pub async fn bind(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let tls = settings.tls.as_ref().map(|tls| tls::acceptor(tls, base)).transpose()?;
        let limits = limits::Limits::new(settings)?;
        let failed = |error: io::Error| {
            Misconfigured::new(
                "listen.address",
                format!("cannot listen on {}: {error}", settings.address),
            )
            .hint("is another process using the port, or does it need more rights?")
        };
        let socket = TcpListener::bind(settings.address).await.map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        Ok(Self {
            socket,
            local,
            tls,
            limits,
            max_connections: settings.max_connections,
            max_connections_per_ip: settings.max_connections_per_ip,
            drain_timeout: settings.drain_timeout.0,
        })
    }

    /// The address that was bound, with its real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `shutdown` is cancelled; then stops accepting, tells clients (GOAWAY, `Connection: close`), gives requests
    /// in flight `drain_timeout` to finish, and cuts what is left.
    ///
    /// A service that panics costs its connection, nothing else. When a client goes away, the service's future is dropped.
    pub async fn serve<S, F>(self, service: S, shutdown: CancellationToken)
    where
        S: Fn(Request<Body>, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Self {
            socket,
            local,
            tls,
            limits,
            max_connections,
            max_connections_per_ip,
            drain_timeout,
        } = self;
        let places = Places::new(max_connections, max_connections_per_ip);
        let service = Arc::new(service);
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        info!(listen.address = %local, tls = tls.is_some(), "listening on {local}");
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = accept(&socket, &places) => accepted,
            };
            let Some((stream, address, place)) = accepted else {
                continue;
            };
            let peer = Peer {
                address,
                tls: tls.is_some(),
            };
            let connection = connection::Connection {
                peer,
                limits: limits.clone(),
                shutdown: shutdown.clone(),
            };
            let (tls, service, cut) = (tls.clone(), Arc::clone(&service), cut.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = cut.cancelled() => debug!(peer.address = %address, "cut a connection that did not finish in time"),
                    () = connection.run(stream, tls, service) => {}
                }
                drop(place);
            });
        }
        drop(socket);
        connections.close();
        info!(connections = connections.len(), "draining connections");
        if tokio::time::timeout(drain_timeout, connections.wait()).await.is_err() {
            warn!(
                connections = connections.len(),
                "cutting connections that did not finish in {drain_timeout:?}"
            );
            cut.cancel();
            connections.wait().await;
        }
    }
}

/// The next connection that there is a place for. `None` when this one came to nothing.
async fn accept(socket: &TcpListener, places: &Places) -> Option<(tokio::net::TcpStream, SocketAddr, limits::Place)> {
    let free = places.free().await;
    match socket.accept().await {
        Ok((stream, address)) => {
            let Some(place) = places.take(free, address.ip()) else {
                debug!(peer.address = %address, "refused a connection: too many from this address");
                return None;
            };
            // Answers are written whole; waiting for more to send only delays them.
            if let Err(error) = stream.set_nodelay(true) {
                debug!(peer.address = %address, "cannot set TCP_NODELAY: {error}");
            }
            Some((stream, address, place))
        }
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => {
            // Most likely out of file descriptors; accepting again at once would only spin.
            warn!("cannot accept connections: {error}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

mod defaults {
    use crate::clock::Period;

    pub(super) fn max_connections() -> usize {
        10_000
    }

    pub(super) fn header_timeout() -> Period {
        Period::secs(10)
    }

    pub(super) fn idle_timeout() -> Period {
        Period::secs(75)
    }

    pub(super) fn body_timeout() -> Period {
        Period::secs(30)
    }

    pub(super) fn min_body_rate() -> u64 {
        1024
    }

    pub(super) fn max_head() -> usize {
        64 * 1024
    }

    pub(super) fn drain_timeout() -> Period {
        Period::secs(30)
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
