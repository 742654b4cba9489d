//! What the writing thread does while the store is away, and when it is back.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::{
    Job, Last,
    desk::{Desk, GROUP},
    spawn,
};
use crate::audit::{
    Receipt, StoreError,
    record::Stamped,
    spool::Spool,
    store::{Location, Store},
};

impl Desk {
    /// Adds the records to those that wait. Their numbers are those that they will have, unless another writer takes the chain over.
    pub(super) fn spool(&mut self, records: &[Stamped]) -> Result<Vec<Receipt>, StoreError> {
        let head = self.status.last().head;
        let Some(spool) = self.spool.as_mut().filter(|_| self.spools) else {
            // What an earlier run spooled goes first, and this one may not add to it.
            return Err(self.away.clone().unwrap_or(StoreError::Closed));
        };
        let before = spool.waiting().map_or(0, |waiting| waiting.records);
        spool.append(records)?;
        let receipts = (1..).zip(records).map(|(number, record)| Receipt {
            seq: head.seq + before + number,
            id: record.id,
        });
        Ok(receipts.collect())
    }

    /// Whether some of the spool could be brought to the store now.
    pub(super) fn can_catch_up(&self) -> bool {
        let file = matches!(self.claim.location(), Location::Sqlite(_));
        self.spool.as_ref().is_some_and(|spool| !spool.is_empty())
            && (self.store.is_some() || file)
            && Instant::now() >= self.retry
    }

    /// Brings some of the spool to the store.
    pub(super) fn catch_up(&mut self) {
        if !self.can_catch_up() {
            return;
        }
        match self.bring() {
            Ok(()) => {
                self.pause = FIRST_PAUSE;
                let last = self.status.last();
                self.status.set(Last {
                    head: self.store.as_ref().map_or(last.head, Store::head),
                    failing: None,
                    ..last
                });
                if self.spool.as_ref().is_some_and(Spool::is_empty) {
                    info!(
                        "all records of the spool are in the audit store `{}`",
                        self.claim.location()
                    );
                }
            }
            Err(error) => {
                warn!(%error, "the spool cannot be brought to the store yet: {error}");
                self.fail(error);
            }
        }
        self.show_spool();
    }

    fn bring(&mut self) -> Result<(), StoreError> {
        let Some(batch) = self
            .spool
            .as_ref()
            .map(|spool| spool.oldest(CATCH_UP))
            .transpose()?
            .flatten()
        else {
            return Ok(());
        };
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.claim.open(None)?,
        };
        // A commit that was given up may have succeeded, and the process may have stopped before the spool was emptied.
        let ids: Vec<_> = batch.records.iter().map(|record| record.id).collect();
        let known = store.known(&ids)?;
        let missing = batch.records.iter().filter(|record| !known.contains(&record.id));
        let missing: Vec<_> = missing.cloned().collect();
        if !missing.is_empty() {
            self.claim.check()?;
            store.append(&missing)?;
        }
        self.store = Some(store);
        self.away = None;
        self.spool.as_mut().map_or(Ok(()), |spool| spool.taken(&batch))
    }

    /// Gives the store up for now.
    pub(super) fn fail(&mut self, error: StoreError) {
        self.store = None;
        self.away = Some(error);
        self.retry = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.reopen();
    }

    /// Tries a file again that could not be written: a replica that is not ready gets no requests whose records would show that it can.
    pub(super) fn look_whether_it_is_back(&mut self) {
        let file = matches!(self.claim.location(), Location::Sqlite(_));
        let spools = self.spool.as_ref().is_some_and(|spool| !spool.is_empty());
        if !file || spools || Instant::now() < self.retry {
            return;
        }
        let opened = self.claim.open(None);
        match opened.and_then(|mut store| store.probe().map(|()| store)) {
            Ok(store) => self.take_up(store),
            Err(error) => self.fail(error),
        }
    }

    /// Has a database opened by a thread of its own: nobody waits for a network that is away.
    pub(super) fn reopen(&mut self) {
        if self.opening || matches!(self.claim.location(), Location::Sqlite(_)) {
            return;
        }
        let (claim, jobs, before) = (Arc::clone(&self.claim), self.jobs.clone(), self.status.last().head);
        let before = Some(before).filter(|head| head.chain > 0);
        let spawned = spawn("audit-reopen", move || {
            let mut pause = FIRST_PAUSE;
            // Until nobody can record any more.
            while let Some(jobs) = jobs.upgrade() {
                match claim.open(before) {
                    Ok(store) => {
                        // An error says that the writing thread has ended.
                        let _ = jobs.blocking_send(Job::Opened(store));
                        return;
                    }
                    Err(error) => tracing::debug!(%error, "the audit store is still away: {error}"),
                }
                drop(jobs);
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        self.opening = spawned.is_ok();
    }

    pub(super) fn take_up(&mut self, store: Store) {
        info!(head = %store.head(), "the audit store `{}` can be written again", self.claim.location());
        let last = self.status.last();
        self.status.set(Last {
            head: store.head(),
            failing: None,
            ..last
        });
        self.metrics.audit_is_back();
        (self.store, self.away, self.opening) = (Some(store), None, false);
        (self.pause, self.retry) = (FIRST_PAUSE, Instant::now());
    }

    pub(super) fn show_spool(&self) {
        let spooled = self.spool.as_ref().and_then(Spool::waiting);
        self.metrics.spooled(
            spooled.map_or(0, |waiting| waiting.records),
            spooled.map_or(0, |waiting| waiting.bytes),
            spooled.map_or(0, |waiting| waiting.since.as_second()),
        );
        self.status.set(Last {
            spooled,
            ..self.status.last()
        });
    }
}

/// How many records of the spool go to the store at once: more than a write takes, so that it is emptied under load, too.
const CATCH_UP: usize = 4 * GROUP;

/// Between attempts to reach the store; doubled after each.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
