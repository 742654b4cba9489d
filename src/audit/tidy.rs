//! What the writing thread does between writes: takes old records away, gives their room back, and exports heads.

use jiff::Timestamp;

use super::{heads::Exporter, record::Draft, retention::Limits, sqlite::Store};
use crate::clock::Clock;

/// The thread's other work.
pub(super) struct Tidy {
    limits: Limits,
    pub(super) heads: Option<Exporter>,
    /// Records up to this one are on their way out.
    leaving: Option<u64>,
    /// Whether the file may have pages to give back.
    roomy: bool,
    looked: Option<Timestamp>,
}

impl Tidy {
    /// Goes on where the last run stopped.
    pub(super) fn start(limits: Limits, heads: Option<Exporter>, store: &Store) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            limits,
            heads,
            leaving: store.unfinished()?,
            roomy: true,
            looked: None,
        })
    }

    /// Whether there is more to do at once.
    pub(super) fn is_busy(&self) -> bool {
        self.leaving.is_some() || self.roomy
    }

    /// Leaves what is to be done until the next look.
    pub(super) fn rest(&mut self) {
        self.leaving = None;
        self.roomy = false;
        self.looked = None;
    }

    /// Looks for what has to go when the last look was a while ago, or when it `must`.
    pub(super) fn look(&mut self, store: &mut Store, clock: &Clock, must: bool) -> Result<(), rusqlite::Error> {
        let now = clock.now();
        let due = self
            .looked
            .is_none_or(|looked| now.duration_since(looked).abs() >= LOOK);
        if self.is_busy() || !(must || due) {
            return Ok(());
        }
        self.looked = Some(now);
        self.leaving = store.unfinished()?;
        if self.leaving.is_some() {
            return Ok(());
        }
        store.thin_figures(now.as_millisecond())?;
        if let Some(anchor) = store.surplus(self.limits, now.as_millisecond())? {
            // On disk before the first record goes, and signed: from then on it is what the rest of the chain hangs from.
            store.append([Draft::of(anchor.entry())].iter(), clock)?;
            if let Some(heads) = &mut self.heads {
                heads.offer(store.head(), now, true);
            }
            tracing::info!(
                first = anchor.first,
                last = anchor.last.seq,
                "audit retention: records {} to {} go",
                anchor.first,
                anchor.last.seq
            );
            self.leaving = Some(anchor.last.seq);
        }
        Ok(())
    }

    /// Does a little of what is to be done.
    pub(super) fn step(&mut self, store: &mut Store) -> Result<(), rusqlite::Error> {
        if let Some(last) = self.leaving {
            if !store.take_away(last)? {
                self.leaving = None;
                self.roomy = true;
            }
        } else if self.roomy {
            self.roomy = store.shrink()?;
        }
        Ok(())
    }
}

/// How often limits are looked at.
const LOOK: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
