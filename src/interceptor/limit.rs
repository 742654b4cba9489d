//! The fail-open limit: whoever makes an endpoint slow must not open the gate for long.

use std::{
    sync::{Mutex, PoisonError},
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

    #[tokio::test(start_paused = true)]
    async fn an_outage_keeps_it_closed_and_a_few_failures_at_night_do_not() {
        let limit = FailOpenLimit::new(0.2);
        let opened = (0..100).filter(|_| limit.record(true)).count();
        assert_eq!(opened, 9);
        let off = FailOpenLimit::new(1.0);
        assert!((0..100).all(|_| off.record(true)));
    }
}
