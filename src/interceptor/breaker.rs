//! The circuit breaker: an endpoint that is down is left alone for a while.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{BreakerSettings, window::Window};

/// One interceptor's breaker, on the monotonic clock.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

/// Whether an endpoint is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It is not, since it was down.
    Open {
        /// How long until one call is let through to see.
        for_another: Duration,
    },
    /// One call is under way to see whether it is up again.
    Probing,
}

/// Leave to call the endpoint once. Dropped without a report, it counts for nothing.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        let state = Mutex::new(State::closed(&settings));
        Self { settings, state }
    }

    /// Leave to call, or `None` while the breaker is open. After `open_for`, one call at a time is let through.
    pub(super) fn admit(&self) -> Option<Pass<'_>> {
        self.with(|state| match state {
            State::Closed { .. } => Some(Pass {
                breaker: self,
                probe: false,
            }),
            State::Open { since } if since.elapsed() >= self.settings.open_for.0 => {
                *state = State::Probing;
                Some(Pass {
                    breaker: self,
                    probe: true,
                })
            }
            State::Open { .. } | State::Probing => None,
        })
    }

    /// How it is.
    pub(super) fn state(&self) -> BreakerState {
        self.with(|state| match state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { since } => BreakerState::Open {
                for_another: self.settings.open_for.0.saturating_sub(since.elapsed()),
            },
            State::Probing => BreakerState::Probing,
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pass<'_> {
    /// Says whether the endpoint was down. An answer that cannot be taken is an answer: the endpoint is up.
    pub(super) fn report(mut self, down: bool) {
        let settings = &self.breaker.settings;
        let probe = std::mem::take(&mut self.probe);
        self.breaker.with(|state| {
            let now = Instant::now();
            let open = match state {
                State::Closed { in_a_row, window } => {
                    *in_a_row = if down { in_a_row.saturating_add(1) } else { 0 };
                    let counts = window.record(now, down);
                    down && (*in_a_row >= settings.failures_in_a_row
                        || counts.exceed(settings.failure_share, settings.minimum_calls))
                }
                State::Probing if probe && !down => {
                    *state = State::closed(settings);
                    false
                }
                State::Probing => probe,
                State::Open { .. } => false,
            };
            if open {
                *state = State::Open { since: now };
            }
        });
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // A probe that was abandoned must not leave the breaker waiting for its report for ever.
        if self.probe {
            self.breaker
                .with(|state| *state = State::Open { since: Instant::now() });
        }
    }
}

#[derive(Debug)]
enum State {
    Closed { in_a_row: u32, window: Window },
    Open { since: Instant },
    Probing,
}

impl State {
    fn closed(settings: &BreakerSettings) -> Self {
        Self::Closed {
            in_a_row: 0,
            window: Window::new(settings.window.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings::default())
    }

    fn report(breaker: &Breaker, outcomes: impl IntoIterator<Item = bool>) {
        for down in outcomes {
            breaker.admit().expect("the breaker lets calls through").report(down);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_one_probe_that_succeeds_closes_it() {
        let breaker = breaker();
        report(&breaker, [true, true, true, true, false, true, true, true, true]);
        assert!(breaker.admit().is_some());
        report(&breaker, [true]);
        assert!(breaker.admit().is_none());
        advance(Duration::from_secs(5)).await;
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_none(), "one probe at a time");
        probe.report(false);
        report(&breaker, [true, true, true, true]);
        assert!(breaker.admit().is_some(), "it starts to count anew");
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_half_of_twenty_calls_open_it() {
        let breaker = breaker();
        report(&breaker, [true, false].repeat(10));
        assert!(breaker.admit().is_some());
        report(&breaker, [true]);
        assert!(breaker.admit().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_or_is_abandoned_keeps_it_open_for_another_while() {
        let breaker = breaker();
        report(&breaker, [true; 5]);
        advance(Duration::from_secs(5)).await;
        breaker.admit().unwrap().report(true);
        assert!(breaker.admit().is_none());
        advance(Duration::from_secs(5)).await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_none());
        advance(Duration::from_secs(5)).await;
        assert!(breaker.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_report_from_before_it_opened_does_not_close_it() {
        let breaker = breaker();
        let late = breaker.admit().unwrap();
        report(&breaker, [true; 5]);
        late.report(false);
        assert!(breaker.admit().is_none());
    }
}
