//! What a connection may cost, and how many there may be.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Settings;
use crate::misconfigured::Misconfigured;

/// The limits of one connection.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) body_timeout: Duration,
    pub(super) min_body_rate: u64,
    pub(super) max_head: usize,
    /// How long an HTTP/1 connection is quiet before it gives up its buffers. A client that asks again sooner finds them as they were.
    pub(super) rest_after: Duration,
}

impl Limits {
    pub(super) fn new(settings: &Settings) -> Result<Self, Misconfigured> {
        if settings.max_connections == 0 {
            return Err(
                Misconfigured::new("listen.max_connections", "no connection could ever be served")
                    .hint("leave it out for 10000"),
            );
        }
        for (key, most) in [
            ("max_requests", settings.max_requests),
            ("max_paused", settings.max_paused),
        ] {
            if most == 0 {
                return Err(
                    Misconfigured::new(format!("listen.{key}"), "no request could ever be served")
                        .hint("write a number from 1 on, or leave it out"),
                );
            }
        }
        // hyper's buffer is never smaller.
        if !(8 * 1024..=1024 * 1024).contains(&settings.max_head) {
            return Err(
                Misconfigured::new("listen.max_head", "this is not between 8192 and 1048576 bytes")
                    .hint("leave it out for 65536"),
            );
        }
        if settings.min_body_rate == 0 {
            return Err(
                Misconfigured::new("listen.min_body_rate", "without a rate a body could take for ever")
                    .hint("write 1 or more, in bytes a second"),
            );
        }
        Ok(Self {
            header_timeout: settings.header_timeout.0,
            idle_timeout: settings.idle_timeout.0,
            body_timeout: settings.body_timeout.0,
            min_body_rate: settings.min_body_rate,
            max_head: settings.max_head,
            rest_after: REST_AFTER,
        })
    }

    /// The defaults, but for a longer time until a connection rests.
    #[cfg(test)]
    pub(super) fn usual() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            min_body_rate: 1024,
            max_head: 64 * 1024,
            rest_after: Duration::from_secs(1),
        }
    }
}

/// The places for connections: so many in all, so many for one address.
#[derive(Clone, Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each: Option<usize>,
}

/// One connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    ip: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(all: usize, each: Option<usize>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
            taken: Arc::default(),
            each,
        }
    }

    /// Waits until there is room for one more.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.all)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed")
    }

    /// `None` when the address has its share.
    pub(super) fn take(&self, permit: OwnedSemaphorePermit, ip: IpAddr) -> Option<Place> {
        let ip = ip.to_canonical();
        let mut taken = self.counts();
        let count = taken.entry(ip).or_default();
        if self.each.is_some_and(|each| *count >= each) {
            if *count == 0 {
                taken.remove(&ip);
            }
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Place {
            places: self.clone(),
            ip,
            _permit: permit,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.counts();
        if let Some(count) = taken.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.ip);
            }
        }
    }
}

const REST_AFTER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_gets_its_share_and_gives_it_back() {
        let places = Places::new(10, Some(2));
        let ip: IpAddr = [192, 0, 2, 1].into();
        let first = places.take(places.free().await, ip).unwrap();
        let _second = places.take(places.free().await, ip).unwrap();
        assert!(places.take(places.free().await, ip).is_none());
        assert!(places.take(places.free().await, [192, 0, 2, 2].into()).is_some());
        drop(first);
        assert!(places.take(places.free().await, ip).is_some());
        assert_eq!(places.all.available_permits(), 9);
    }
}
