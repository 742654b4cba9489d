//! What the writing thread does with calls: one commit for all that wait.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::{Call, Job, Last, Status};
use crate::{
    audit::{
        Receipt, StoreError,
        record::{Stamp, Stamped},
        spool::Spool,
        store::{Claim, Location, Store},
        tidy::Tidy,
    },
    metrics::Metrics,
};

/// What the thread works with.
pub(super) struct Desk {
    pub(super) claim: Arc<Claim>,
    /// `None` after a failed write: a file is opened anew by the next one, a database by a thread of its own.
    pub(super) store: Option<Store>,
    pub(super) spool: Option<Spool>,
    /// Whether the spool may take more.
    pub(super) spools: bool,
    /// Why there is no store.
    pub(super) away: Option<StoreError>,
    /// Whether a thread is on its way to open the store.
    pub(super) opening: bool,
    /// How long to wait before the spool is tried to be emptied again, and until when.
    pub(super) pause: Duration,
    pub(super) retry: Instant,
    pub(super) jobs: mpsc::WeakSender<Job>,
    pub(super) stamp: Stamp,
    pub(super) status: Arc<Status>,
    pub(super) tidy: Tidy,
    pub(super) metrics: Metrics,
}

impl Desk {
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut closers = Vec::new();
        let mut look = false;
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        if self.store.is_none() {
            self.reopen();
        }
        self.show_spool();
        loop {
            // With work of its own, the thread does a little of it whenever nobody waits, and a little after each write.
            let mut next = if self.is_busy() {
                match queue.try_recv() {
                    Ok(job) => Some(job),
                    Err(mpsc::error::TryRecvError::Empty) => None,
                    Err(mpsc::error::TryRecvError::Disconnected) => break,
                }
            } else {
                match queue.blocking_recv() {
                    Some(job) => Some(job),
                    None => break,
                }
            };
            let mut calls = Vec::new();
            let mut drafts = 0;
            while let Some(job) = next {
                match job {
                    Job::Write(call) => {
                        drafts += call.drafts.len();
                        calls.push(call);
                    }
                    Job::Opened(store) => self.take_up(store),
                    Job::Tidy(reply) => {
                        look = true;
                        waiting.extend(reply);
                    }
                    Job::Close(reply) => {
                        queue.close();
                        closers.push(reply);
                    }
                }
                next = if drafts < GROUP { queue.try_recv().ok() } else { None };
            }
            self.write(calls);
            self.catch_up();
            if look || self.tidy.is_busy() {
                self.tidy_up(look, !waiting.is_empty());
                // A look waits for what is under way.
                look &= self.tidy.is_busy();
            }
            if !look && !self.tidy.is_busy() {
                // Whoever asked may have gone.
                for reply in waiting.drain(..) {
                    let _ = reply.send(());
                }
            }
        }
        self.end();
        drop(self);
        for reply in closers {
            // Whoever asked may have gone.
            let _ = reply.send(());
        }
    }

    fn end(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        while self.can_catch_up() && Instant::now() < until {
            self.catch_up();
        }
        if let Some(left) = self.spool.as_ref().and_then(Spool::waiting) {
            warn!(records = left.records, "the spool keeps {left} for the next start");
        }
        let at = self.claim.location();
        if let Some(heads) = &mut self.tidy.heads {
            heads.offer(self.status.last().head, self.stamp.clock().now(), true);
        }
        if let Some(store) = &self.store
            && let Err(error) = store.settle()
        {
            warn!(%error, "the last records are in the write-ahead log of `{at}` and not yet in the file: {error}");
        }
        info!(head = %self.status.last().head, "audit store `{at}` closed");
    }

    fn is_busy(&self) -> bool {
        (self.tidy.is_busy() && self.store.is_some()) || self.can_catch_up()
    }

    /// A little of the other work. What fails is tried again at the next look.
    fn tidy_up(&mut self, look: bool, must: bool) {
        let Some(mut store) = self.store.take() else {
            self.tidy.rest();
            self.look_whether_it_is_back();
            return;
        };
        let before = store.head();
        let mut done = self.tidy.step(&mut store);
        if look && done.is_ok() {
            done = self.tidy.look(&mut store, &mut self.stamp, must);
        }
        if let Some(heads) = &mut self.tidy.heads {
            heads.offer(store.head(), self.stamp.clock().now(), false);
        }
        match done {
            Ok(()) => {
                if store.head() != before {
                    let last = self.status.last();
                    self.status.set(Last {
                        head: store.head(),
                        ..last
                    });
                }
                self.store = Some(store);
            }
            Err(error) => {
                warn!(%error, "the oldest records of the audit store `{}` could not be taken away yet: {error}", self.claim.location());
                self.tidy.rest();
                self.away = Some(error);
                self.reopen();
            }
        }
    }

    fn write(&mut self, calls: Vec<Call>) {
        if calls.is_empty() {
            return;
        }
        let started = Instant::now();
        let mut records = Vec::new();
        let mut waiting = Vec::new();
        for call in calls {
            waiting.push((call.drafts.len(), call.reply, call._queued));
            records.extend(call.drafts.into_iter().map(|draft| self.stamp.on(draft)));
        }
        let written = self.keep(&records);
        self.metrics
            .written(written.as_ref().ok().map(Vec::len), started.elapsed());
        self.note(&written);
        if let (Ok(_), Some(heads)) = (&written, &mut self.tidy.heads) {
            heads.offer(self.status.last().head, self.stamp.clock().now(), false);
        }
        self.status.queued.fetch_sub(waiting.len(), Ordering::Relaxed);
        let mut receipts = written.map(Vec::into_iter);
        for (count, reply, _queued) in waiting {
            let own = match &mut receipts {
                Ok(receipts) => Ok(receipts.by_ref().take(count).collect()),
                Err(error) => Err(error.clone().into()),
            };
            // A caller that went away still has its record.
            let _ = reply.send(own);
        }
    }

    /// Puts the records on disk: in the store, or behind those that wait for it.
    fn keep(&mut self, records: &[Stamped]) -> Result<Vec<Receipt>, StoreError> {
        if self.spool.as_ref().is_some_and(|spool| !spool.is_empty()) {
            return self.spool(records);
        }
        match self.commit(records) {
            Ok(receipts) => Ok(receipts),
            Err(error) if self.spools => {
                if self.away.is_none() {
                    error!("{error}; records go to the spool until it can be");
                }
                self.fail(error);
                self.spool(records)
            }
            Err(error) => {
                self.fail(error.clone());
                Err(error)
            }
        }
    }

    fn commit(&mut self, records: &[Stamped]) -> Result<Vec<Receipt>, StoreError> {
        self.claim.check()?;
        let mut store = match (self.store.take(), self.claim.location()) {
            (Some(store), _) => store,
            (None, Location::Sqlite(_)) => self.claim.open(None)?,
            (None, Location::Postgres(_)) => return Err(self.away.clone().unwrap_or(StoreError::Closed)),
        };
        let receipts = store.append(records)?;
        self.store = Some(store);
        self.away = None;
        Ok(receipts)
    }

    fn note(&mut self, written: &Result<Vec<Receipt>, StoreError>) {
        let before = self.status.last();
        match written {
            Ok(_) => {
                if before.failing.is_some() {
                    info!("the audit can be written again");
                }
                self.status.set(Last {
                    head: self.store.as_ref().map_or(before.head, Store::head),
                    commits: before.commits + 1,
                    failing: None,
                    ..before
                });
            }
            Err(failure) => {
                if before.failing.is_none() {
                    error!("{failure}; recognised requests are refused until it can be written");
                }
                self.status.set(Last {
                    failing: Some(failure.clone()),
                    ..before
                });
            }
        }
        if self.spool.is_some() {
            self.show_spool();
        }
    }
}

/// How many records one transaction takes at most, and the last call's on top.
pub(super) const GROUP: usize = 1_024;

/// How long the spool may be emptied at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);
