//! How many of the recent consultations failed.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::together::{Counted, Counts};

/// Counts over a sliding span of time, kept in slots of a twentieth of it.
#[derive(Debug)]
pub(super) struct Window {
    span: Duration,
    slots: VecDeque<Slot>,
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
        self.forget(now);
        let current = self.slots.back().is_some_and(|slot| now - slot.start < self.span / 20);
        if !current {
            self.slots.push_back(Slot {
                start: now,
                counts: Counts::default(),
            });
        }
        if let Some(slot) = self.slots.back_mut() {
            slot.counts = slot.counts.plus(Counts {
                all: 1,
                failed: u32::from(failed),
            });
        }
        self.slots
            .iter()
            .fold(Counts::default(), |sum, slot| sum.plus(slot.counts))
    }

    /// Takes out what it holds.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Counted> {
        self.forget(now);
        let slots = self.slots.drain(..);
        slots
            .map(|slot| Counted {
                age: now - slot.start,
                counts: slot.counts,
            })
            .collect()
    }

    /// Puts back what was taken out at that time.
    pub(super) fn put_back(&mut self, then: Instant, taken: &[Counted]) {
        for counted in taken.iter().rev() {
            self.slots.push_front(Slot {
                start: then - counted.age,
                counts: counted.counts,
            });
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.slots.front().is_some_and(|slot| now - slot.start >= self.span) {
            self.slots.pop_front();
        }
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
    fn what_is_taken_out_is_gone_and_may_be_put_back() {
        let mut window = Window::new(Duration::from_secs(60));
        let start = Instant::now();
        let later = start + Duration::from_secs(50);
        window.record(start, true);
        let taken = window.take(later);
        assert_eq!(taken[0].age, Duration::from_secs(50));
        assert_eq!(window.record(later, false), Counts { all: 1, failed: 0 });
        window.put_back(later, &taken);
        assert_eq!(window.record(later, false), Counts { all: 3, failed: 1 });
        let counts = window.record(start + Duration::from_secs(60), false);
        assert_eq!(counts, Counts { all: 3, failed: 0 });
    }

    #[test]
    fn a_share_is_exceeded_only_above_it_and_with_enough_to_judge() {
        assert!(!Counts { all: 10, failed: 2 }.exceed(0.2, 10));
        assert!(Counts { all: 10, failed: 3 }.exceed(0.2, 10));
        assert!(!Counts { all: 9, failed: 9 }.exceed(0.2, 10));
        assert!(!Counts { all: 50, failed: 50 }.exceed(1.0, 10));
    }
}
