//! The limits that hold for load: whoever makes an endpoint slow must not open the gate for long, nor close it to all others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::window::Window;

/// Counts one interceptor's consultations of the last minute and how many of them failed with a policy of `allow`.
#[derive(Debug)]
pub(super) struct FailOpenLimit {
    share: f64,
    minute: Mutex<Window>,
}

impl FailOpenLimit {
    pub(super) fn new(share: f64) -> Self {
        Self {
            share,
            minute: Mutex::new(Window::new(Duration::from_secs(60))),
        }
    }

    /// Counts a consultation and says whether it may fail open. Those that the limit itself closed count as failures
    /// too: the gate stays closed until the endpoint answers again.
    pub(super) fn record(&self, would_fail_open: bool) -> bool {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = minute.record(Instant::now(), would_fail_open);
        !counts.exceed(self.share, MINIMUM)
    }
}

/// Counts the consultations that are under way for each client.
#[derive(Debug)]
pub(super) struct PerClient {
    most: usize,
    under_way: Mutex<HashMap<IpAddr, usize>>,
}

/// A client's consultation, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    limit: &'a PerClient,
    client: Option<IpAddr>,
}

impl PerClient {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            under_way: Mutex::default(),
        }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// `None` when the client has as many as it may have. Events without an address are not counted.
    pub(super) fn admit(&self, client: Option<IpAddr>) -> Option<Counted<'_>> {
        let client = client.map(network);
        if let Some(client) = client {
            let mut under_way = self.under_way();
            let count = under_way.entry(client).or_default();
            // Whoever is refused has an entry already, as `most` is at least 1.
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Counted { limit: self, client })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut under_way = self.limit.under_way();
        if let Some(count) = under_way.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&client);
            }
        }
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// Below so many consultations a minute a share says nothing: one failure of three is no attack.
const MINIMUM: u32 = 10;

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_third_failure_of_ten_fails_closed_until_the_minute_is_over() {
        let limit = FailOpenLimit::new(0.2);
        for _ in 0..7 {
            assert!(limit.record(false));
        }
        assert!(limit.record(true));
        assert!(limit.record(true));
        assert!(!limit.record(true));
        advance(Duration::from_secs(61)).await;
        assert!(limit.record(true));
    }

    #[test]
    fn a_client_gets_its_share_and_gives_it_back() {
        let limit = PerClient::new(2);
        let ip = |text: &str| Some(text.parse().unwrap());
        let first = limit.admit(ip("192.0.2.1")).unwrap();
        let _second = limit.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert!(limit.admit(ip("192.0.2.1")).is_none());
        assert!(limit.admit(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(limit.admit(ip("192.0.2.1")).is_some());
        let _six = [
            limit.admit(ip("2001:db8::1")).unwrap(),
            limit.admit(ip("2001:db8::2")).unwrap(),
        ];
        assert!(limit.admit(ip("2001:db8::ffff:0:0:3")).is_none());
        assert!(limit.admit(ip("2001:db8:0:1::1")).is_some());
        assert!(limit.admit(None).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_keeps_it_closed_and_a_few_failures_at_night_do_not() {
        let limit = FailOpenLimit::new(0.2);
        let opened = (0..100).filter(|_| limit.record(true)).count();
        assert_eq!(opened, 9);
        let off = FailOpenLimit::new(1.0);
        assert!((0..100).all(|_| off.record(true)));
    }
}
