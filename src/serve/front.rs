//! A listener that serves, and what takes its place when its settings change.

use std::{future::Future, net::SocketAddr, path::Path, sync::Arc};

use http::{Request, Response};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    body::Body,
    listen::{Current, Listener, Settings, Terms},
    metrics::Metrics,
    misconfigured::Misconfigured,
};

/// A listener that serves.
pub(super) struct Front {
    /// Where it listens, with its port.
    pub(super) address: SocketAddr,
    asked: SocketAddr,
    terms: Current,
    stop: CancellationToken,
    serving: TaskTracker,
    open: Box<dyn Fn(Listener, CancellationToken) + Send + Sync>,
}

/// A socket that is bound, and serves nobody yet.
pub(super) struct Bound {
    listener: Listener,
    /// Where it listens, with its port.
    pub(super) address: SocketAddr,
    asked: SocketAddr,
}

/// What a front is to become.
pub(super) enum Place {
    /// The same socket; new connections are held to these terms.
    Kept(SocketAddr, Box<Terms>),
    /// Another socket.
    Moved(Box<Bound>),
}

impl Bound {
    /// Binds the address of the settings. `section` is where they stand: `listen.` or `admin.`.
    pub(super) async fn bind(settings: &Settings, base: &Path, section: &str) -> Result<Self, Vec<Misconfigured>> {
        let named = |finding| of_section(finding, section);
        let listener = Listener::bind(settings, base).await.map_err(named)?;
        let address = listener.local_addr().map_err(|e| {
            let message = format!("the socket has no address: {e}");
            named(Misconfigured::new("listen.address", message))
        })?;
        Ok(Self {
            listener,
            address,
            asked: settings.address,
        })
    }
}

impl Place {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Kept(address, _) => *address,
            Self::Moved(bound) => bound.address,
        }
    }
}

impl Front {
    /// Serves connections of this socket, and of all that take its place.
    pub(super) fn open<S, F>(bound: Bound, metrics: Metrics, service: S) -> Self
    where
        S: Fn(Request<Body>, SocketAddr) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let (serving, service) = (TaskTracker::new(), Arc::new(service));
        let tasks = serving.clone();
        let open = move |listener: Listener, stop| {
            let service = Arc::clone(&service);
            let listener = listener.counted(metrics.clone());
            tasks.spawn(listener.serve(move |request, peer| service(request, peer), stop));
        };
        let front = Self {
            address: bound.address,
            asked: bound.asked,
            terms: bound.listener.terms(),
            stop: CancellationToken::new(),
            serving,
            open: Box::new(open),
        };
        (front.open)(bound.listener, front.stop.clone());
        front
    }

    /// What it becomes with these settings; a new address is bound before the old one is let go.
    pub(super) async fn place(
        &self,
        settings: &Settings,
        base: &Path,
        section: &str,
    ) -> Result<Place, Vec<Misconfigured>> {
        if settings.address != self.asked {
            let bound = Bound::bind(settings, base, section).await?;
            return Ok(Place::Moved(Box::new(bound)));
        }
        let terms = Terms::read(settings, base).map_err(|finding| of_section(finding, section))?;
        let terms = terms.succeeding(&self.terms.load());
        Ok(Place::Kept(self.address, Box::new(terms)))
    }

    /// Becomes that. Connections to an old address are told that it ends, and have the old terms' time to finish.
    pub(super) fn take(&mut self, place: Place) {
        match place {
            Place::Kept(_, terms) => self.terms.store(Arc::new(*terms)),
            Place::Moved(bound) => {
                self.stop.cancel();
                self.stop = CancellationToken::new();
                self.terms = bound.listener.terms();
                (self.address, self.asked) = (bound.address, bound.asked);
                (self.open)(bound.listener, self.stop.clone());
            }
        }
    }

    /// Takes no more connections, and waits for those that are open.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.serving.close();
        self.serving.wait().await;
    }
}

fn of_section(mut finding: Misconfigured, section: &str) -> Vec<Misconfigured> {
    finding.key = finding.key.replacen("listen.", section, 1);
    vec![finding]
}
