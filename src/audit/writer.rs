//! The thread that writes: it takes all that is queued, commits once, and only then answers.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
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
    AuditError, Entry, Head, Health, Receipt, Settings, StoreError,
    files::{self, FileId},
    heads::Exporter,
    record::Draft,
    retention::Limits,
    sqlite::Store,
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
    metrics: Metrics,
}

#[derive(Clone, Debug)]
struct Last {
    head: Head,
    commits: u64,
    failing: Option<StoreError>,
}

impl Writer {
    /// Takes the store's lock, opens it and starts the thread.
    pub(super) fn start(
        path: &Path,
        settings: &Settings,
        base: &Path,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Misconfigured> {
        let rules = Arc::new(settings.rules(base)?);
        let wrong = |error: StoreError| error.misconfigured(path);
        let lock = lock(path).map_err(wrong)?;
        files::prepare(path).map_err(wrong)?;
        let file = identity(path).map_err(wrong)?;
        let store = Store::open(path).map_err(wrong)?;
        let heads = settings.heads.as_ref();
        let heads = heads.map(|heads| Exporter::open(heads, base, store.head(), clock.now()));
        let tidy = Tidy::start(Limits::of(settings), heads.transpose()?, &store).map_err(|source| {
            wrong(StoreError::Sqlite {
                path: path.to_owned(),
                source: Arc::new(source),
            })
        })?;
        let status = Arc::new(Status {
            queued: AtomicUsize::new(0),
            last: Mutex::new(Last {
                head: store.head(),
                commits: 0,
                failing: None,
            }),
            head: watch::Sender::new(store.head()),
            metrics: metrics.clone(),
        });
        metrics.audit_head(store.head().seq);
        info!(head = %store.head(), "audit store `{}` opened", path.display());
        let (jobs, queue) = mpsc::channel(QUEUE);
        let desk = Desk {
            path: path.to_owned(),
            file,
            store: Some(store),
            clock,
            status: Arc::clone(&status),
            tidy,
            metrics: metrics.clone(),
            _lock: lock,
        };
        spawn("audit", path, move || desk.run(queue))?;
        let clock = jobs.downgrade();
        spawn("audit-clock", path, move || tick(&clock))?;
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
        }
    }
}

impl Status {
    fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, last: Last) {
        self.metrics.audit_head(last.head.seq);
        self.head
            .send_if_modified(|head| std::mem::replace(head, last.head) != last.head);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

/// What the thread works with.
struct Desk {
    path: PathBuf,
    file: FileId,
    /// `None` after a failed write: the next one opens it anew.
    store: Option<Store>,
    clock: Clock,
    status: Arc<Status>,
    tidy: Tidy,
    metrics: Metrics,
    _lock: File,
}

impl Desk {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut closers = Vec::new();
        let mut look = false;
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        loop {
            // With work of its own, the thread does a little of it whenever nobody waits, and a little after each write.
            let mut next = if self.tidy.is_busy() {
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
        if let Some(heads) = &mut self.tidy.heads {
            heads.offer(self.status.last().head, self.clock.now(), true);
        }
        if let Some(store) = &self.store
            && let Err(error) = store.settle()
        {
            warn!(%error, "the last records are in the write-ahead log of `{}` and not yet in the file: {error}", self.path.display());
        }
        info!(head = %self.status.last().head, "audit store `{}` closed", self.path.display());
        drop(self);
        for reply in closers {
            // Whoever asked may have gone.
            let _ = reply.send(());
        }
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
            done = self.tidy.look(&mut store, &self.clock, must);
        }
        if let Some(heads) = &mut self.tidy.heads {
            heads.offer(store.head(), self.clock.now(), false);
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
                warn!(%error, "the oldest records of the audit store `{}` could not be taken away yet: {error}", self.path.display());
                self.tidy.rest();
            }
        }
    }

    fn write(&mut self, calls: Vec<Call>) {
        if calls.is_empty() {
            return;
        }
        let started = Instant::now();
        let written = self.commit(&calls);
        self.metrics
            .written(written.as_ref().ok().map(Vec::len), started.elapsed());
        self.note(&written);
        if let (Ok(_), Some(heads)) = (&written, &mut self.tidy.heads) {
            heads.offer(self.status.last().head, self.clock.now(), false);
        }
        self.status.queued.fetch_sub(calls.len(), Ordering::Relaxed);
        match written {
            Ok(receipts) => {
                let mut receipts = receipts.into_iter();
                for call in calls {
                    let own = receipts.by_ref().take(call.drafts.len()).collect();
                    // A caller that went away still has its record.
                    let _ = call.reply.send(Ok(own));
                }
            }
            Err(error) => {
                for call in calls {
                    let _ = call.reply.send(Err(error.clone().into()));
                }
            }
        }
    }

    fn commit(&mut self, calls: &[Call]) -> Result<Vec<Receipt>, StoreError> {
        // A file that was deleted can still be written to, and everything would be lost with the last handle on it.
        if identity(&self.path)? != self.file {
            return Err(StoreError::Moved(self.path.clone()));
        }
        let mut store = match self.store.take() {
            Some(store) => store,
            None => Store::open(&self.path)?,
        };
        let drafts = calls.iter().flat_map(|call| &call.drafts);
        let receipts = store.append(drafts, &self.clock).map_err(|source| StoreError::Sqlite {
            path: self.path.clone(),
            source: Arc::new(source),
        })?;
        // The same for the log: closing the store now brings what is in it to the file.
        let log = files::beside(&self.path, "-wal");
        if !log.exists() {
            return Err(StoreError::Moved(log));
        }
        self.store = Some(store);
        Ok(receipts)
    }

    fn note(&self, written: &Result<Vec<Receipt>, StoreError>) {
        let before = self.status.last();
        match written {
            Ok(_) => {
                if before.failing.is_some() {
                    info!("audit store `{}` can be written again", self.path.display());
                }
                self.status.set(Last {
                    head: self.store.as_ref().map_or(before.head, Store::head),
                    commits: before.commits + 1,
                    failing: None,
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
    }
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

fn spawn(name: &str, path: &Path, work: impl FnOnce() + Send + 'static) -> Result<(), Misconfigured> {
    let spawned = thread::Builder::new().name(name.into()).spawn(work);
    spawned.map(drop).map_err(|source| {
        let source = Arc::new(source);
        let path = path.to_owned();
        StoreError::File {
            path: path.clone(),
            source,
        }
        .misconfigured(&path)
    })
}

/// Which file the store is.
fn identity(path: &Path) -> Result<FileId, StoreError> {
    FileId::of(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => StoreError::Moved(path.to_owned()),
        _ => StoreError::File {
            path: path.to_owned(),
            source: Arc::new(error),
        },
    })
}

/// Only one process writes: two would each continue the chain from the head they know.
fn lock(path: &Path) -> Result<File, StoreError> {
    let name = files::beside(path, ".lock");
    let failed = |source| StoreError::File {
        path: name.clone(),
        source: Arc::new(source),
    };
    let file = files::owner_only()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// How often the thread is woken.
const TICK: Duration = Duration::from_secs(1);

/// How many calls may wait for the disk.
const QUEUE: usize = 1_024;

/// How many records one transaction takes at most, and the last call's on top.
const GROUP: usize = 1_024;
