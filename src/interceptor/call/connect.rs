//! From a URL to a connection: resolve, judge the address, connect, TLS.

use std::{
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, dns::Name},
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tower_service::Service;

use super::super::address;

/// Opens connections whose address was judged at that very moment, so that a name cannot change its mind between check
/// and use.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector<Guard>>,
}

/// Looks up a name's addresses; the port is 0.
pub(in crate::interceptor) type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The system's resolver.
pub(in crate::interceptor) fn system_lookup() -> Lookup {
    Arc::new(|name| (name, 0).to_socket_addrs().map(Iterator::collect))
}

impl Connector {
    pub(super) fn new(tls: ClientConfig, allow_private_network: bool, lookup: Lookup) -> Self {
        let mut http = HttpConnector::new_with_resolver(Guard {
            allow_private_network,
            lookup,
        });
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        Self { https }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Watched>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.https.call(uri);
        Box::pin(async move {
            let stream = TokioIo::new(timeout(LIMIT, connecting).await??);
            Ok(TokioIo::new(Watched {
                stream,
                heard: Heard::default(),
            }))
        })
    }
}

/// Whether anything was received since the last bytes were sent. On HTTP/1.1, where a connection has one request at a
/// time, that is whether the endpoint has begun to answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<AtomicBool>);

impl Heard {
    pub(super) fn anything(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that keeps its [`Heard`] up to date.
pub(super) struct Watched {
    stream: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    heard: Heard,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.heard.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.0.store(false, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.heard.0.store(false, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        self.stream.inner().connected().extra(self.heard.clone())
    }
}

/// Resolves names and refuses those that lead where no endpoint lives. Addresses written in the URL do not come by
/// here; they are judged when the configuration is built.
#[derive(Clone)]
struct Guard {
    allow_private_network: bool,
    lookup: Lookup,
}

impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move {
            let resolve = tokio::task::spawn_blocking(move || (guard.lookup)(name.as_str()));
            let addresses = resolve.await.map_err(io::Error::other)??;
            for found in &addresses {
                // One bad address spoils the name: whoever can add it can also make it the only one that answers.
                address::judge(found.ip(), guard.allow_private_network).map_err(io::Error::other)?;
            }
            Ok(addresses.into_iter())
        })
    }
}

/// When another connection gets free first, hyper-util finishes this one in the background, beyond the call's deadline.
const LIMIT: Duration = Duration::from_secs(30);
