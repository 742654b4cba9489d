//! The limits that hold for load: whoever makes an endpoint slow must not open the gate for long, nor close it to all others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{together::SharedMinute, window::Window};

/// Counts one interceptor's consultations of the last minute and how many of them failed with a policy of `allow`.
#[derive(Debug)]
pub(super) struct FailOpenLimit {
    share: f64,
    minute: Mutex<Minute>,
}

#[derive(Debug)]
struct Minute {
    counted: Window,
    /// What of it the other replicas were not told.
    untold: Window,
}

impl FailOpenLimit {
    pub(super) fn new(share: f64) -> Self {
        let window = || Window::new(Duration::from_secs(60));
        Self {
            share,
            minute: Mutex::new(Minute {
                counted: window(),
                untold: window(),
            }),
        }
    }

    /// Counts a consultation of the interceptor `name` and says whether it may fail open. Those that the limit itself closed count as failures
    /// too: the gate stays closed until the endpoint answers again.
    ///
    /// Others are asked only where it is they who would close it. Where they cannot be asked, what was counted here decides.
    pub(super) async fn admit(&self, would_fail_open: bool, name: &str, others: Option<&dyn SharedMinute>) -> bool {
        let others = others.filter(|_| self.share < 1.0);
        let now = Instant::now();
        let may_open = self.record(now, would_fail_open, others.is_some());
        let Some(others) = others.filter(|_| would_fail_open && may_open) else {
            return may_open;
        };
        let untold = self.minute().untold.take(now);
        let Some(counts) = others.add(name, &untold).await else {
            self.minute().untold.put_back(now, &untold);
            return may_open;
        };
        !counts.exceed(self.share, MINIMUM)
    }

    /// Counts it here.
    fn record(&self, now: Instant, would_fail_open: bool, is_shared: bool) -> bool {
        let mut minute = self.minute();
        if is_shared {
            minute.untold.record(now, would_fail_open);
        }
        let counts = minute.counted.record(now, would_fail_open);
        !counts.exceed(self.share, MINIMUM)
    }

    fn minute(&self) -> MutexGuard<'_, Minute> {
        self.minute.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::future::BoxFuture;
    use tokio::time::advance;

    use super::*;
    use crate::interceptor::together::{Counted, Counts};

    async fn record(limit: &FailOpenLimit, would_fail_open: bool) -> bool {
        limit.admit(would_fail_open, "x", None).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_third_failure_of_ten_fails_closed_until_the_minute_is_over() {
        let limit = FailOpenLimit::new(0.2);
        for _ in 0..7 {
            assert!(record(&limit, false).await);
        }
        assert!(record(&limit, true).await);
        assert!(record(&limit, true).await);
        assert!(!record(&limit, true).await);
        advance(Duration::from_secs(61)).await;
        assert!(record(&limit, true).await);
    }

    /// Sums in this process, until it is away.
    #[derive(Debug, Default)]
    struct Sums {
        is_away: AtomicBool,
        told: Mutex<Vec<Counted>>,
    }

    impl SharedMinute for Sums {
        fn add<'a>(&'a self, _: &'a str, counted: &'a [Counted]) -> BoxFuture<'a, Option<Counts>> {
            Box::pin(async move {
                if self.is_away.load(Ordering::Relaxed) {
                    return None;
                }
                let mut told = self.told.lock().unwrap();
                told.extend(counted);
                Some(
                    told.iter()
                        .fold(Counts::default(), |sum, counted| sum.plus(counted.counts)),
                )
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_count_together_let_no_more_through_than_one() {
        let sums = Sums::default();
        let replicas = [FailOpenLimit::new(0.2), FailOpenLimit::new(0.2)];
        let mut opened = 0;
        for turn in 0..40 {
            opened += usize::from(replicas[turn % 2].admit(true, "x", Some(&sums)).await);
        }
        assert_eq!(opened, 9);
        let told = sums.told.lock().unwrap().len();
        assert_eq!(told, 18, "each is closed by its own count from its tenth on");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_not_told_before_a_failure_is_and_count_by_when_they_were() {
        let sums = Sums::default();
        let limit = FailOpenLimit::new(0.2);
        for _ in 0..20 {
            assert!(limit.admit(false, "x", Some(&sums)).await);
        }
        assert!(sums.told.lock().unwrap().is_empty());
        advance(Duration::from_secs(30)).await;
        assert!(limit.admit(true, "x", Some(&sums)).await);
        let told = sums.told.lock().unwrap().clone();
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].age, Duration::from_secs(30));
        assert_eq!(told[0].counts, Counts { all: 20, failed: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_others_cannot_be_asked_each_counts_by_itself_and_tells_later() {
        let sums = Sums::default();
        let [one, other] = [FailOpenLimit::new(0.2), FailOpenLimit::new(0.2)];
        sums.is_away.store(true, Ordering::Relaxed);
        for _ in 0..5 {
            assert!(one.admit(true, "x", Some(&sums)).await);
            assert!(other.admit(true, "x", Some(&sums)).await);
        }
        sums.is_away.store(false, Ordering::Relaxed);
        assert!(one.admit(true, "x", Some(&sums)).await, "six are known");
        assert!(!other.admit(true, "x", Some(&sums)).await, "and now twelve");
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
        let off = FailOpenLimit::new(1.0);
        let mut opened = 0;
        for _ in 0..100 {
            opened += usize::from(record(&limit, true).await);
            assert!(record(&off, true).await);
        }
        assert_eq!(opened, 9);
    }
}
