//! Figures for charts, from sums that are kept with the records; how many records there are does not matter.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{Histogram, facets, rollups::WIDTHS};

/// What was decided in a range of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// One bucket for each step of the range, oldest first, also where nothing happened.
    pub buckets: Vec<Bucket>,
    /// How long a step is.
    pub step: Duration,
    /// Everything in the range.
    pub total: Tally,
    /// The same by interceptor, by its name.
    pub interceptors: BTreeMap<String, Figures>,
    /// Consults by trigger, such as `PRE_SIGNUP`.
    pub triggers: BTreeMap<String, Tally>,
}

/// One step of the range.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Its beginning.
    pub start: Timestamp,
    /// What was decided in it.
    pub tally: Tally,
    /// How long its consults took.
    pub durations: Histogram,
}

/// Decisions, counted by what they came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// An endpoint said ALLOW, now or when the session began.
    pub allowed: u64,
    /// An endpoint said DENY, or a rule refused the request.
    pub denied: u64,
    /// A failure policy let the request through.
    pub failed_open: u64,
    /// A failure policy, the breaker, the cap or the fail-open limit denied it.
    pub failed_closed: u64,
    /// Records without a decision: revocations, disabled accounts, failures.
    pub others: u64,
}

/// One interceptor's part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// What its consults came to.
    pub tally: Tally,
    /// How long they took.
    pub durations: Histogram,
}

/// A range of time and its steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) since_ms: i64,
    pub(super) until_ms: i64,
    pub(super) step_ms: i64,
}

/// A stored sum. What is unknown is empty.
pub(super) struct Sum<'a> {
    pub(super) start_ms: i64,
    pub(super) kind: &'a str,
    pub(super) interceptor: &'a str,
    pub(super) trigger: &'a str,
    pub(super) decision: &'a str,
    pub(super) decided_by: &'a str,
    pub(super) count: u64,
    pub(super) durations: Histogram,
}

impl Tally {
    /// All of them.
    pub fn records(&self) -> u64 {
        self.decisions().saturating_add(self.others)
    }

    /// Those with a decision.
    pub fn decisions(&self) -> u64 {
        self.allowed + self.denied + self.failed_open + self.failed_closed
    }

    fn add(&mut self, sum: &Sum<'_>) {
        let direct = matches!(sum.decided_by, "endpoint" | "remembered" | facets::RULE | "");
        let place = match (sum.decision, direct) {
            ("allow", true) => &mut self.allowed,
            ("allow", false) => &mut self.failed_open,
            ("deny", true) => &mut self.denied,
            ("deny", false) => &mut self.failed_closed,
            _ => &mut self.others,
        };
        *place = place.saturating_add(sum.count);
    }
}

/// Reads the sums within the range: those of the widest rows that fit its step, and narrower ones at its edges. `oldest` says where the
/// rows of a width begin, `read` is given a width and from when until when.
pub(super) fn read<E>(
    range: &Range,
    mut oldest: impl FnMut(i64) -> Result<Option<i64>, E>,
    mut read: impl FnMut(i64, i64, i64) -> Result<(), E>,
) -> Result<(), E> {
    let Some(least) = WIDTHS.iter().rev().find(|width| range.step_ms % **width == 0) else {
        return Ok(());
    };
    // Narrow rows are given up after a while; then the next width is as fine as it gets.
    let mut until = range.until_ms;
    for width in WIDTHS.into_iter().filter(|width| width >= least) {
        let Some(oldest) = oldest(width)? else { break };
        // Rows are given up at a border of the next width, so behind that border none is missing.
        let from = match WIDTHS.into_iter().find(|next| *next > width) {
            Some(next) => (oldest.div_euclid(next) * next).max(range.since_ms),
            None => range.since_ms,
        };
        read(width, from, until)?;
        until = until.min(from);
        if until <= range.since_ms {
            break;
        }
    }
    Ok(())
}

impl Range {
    /// The range from the beginning of the step that `since` is in to the end of that of `until`. The step is whole minutes, hours or days,
    /// made longer where there would be more than [`BUCKETS`].
    pub(super) fn of(since: Timestamp, until: Timestamp, step: Duration) -> Self {
        let (since, until) = (since.as_millisecond(), until.as_millisecond());
        let length = until.saturating_sub(since).max(1);
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        let least = step.max(length / BUCKETS).max(1);
        let unit = match least {
            0..HOUR => MINUTE,
            HOUR..DAY => HOUR,
            _ => DAY,
        };
        // The division leaves at most a day too much, far from an overflow for times that have a name.
        let step_ms = least
            .div_euclid(unit)
            .saturating_add(i64::from(least % unit != 0))
            .saturating_mul(unit);
        let since_ms = since.div_euclid(step_ms) * step_ms;
        let steps = until.saturating_sub(since_ms).max(1).saturating_add(step_ms - 1) / step_ms;
        Self {
            since_ms,
            until_ms: since_ms.saturating_add(steps.saturating_mul(step_ms)),
            step_ms,
        }
    }
}

impl Statistics {
    /// Empty figures for this range.
    pub(super) fn over(range: Range) -> Self {
        let steps = (range.until_ms - range.since_ms) / range.step_ms;
        let starts = (0..steps).filter_map(|n| Timestamp::from_millisecond(range.since_ms + n * range.step_ms).ok());
        Self {
            buckets: starts
                .map(|start| Bucket {
                    start,
                    tally: Tally::default(),
                    durations: Histogram::default(),
                })
                .collect(),
            step: Duration::from_millis(range.step_ms.unsigned_abs()),
            ..Self::default()
        }
    }

    /// Counts a stored sum.
    pub(super) fn add(&mut self, range: Range, sum: &Sum<'_>) {
        self.total.add(sum);
        let index = usize::try_from((sum.start_ms - range.since_ms) / range.step_ms).ok();
        if let Some(bucket) = index.and_then(|index| self.buckets.get_mut(index)) {
            bucket.tally.add(sum);
            bucket.durations.merge(&sum.durations);
        }
        if !sum.trigger.is_empty() && !sum.decision.is_empty() {
            self.triggers.entry(sum.trigger.to_owned()).or_default().add(sum);
        }
        if sum.kind == "consult" {
            let figures = self.interceptors.entry(sum.interceptor.to_owned()).or_default();
            figures.tally.add(sum);
            figures.durations.merge(&sum.durations);
        }
    }
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// More buckets than that are not made.
const BUCKETS: i64 = 1_440;
