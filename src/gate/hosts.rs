//! Several upstreams behind one listener: the host of a request says whose gate it walks through.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Instant};

use http::{Request, Response, StatusCode};
use uuid::Uuid;

use super::Gate;
use crate::{
    body::Body,
    exchange::{Arrival, Unreadable, named_host},
    metrics::Metrics,
};

/// The gates of all upstreams, one at least. They share what a process has once, and nothing of what was issued or learned.
pub struct Gates {
    first: Arc<Gate>,
    others: Vec<Arc<Gate>>,
    /// By every spelling of every name. Not looked at where there is only one.
    by_host: HashMap<String, Arc<Gate>>,
}

impl Gates {
    /// Two of them have no name in common; the configuration has seen to that.
    pub fn new(first: Arc<Gate>, others: Vec<Arc<Gate>>) -> Self {
        let all = std::iter::once(&first).chain(&others);
        let by_host = all.flat_map(|gate| {
            let names = gate.outside.all_spellings().into_iter();
            names.map(move |name| (name, Arc::clone(gate)))
        });
        Self {
            by_host: by_host.collect(),
            first,
            others,
        }
    }

    /// One request, by the gate of its host. A host that nobody has is 421 (RFC 9110 §15.5.20): a client that has come over a
    /// connection to another name may try again with one of its own.
    pub async fn serve(self: Arc<Self>, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
        match self.of(&request) {
            Ok(gate) => gate.serve(request, peer).await,
            // By nobody's metrics: it is not known whose it is.
            Err(unreadable) => {
                self.first.metrics.misdirected();
                let (parts, _) = request.into_parts();
                let now = self.first.clock.now();
                let arrival = Arrival::new(Uuid::now_v7(), now, Instant::now(), peer, &parts.headers);
                self.first
                    .unreadable(&arrival, &parts.method, parts.uri.path(), unreadable)
            }
        }
    }

    /// All of them, in the order of the configuration.
    pub fn each(&self) -> impl Iterator<Item = &Arc<Gate>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The first one, for what all share.
    pub fn first(&self) -> &Arc<Gate> {
        &self.first
    }

    /// The one of the upstream with this name.
    pub fn named(&self, name: Option<&str>) -> Option<&Arc<Gate>> {
        self.each().find(|gate| gate.upstream_name.as_deref() == name)
    }

    /// These are the gates that serve, under the configuration with this revision since then, in seconds since 1970.
    pub fn applied(&self, environment: &str, revision: &str, since: i64) {
        self.are_all();
        self.first.metrics.applied(environment, revision, since);
    }

    /// There are no others: what a configuration that came to nothing has named is not shown in the metrics.
    pub fn are_all(&self) {
        Metrics::are_all(self.each().map(|gate| &gate.metrics));
    }

    /// All metrics in Prometheus' text format.
    pub fn scrape(&self) -> String {
        self.each().for_each(|gate| gate.measure());
        self.first.metrics.render()
    }

    /// Waits for consults, records and revocations that are under way. Call it when no more requests come.
    pub async fn drain(&self) {
        self.first.room.drain().await;
        self.first.audit.close().await;
        self.first.telemetry.close().await;
    }

    fn of(&self, request: &Request<Body>) -> Result<Arc<Gate>, Unreadable> {
        if self.others.is_empty() {
            return Ok(Arc::clone(&self.first));
        }
        let named = named_host(request.version(), request.uri(), request.headers())?;
        let gate = self.by_host.get(&named.to_ascii_lowercase());
        gate.cloned().ok_or_else(|| Unreadable {
            status: StatusCode::MISDIRECTED_REQUEST,
            reason: "no upstream behind this proxy has the `Host` of the request".into(),
        })
    }
}
