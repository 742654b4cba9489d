//! How long things took, in few bytes: counts by classes whose widths grow with their values.

use std::collections::BTreeMap;

/// Durations in milliseconds. Below 16 ms each value has its class, above there are 16 classes to a doubling, so a quantile is wrong by
/// 1 in 32 at the most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    classes: BTreeMap<u16, u64>,
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, ms: u64) {
        *self.classes.entry(class(ms)).or_default() += 1;
    }

    /// Counts what the other has counted.
    pub fn merge(&mut self, other: &Self) {
        for (class, count) in &other.classes {
            let sum = self.classes.entry(*class).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.classes.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The duration in milliseconds that this share (0 to 1) of all durations does not exceed; `None` when none was counted.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let total = self.count();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a count above 2^53 is beyond any store, and a share is within 0 and 1"
        )]
        let rank = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0_u64;
        for (class, count) in &self.classes {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Some(middle(*class));
            }
        }
        None
    }

    /// The counts as they are stored: for each class that has any, in rising order, the class in two bytes and the count in eight, both big-endian.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.classes.len() * ENTRY);
        for (class, count) in &self.classes {
            bytes.extend(class.to_be_bytes());
            bytes.extend(count.to_be_bytes());
        }
        bytes
    }

    /// The counts of stored bytes; `None` when they were not written by [`Histogram::to_bytes`].
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY>();
        let mut classes = BTreeMap::new();
        for [c0, c1, count @ ..] in entries {
            classes.insert(u16::from_be_bytes([*c0, *c1]), u64::from_be_bytes(*count));
        }
        rest.is_empty().then_some(Self { classes })
    }
}

fn class(ms: u64) -> u16 {
    let octave = u64::from(ms.max(STEPS).ilog2() - STEPS.ilog2());
    let class = if ms < STEPS { ms } else { (octave << 4) + (ms >> octave) };
    u16::try_from(class).unwrap_or(u16::MAX)
}

/// The value in the middle of a class.
fn middle(class: u16) -> u64 {
    let class = u64::from(class);
    if class < 2 * STEPS {
        return class;
    }
    let octave = class / STEPS - 1;
    let low = (class - octave * STEPS).checked_shl(u32::try_from(octave).unwrap_or(u32::MAX));
    let half = 1_u64
        .checked_shl(u32::try_from(octave).unwrap_or(u32::MAX))
        .unwrap_or(0)
        / 2;
    low.map_or(u64::MAX, |low| low.saturating_add(half))
}

const STEPS: u64 = 16;
const ENTRY: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_right_within_four_percent(mut times in prop::collection::vec(0..2_000_000_u64, 1..400)) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|ms| histogram.add(*ms));
            let histogram = Histogram::from_bytes(&histogram.to_bytes()).unwrap();
            times.sort_unstable();
            for (share, per_cent) in [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)] {
                let exact = times[(times.len() * per_cent).div_ceil(100).max(1) - 1];
                let said = histogram.quantile(share).unwrap();
                prop_assert!(said.abs_diff(exact) * 32 <= exact + 32, "p{per_cent}: {said} for {exact}");
            }
        }
    }

    #[test]
    fn merging_is_counting_together() {
        let (mut a, mut b, mut both) = <(Histogram, Histogram, Histogram)>::default();
        for ms in [0, 1, 15, 16, 17, 31, 32, 1_000, u64::MAX] {
            a.add(ms);
            b.add(ms / 2);
            both.add(ms);
            both.add(ms / 2);
        }
        a.merge(&b);
        assert_eq!(a, both);
        assert_eq!(a.count(), 18);
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Histogram::from_bytes(&[0; 11]), None);
    }
}
