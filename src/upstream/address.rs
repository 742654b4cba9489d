//! The places where the upstream listens, and which of them a request goes to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::client::legacy::Client;
use tokio::time::Instant;

use super::{
    connect::Towards,
    health::{Fitness, Health, State},
};
use crate::{body::Body, metrics::Metrics};

/// All addresses of the upstream; there is at least one.
#[derive(Debug)]
pub(super) struct Addresses {
    all: Vec<Arc<Address>>,
    turn: AtomicUsize,
}

/// One address, with its connections.
#[derive(Debug)]
pub(super) struct Address {
    /// Host and port, as the configuration has them.
    pub(super) name: String,
    pub(super) client: Client<Towards, Body>,
    /// For upgrades: HTTP/1.1 only, never a connection that was used before.
    pub(super) http1: Client<Towards, Body>,
    pub(super) health: Health,
    in_flight: AtomicUsize,
}

/// How an address is, for who looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressState {
    /// Host and port.
    pub address: String,
    /// Whether requests go to it.
    pub state: State,
    /// Requests that it has not answered to the end.
    pub in_flight: usize,
}

/// A request at an address, until its answer has ended.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) address: Arc<Address>,
}

impl Addresses {
    pub(super) fn new(all: Vec<Address>) -> Self {
        Self {
            all: all.into_iter().map(Arc::new).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Address>> {
        self.all.iter()
    }

    /// The address with the fewest requests in flight among the healthy ones, of equals the next in turn; if none is
    /// healthy, among all. `None` once all were `tried`.
    pub(super) fn choose(&self, tried: &[String]) -> Option<Visit> {
        let now = Instant::now();
        let untried: Vec<&Arc<Address>> = self.all.iter().filter(|a| !tried.contains(&a.name)).collect();
        let fit = |wanted: Fitness| move |a: &&&Arc<Address>| a.health.fitness(now) == wanted;
        // One request at a time finds out whether an address is back; if it is not, the request goes on to another one.
        if let Some(due) = untried.iter().find(fit(Fitness::Due))
            && due.health.try_again(now)
        {
            return Some(Visit::begin(due));
        }
        let healthy: Vec<&Arc<Address>> = untried.iter().filter(fit(Fitness::Healthy)).copied().collect();
        let from = if healthy.is_empty() { &untried } else { &healthy };
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % from.len().max(1);
        let (behind, ahead) = from.split_at_checked(start)?;
        ahead
            .iter()
            .chain(behind)
            .min_by_key(|address| address.in_flight.load(Ordering::Relaxed))
            .map(|address| Visit::begin(address))
    }
}

impl Address {
    pub(super) fn new(
        name: String,
        client: Client<Towards, Body>,
        http1: Client<Towards, Body>,
        health: Health,
    ) -> Self {
        Self {
            name,
            client,
            http1,
            health,
            in_flight: AtomicUsize::new(0),
        }
    }

    pub(super) fn state(&self) -> AddressState {
        AddressState {
            address: self.name.clone(),
            state: self.health.state(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
        }
    }

    /// A connection could not be made: for a while only others get requests.
    pub(super) fn unreachable(&self, why: &str, metrics: &Metrics) {
        metrics.address_failed(&self.name);
        if self.health.failed_to_connect() {
            tracing::warn!(
                upstream.address = %self.name,
                "the upstream's address {} cannot be reached and gets no requests for {} s while others do: {why}",
                self.name,
                EJECTED_FOR.as_secs(),
            );
        }
    }

    /// It answered.
    pub(super) fn answered(&self) {
        if self.health.answered() {
            tracing::info!(upstream.address = %self.name, "the upstream's address {} is back", self.name);
        }
    }
}

impl Visit {
    fn begin(address: &Arc<Address>) -> Self {
        address.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            address: Arc::clone(address),
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.address.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.address.health.left();
    }
}

/// How long an address that could not be reached gets no requests, if there is another one.
pub(super) const EJECTED_FOR: Duration = Duration::from_secs(10);
