//! The thread that writes: it takes all that is queued, commits once, and only then answers.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use super::{
    AuditError, Entry, Head, Health, OnFailure, Receipt, Settings, StoreError, Waiting,
    heads::Exporter,
    record::{Draft, Stamp, Stamped},
    retention::Limits,
    spool::Spool,
    store::{Claim, Location, Store},
    tidy::Tidy,
};
use crate::{
    clock::Clock,
    fields::Rules,
    metrics::{Held, Metrics},
    misconfigured::Misconfigured,
};

/// The way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    status: Arc<Status>,
    rules: Arc<Rules>,
    metrics: Metrics,
}

#[derive(Debug)]
enum Job {
    Write(Call),
    /// The store is back.
    Opened(Store),
    /// Look whether anything is due; for whoever waits, do all of it.
    Tidy(Option<oneshot::Sender<()>>),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Call {
    drafts: Vec<Draft>,
    reply: oneshot::Sender<Result<Vec<Receipt>, AuditError>>,
    _queued: Held,
}

#[derive(Debug)]
struct Status {
    queued: AtomicUsize,
    last: Mutex<Last>,
    /// Wakes whoever waits for records.
    head: watch::Sender<Head>,
}

#[derive(Clone, Debug)]
struct Last {
    head: Head,
    commits: u64,
    failing: Option<StoreError>,
    spooled: Option<Waiting>,
}

impl Writer {
    /// Claims the store, opens it and starts the thread. With a spool, a store that is away for now is waited for.
    pub(super) fn start(
        settings: &Settings,
        base: &Path,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Misconfigured> {
        let rules = Arc::new(settings.rules(base)?);
        let location = settings.location(base)?;
        let wrong = |error: &StoreError| location.misconfigured(error);
        let claim = Claim::take(location.clone()).map_err(|e| wrong(&e))?;
        let spool = spool(settings, base)?;
        let opened = claim.open(None);
        let (store, failing) = match opened {
            Ok(store) => (Some(store), None),
            Err(error) if error.passes() && settings.on_failure == OnFailure::Spool => {
                warn!("{error}; records go to the spool until it can be");
                (None, Some(error))
            }
            Err(error) => return Err(wrong(&error)),
        };
        let head = store.as_ref().map_or_else(Head::genesis, Store::head);
        let heads = settings.heads.as_ref();
        let heads = heads.map(|heads| Exporter::open(heads, base, head, clock.now()));
        let status = Arc::new(Status {
            queued: AtomicUsize::new(0),
            last: Mutex::new(Last {
                head,
                commits: 0,
                failing: None,
                spooled: spool.as_ref().and_then(Spool::waiting),
            }),
            head: watch::Sender::new(head),
        });
        info!(head = %head, "audit store `{location}` opened");
        let (jobs, queue) = mpsc::channel(QUEUE);
        let desk = Desk {
            claim: Arc::new(claim),
            store,
            spool,
            spools: settings.on_failure == OnFailure::Spool,
            away: failing,
            opening: false,
            pause: FIRST_PAUSE,
            retry: Instant::now(),
            jobs: jobs.downgrade(),
            stamp: Stamp::new(clock),
            status: Arc::clone(&status),
            tidy: Tidy::new(Limits::of(settings), heads.transpose()?),
            metrics: metrics.clone(),
        };
        let no_thread = |error| Misconfigured::new("audit.store", format!("no thread could be started: {error}"));
        spawn("audit", move || desk.run(queue)).map_err(no_thread)?;
        let clock = jobs.downgrade();
        spawn("audit-clock", move || tick(&clock)).map_err(no_thread)?;
        Ok(Self {
            jobs,
            status,
            rules,
            metrics,
        })
    }

    pub(super) async fn record(&self, entries: Vec<Entry>) -> Result<Vec<Receipt>, AuditError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let call = Call {
            drafts: entries
                .iter()
                .map(|entry| Draft::redacted(entry, &self.rules))
                .collect(),
            reply,
            _queued: self.metrics.queued(),
        };
        self.status.queued.fetch_add(1, Ordering::Relaxed);
        // Never waits for room: a caller that went away while it waited would leave no record.
        self.jobs.try_send(Job::Write(call)).map_err(|error| {
            self.status.queued.fetch_sub(1, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => AuditError::Full,
                mpsc::error::TrySendError::Closed(_) => AuditError::Closed,
            }
        })?;
        answer.await.unwrap_or(Err(AuditError::Closed))
    }

    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_ok() {
            // An error says that the thread has ended, which is what was asked for.
            let _ = closed.await;
        }
    }

