//! The public side: sockets, TLS, limits and connections, for any service.

mod activity;
mod bounded;
mod client_certificate;
mod connection;
mod descriptors;
mod inherited;
mod limits;
mod patient;
mod settings;
mod tls;
mod wire;

use std::{future::Future, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use self::limits::Places;
pub use self::{
    client_certificate::ClientCertificate,
    descriptors::raise_descriptor_limit,
    settings::{ClientCertificates, Settings, Tls},
};
use crate::{body::Body, metrics::Metrics, misconfigured::Misconfigured};

/// A bound socket and what its connections may do.
pub struct Listener {
    socket: TcpListener,
    terms: Current,
    metrics: Metrics,
}

/// What connections are held to: the certificate and the limits. New ones are held to what is current when they come.
pub struct Terms {
    tls: Option<TlsAcceptor>,
    limits: limits::Limits,
    places: Places,
    /// How many places there are: in all, and for one address.
    most: (usize, Option<usize>),
    drain_timeout: Duration,
}

/// The terms of a listener that serves; others can take their place.
pub type Current = Arc<ArcSwap<Terms>>;

impl Terms {
    /// Reads the certificate; relative paths are looked up below `base`, the folder of `proxy.toml`.
    pub fn read(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        Ok(Self {
            tls: settings.tls.as_ref().map(|tls| tls.acceptor(base)).transpose()?,
            limits: limits::Limits::new(settings)?,
            places: Places::new(
                descriptors::affordable(settings.max_connections),
                settings.max_connections_per_ip,
            ),
            most: (settings.max_connections, settings.max_connections_per_ip),
            drain_timeout: settings.drain_timeout.0,
        })
    }

    /// The same in the place of others: where as many connections are allowed as before, those that are open count.
    pub fn succeeding(self, before: &Self) -> Self {
        let places = if self.most == before.most {
            before.places.clone()
        } else {
            self.places
        };
        Self { places, ..self }
    }
}

impl Listener {
    /// Reads the certificate and binds the address, or takes the socket that systemd bound to it. Connections wait until
    /// [`Listener::serve`].
    pub async fn bind(settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let terms = Terms::read(settings, base)?;
        let socket = socket(settings.address).await?;
        Ok(Self {
            socket,
            terms: Arc::new(ArcSwap::from_pointee(terms)),
            metrics: Metrics::default(),
        })
    }

    /// The same listener, counting its connections there.
    pub fn counted(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The terms, which may be replaced while it serves.
    pub fn terms(&self) -> Current {
        Arc::clone(&self.terms)
    }

    /// The address that was bound, with its real port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `shutdown` is cancelled; then stops accepting, tells clients (GOAWAY, `Connection: close`), gives requests
    /// in flight `drain_timeout` to finish, and cuts what is left.
    ///
    /// A service that panics costs its connection, nothing else. When a client goes away, the service's future is dropped.
    pub async fn serve<S, F>(self, service: S, shutdown: CancellationToken)
    where
        S: Fn(Request<Body>, SocketAddr) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Self { socket, terms, metrics } = self;
        let service = Arc::new(service);
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        let begin = |(stream, address, place): Accepted| {
            // They may have changed while it was waited for.
            let terms = terms.load();
            let connection = connection::Connection {
                peer: address,
                limits: terms.limits.clone(),
                shutdown: shutdown.clone(),
                metrics: metrics.clone(),
            };
            let connected = metrics.connected();
            let (tls, service, cut) = (terms.tls.clone(), Arc::clone(&service), cut.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = cut.cancelled() => debug!(peer.address = %address, "cut a connection that did not finish in time"),
                    () = connection.run(stream, tls, service) => {}
                }
                drop((place, connected));
            });
        };
        loop {
            let now = terms.load_full();
            tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = accept(&socket, &now.places, &metrics) => accepted.map(&begin),
            };
        }
        // Whoever is connected as far as the system is concerned has perhaps sent a request, and would be reset.
        waiting(socket, &terms.load_full().places, &metrics).for_each(begin);
        connections.close();
        let drain_timeout = terms.load().drain_timeout;
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

/// The socket of an address: one that was handed over by whoever started the process, or a new one.
async fn socket(address: SocketAddr) -> Result<TcpListener, Misconfigured> {
    let failed = |error: io::Error| {
        let wrong = Misconfigured::new("listen.address", format!("cannot listen on {address}: {error}"));
        match inherited::left().as_slice() {
            [] => wrong.hint("is another process using the port, or does it need more rights?"),
            others => {
                let others: Vec<_> = others.iter().map(SocketAddr::to_string).collect();
                let others = others.join(" and ");
                wrong.hint(format!(
                    "systemd handed over {others}: write the same address here and in `ListenStream` of its socket unit"
                ))
            }
        }
    };
    match inherited::take(address) {
        Some(taken) => taken.map_err(failed),
        None => TcpListener::bind(address).await.map_err(failed),
    }
}

type Accepted = (tokio::net::TcpStream, SocketAddr, limits::Place);

/// The next connection that there is a place for. `None` when this one came to nothing.
async fn accept(socket: &TcpListener, places: &Places, metrics: &Metrics) -> Option<Accepted> {
    let free = places.free().await;
    match socket.accept().await {
        Ok((stream, address)) => let_in(stream, address, places.take(free, address.ip()), metrics),
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => {
            // Most likely out of file descriptors; accepting again at once would only spin.
            warn!("cannot accept connections: {error}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// The connections that wait to be accepted, and the end of the listener. The system is asked itself: tokio knows of those alone that it
/// has been told of.
fn waiting(socket: TcpListener, places: &Places, metrics: &Metrics) -> impl Iterator<Item = Accepted> {
    let socket = socket.into_std().ok();
    let accepted = std::iter::from_fn(move || {
        let socket = socket.as_ref()?;
        loop {
            match socket.accept() {
                Err(error) if is_of_one_connection(&error) => {}
                accepted => return accepted.ok(),
            }
        }
    });
    accepted.take(MOST_WAITING).filter_map(|(stream, address)| {
        let free = places.free().now_or_never()?;
        stream.set_nonblocking(true).ok()?;
        let stream = tokio::net::TcpStream::from_std(stream).ok()?;
        let_in(stream, address, places.take(free, address.ip()), metrics)
    })
}

fn let_in(
    stream: tokio::net::TcpStream,
    address: SocketAddr,
    place: Option<limits::Place>,
    metrics: &Metrics,
) -> Option<Accepted> {
    let Some(place) = place else {
        metrics.turned_away();
        debug!(peer.address = %address, "refused a connection: too many from this address");
        return None;
    };
    // Answers are written whole; waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(peer.address = %address, "cannot set TCP_NODELAY: {error}");
    }
    Some((stream, address, place))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// More than the system lets wait.
const MOST_WAITING: usize = 4_096;

#[cfg(test)]
mod tests;
