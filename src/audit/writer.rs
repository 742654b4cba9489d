//! The thread that writes: it takes all that is queued, commits once, and only then answers.

mod away;
mod desk;

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
use tracing::{info, warn};

use self::{away::FIRST_PAUSE, desk::Desk};
use super::{
    AuditError, Entry, Head, Health, OnFailure, Receipt, Settings, StoreError, Waiting,
    heads::Exporter,
    record::{Draft, Stamp},
    retention::Limits,
    spool::Spool,
    store::{Claim, Store},
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
    pub(super) rules: Arc<Rules>,
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
    metrics: Metrics,
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
            metrics: metrics.clone(),
        });
        metrics.audit_head(head.seq);
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
                .into_iter()
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
        self.metrics.audit_head(last.head.seq);
        self.head
            .send_if_modified(|head| std::mem::replace(head, last.head) != last.head);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
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