    pub(super) async fn tidy(&self) {
        let (reply, done) = oneshot::channel();
        if self.jobs.send(Job::Tidy(Some(reply))).await.is_ok() {
            // As above.
            let _ = done.await;
        }
    }

    /// The last record on disk, and a call whenever it is another one.
    pub(super) fn head(&self) -> watch::Receiver<Head> {
        self.status.head.subscribe()
    }

    pub(super) fn health(&self) -> Health {
        let last = self.status.last();
        Health {
            head: last.head,
            commits: last.commits,
            queued: self.status.queued.load(Ordering::Relaxed),
            failing: last.failing,
            spooled: last.spooled,
        }
    }
}

impl Status {
    fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, last: Last) {
        self.head
            .send_if_modified(|head| std::mem::replace(head, last.head) != last.head);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

/// What the thread works with.
struct Desk {
    claim: Arc<Claim>,
    /// `None` after a failed write: a file is opened anew by the next one, a database by a thread of its own.
    store: Option<Store>,
    spool: Option<Spool>,
    /// Whether the spool may take more.
    spools: bool,
    /// Why there is no store.
    away: Option<StoreError>,
    /// Whether a thread is on its way to open the store.
    opening: bool,
    /// How long to wait before the spool is tried to be emptied again, and until when.
    pause: Duration,
    retry: Instant,
    jobs: mpsc::WeakSender<Job>,
    stamp: Stamp,
    status: Arc<Status>,
    tidy: Tidy,
    metrics: Metrics,
}

impl Desk {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
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

    /// Adds the records to those that wait. Their numbers are those that they will have, unless another writer takes the chain over.
    fn spool(&mut self, records: &[Stamped]) -> Result<Vec<Receipt>, StoreError> {
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
    fn can_catch_up(&self) -> bool {
        let file = matches!(self.claim.location(), Location::Sqlite(_));
        self.spool.as_ref().is_some_and(|spool| !spool.is_empty())
            && (self.store.is_some() || file)
            && Instant::now() >= self.retry
    }

    /// Brings some of the spool to the store.
    fn catch_up(&mut self) {
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
    fn fail(&mut self, error: StoreError) {
        self.store = None;
        self.away = Some(error);
        self.retry = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.reopen();
    }

    /// Has a database opened by a thread of its own: nobody waits for a network that is away.
    fn reopen(&mut self) {
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

    fn take_up(&mut self, store: Store) {
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

    fn show_spool(&self) {
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

/// The spool, where one may be used, or where an earlier run left records in it.
fn spool(settings: &Settings, base: &Path) -> Result<Option<Spool>, Misconfigured> {
    let path = base.join(&settings.spool.file);
    let left = path.metadata().is_ok_and(|file| file.len() > 0);
    if settings.on_failure != OnFailure::Spool && !left {
        return Ok(None);
    }
    Spool::open(&path, settings.spool.bytes()?).map(Some).map_err(|error| {
        let hint = match &error {
            StoreError::Locked(_) => "each process needs a spool of its own: give each another `file`",
            StoreError::SpoolDamaged { .. } => {
                "keep the file elsewhere and look at it: records in it are in no store yet"
            }
            _ => "name a file in a folder that Tollgate can write to",
        };
        Misconfigured::new("audit.spool.file", error.to_string()).hint(hint)
    })
}

/// Wakes the thread once a second, for what is due by time, until nobody can record any more.
fn tick(jobs: &mpsc::WeakSender<Job>) {
    loop {
        thread::sleep(TICK);
        let Some(jobs) = jobs.upgrade() else { return };
        // A full queue has the thread awake anyway.
        if let Err(mpsc::error::TrySendError::Closed(_)) = jobs.try_send(Job::Tidy(None)) {
            return;
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// How often the thread is woken.
const TICK: Duration = Duration::from_secs(1);

/// How many calls may wait for the disk.
const QUEUE: usize = 1_024;

/// How many records one transaction takes at most, and the last call's on top.
const GROUP: usize = 1_024;

/// How many records of the spool go to the store at once: more than a write takes, so that it is emptied under load, too.
const CATCH_UP: usize = 4 * GROUP;

/// Between attempts to reach the store; doubled after each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long the spool may be emptied at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);
