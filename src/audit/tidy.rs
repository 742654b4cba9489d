//! What the writing thread does between writes: takes old records away, gives their room back, and exports heads.

use jiff::Timestamp;

use super::{
    StoreError,
    heads::Exporter,
    record::{Draft, Stamp},
    retention::Limits,
    store::Store,
};

/// The thread's other work.
pub(super) struct Tidy {
    limits: Limits,
    pub(super) heads: Option<Exporter>,
    /// Records up to this one are on their way out.
    leaving: Option<u64>,
    /// The chain that they leave, where it is one that nobody writes any more.
    orphan: Option<Store>,
    /// Whether the file may have pages to give back.
    roomy: bool,
    looked: Option<Timestamp>,
}

impl Tidy {
    /// Goes on where the last run stopped, at the first look.
    pub(super) fn new(limits: Limits, heads: Option<Exporter>) -> Self {
        Self {
            limits,
            heads,
            leaving: None,
            orphan: None,
            roomy: true,
            looked: None,
        }
    }

    /// Whether there is more to do at once.
    pub(super) fn is_busy(&self) -> bool {
        self.leaving.is_some() || self.roomy
    }

    /// Leaves what is to be done until the next look.
    pub(super) fn rest(&mut self) {
        self.leaving = None;
        self.orphan = None;
        self.roomy = false;
        self.looked = None;
    }

    /// Looks for what has to go when the last look was a while ago, or when it `must`.
    pub(super) fn look(&mut self, store: &mut Store, stamp: &mut Stamp, must: bool) -> Result<(), StoreError> {
        let now = stamp.clock().now();
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
        if self.anchor(store, stamp)? {
            return Ok(());
        }
        if let Some(mut orphan) = store.orphan(self.limits, now.as_millisecond())? {
            self.leaving = orphan.unfinished()?;
            if self.leaving.is_some() || self.anchor(&mut orphan, stamp)? {
                self.orphan = Some(orphan);
            }
        }
        Ok(())
    }

    /// Writes the anchor for what has to go of this chain; whether anything has.
    fn anchor(&mut self, store: &mut Store, stamp: &mut Stamp) -> Result<bool, StoreError> {
        let now = stamp.clock().now();
        let Some(anchor) = store.surplus(self.limits, now.as_millisecond())? else {
            return Ok(false);
        };
        // On disk before the first record goes, and signed: from then on it is what the rest of the chain hangs from.
        store.append(&[stamp.on(Draft::of(anchor.entry()))])?;
        if let Some(heads) = &mut self.heads {
            heads.offer(store.head(), now, true);
        }
        tracing::info!(
            chain = anchor.last.chain,
            first = anchor.first,
            last = anchor.last.seq,
            "audit retention: records {} to {} go",
            anchor.first,
            anchor.last.seq
        );
        self.leaving = Some(anchor.last.seq);
        Ok(true)
    }

    /// Does a little of what is to be done.
    pub(super) fn step(&mut self, store: &mut Store) -> Result<(), StoreError> {
        if let Some(last) = self.leaving {
            if !self.orphan.as_mut().unwrap_or(store).take_away(last)? {
                self.leaving = None;
                self.orphan = None;
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
