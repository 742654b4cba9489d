//! The thread that writes: it takes all that is queued, commits once, and only then answers.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::{
    AuditError, Entry, Head, Health, Receipt, StoreError,
    record::Draft,
    sqlite::{self, Store},
};
use crate::{
    clock::Clock,
    metrics::{Held, Metrics},
};

/// The way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    status: Arc<Status>,
    metrics: Metrics,
}

#[derive(Debug)]
enum Job {
    Write(Call),
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
}

#[derive(Clone, Debug)]
struct Last {
    head: Head,
    commits: u64,
    failing: Option<StoreError>,
}

impl Writer {
    /// Takes the store's lock, opens it and starts the thread.
    pub(super) fn start(path: &Path, clock: Clock, metrics: Metrics) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        sqlite::prepare(path)?;
        let file = FileId::of(path)?;
        let store = Store::open(path)?;
        let status = Arc::new(Status {
            queued: AtomicUsize::new(0),
            last: Mutex::new(Last {
                head: store.head(),
                commits: 0,
                failing: None,
            }),
        });
        info!(head = %store.head(), "audit store `{}` opened", path.display());
        let (jobs, queue) = mpsc::channel(QUEUE);
        let desk = Desk {
            path: path.to_owned(),
            file,
            store: Some(store),
            clock,
            status: Arc::clone(&status),
            metrics: metrics.clone(),
            _lock: lock,
        };
        thread::Builder::new()
            .name("audit".into())
            .spawn(move || desk.run(queue))
            .map_err(|source| StoreError::File {
                path: path.to_owned(),
                source: Arc::new(source),
            })?;
        Ok(Self { jobs, status, metrics })
    }

    pub(super) async fn record(&self, entries: Vec<Entry>) -> Result<Vec<Receipt>, AuditError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let call = Call {
            drafts: entries.iter().map(Draft::of).collect(),
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
    metrics: Metrics,
    _lock: File,
}

impl Desk {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut closers = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            let mut calls = Vec::new();
            let mut drafts = 0;
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(call) => {
                        drafts += call.drafts.len();
                        calls.push(call);
                    }
                    Job::Close(reply) => {
                        queue.close();
                        closers.push(reply);
                    }
                }
                next = if drafts < GROUP { queue.try_recv().ok() } else { None };
            }
            self.write(calls);
        }
        info!(head = %self.status.last().head, "audit store `{}` closed", self.path.display());
        drop(self);
        for reply in closers {
            // Whoever asked may have gone.
            let _ = reply.send(());
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
        if FileId::of(&self.path)? != self.file {
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
        let log = sqlite::beside(&self.path, "-wal");
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

/// Tells a file from another one that took its place.
#[derive(Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(path: &Path) -> Result<Self, StoreError> {
        match std::fs::metadata(path) {
            #[cfg(unix)]
            Ok(file) => {
                use std::os::unix::fs::MetadataExt;
                Ok(Self(file.dev(), file.ino()))
            }
            #[cfg(not(unix))]
            Ok(_) => Ok(Self(0, 0)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StoreError::Moved(path.to_owned())),
            Err(source) => Err(StoreError::File {
                path: path.to_owned(),
                source: Arc::new(source),
            }),
        }
    }
}

/// Only one process writes: two would each continue the chain from the head they know.
fn lock(path: &Path) -> Result<File, StoreError> {
    let name = sqlite::beside(path, ".lock");
    let failed = |source| StoreError::File {
        path: name.clone(),
        source: Arc::new(source),
    };
    let file = sqlite::owner_only()
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

/// How many calls may wait for the disk.
const QUEUE: usize = 1_024;

/// How many records one transaction takes at most, and the last call's on top.
const GROUP: usize = 1_024;
