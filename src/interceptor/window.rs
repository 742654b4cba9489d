//! How many of the recent consultations failed.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Counts over a sliding span of time, kept in slots of a twentieth of it.
#[derive(Debug)]
pub(super) struct Window {
    span: Duration,
    slots: VecDeque<Slot>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: u32,
    pub(super) failed: u32,
}

impl Counts {
    /// Whether the share of failures is above `share`, judged from `minimum` on.
    pub(super) fn exceed(self, share: f64, minimum: u32) -> bool {
        self.all >= minimum && f64::from(self.failed) > share * f64::from(self.all)
    }
}

impl Window {
    pub(super) fn new(span: Duration) -> Self {
        Self {
            span,
            slots: VecDeque::new(),
        }
    }

    /// Counts one more and returns what the span holds with it.
    pub(super) fn record(&mut self, now: Instant, failed: bool) -> Counts {
        while self.slots.front().is_some_and(|slot| now - slot.start >= self.span) {
            self.slots.pop_front();
        }
        let current = self.slots.back().is_some_and(|slot| now - slot.start < self.span / 20);
        if !current {
            self.slots.push_back(Slot {
                start: now,
                counts: Counts::default(),
            });
        }
        if let Some(slot) = self.slots.back_mut() {
            slot.counts.all = slot.counts.all.saturating_add(1);
            slot.counts.failed = slot.counts.failed.saturating_add(u32::from(failed));
        }
        self.slots.iter().fold(Counts::default(), |sum, slot| Counts {
            all: sum.all.saturating_add(slot.counts.all),
            failed: sum.failed.saturating_add(slot.counts.failed),
        })
    }
}

#[derive(Debug)]
struct Slot {
    start: Instant,
    counts: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_span_no_longer_counts() {
        let mut window = Window::new(Duration::from_secs(60));
        let start = Instant::now();
        window.record(start, true);
        let counts = window.record(start + Duration::from_secs(59), false);
        assert_eq!(counts, Counts { all: 2, failed: 1 });
        let counts = window.record(start + Duration::from_secs(60), false);
        assert_eq!(counts, Counts { all: 2, failed: 0 });
    }

    #[test]
    fn a_share_is_exceeded_only_above_it_and_with_enough_to_judge() {
        assert!(!Counts { all: 10, failed: 2 }.exceed(0.2, 10));
        assert!(Counts { all: 10, failed: 3 }.exceed(0.2, 10));
        assert!(!Counts { all: 9, failed: 9 }.exceed(0.2, 10));
        assert!(!Counts { all: 50, failed: 50 }.exceed(1.0, 10));
    }
}
