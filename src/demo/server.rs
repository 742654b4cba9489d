//! One HTTP server on a loopback port.

use std::{io, net::SocketAddr};

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot};

/// Serves until it is dropped; then it stops listening and closes its connections as they become idle.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    _running: oneshot::Sender<()>,
}

impl Server {
    /// Binds the address, port 0 for a free one, and serves from then on.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(super) async fn start(address: SocketAddr, routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (running, dropped) = oneshot::channel();
        let served = axum::serve(listener, routes).with_graceful_shutdown(async move { _ = dropped.await });
        tokio::spawn(async move { served.await });
        Ok(Self {
            address,
            _running: running,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}
