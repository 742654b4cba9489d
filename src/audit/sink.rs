//! Sinks: records leave the store as CloudEvents, in order, each at least once.
//!
//! A sink reads the store like any other reader, in a thread of its own: whatever it waits for, a full pipe, a slow disk or an endpoint
//! that is away, no decision waits with it.

mod cursor;
mod endpoint;
mod lines;
mod settings;

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use http::StatusCode;
use tokio::{runtime, select, sync::watch, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tracing::{error, info, warn};

pub use self::settings::{Destination, From, Settings};
use self::{
    cursor::Cursor,
    endpoint::Endpoint,
    lines::{Appended, Lines},
};
use super::{Head, ReadError, Reader, export, postgres, reader::Found, store::Location};
use crate::{metrics::Metrics, misconfigured::Misconfigured};

/// All sinks of a store. Dropping it stops them where they are.
#[derive(Debug)]
pub(super) struct Sinks {
    stop: CancellationToken,
    running: TaskTracker,
    _stop_with_us: DropGuard,
}

/// Why a record was not delivered; it is tried again. Never quotes what an endpoint said.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    #[error(transparent)]
    Unread(#[from] ReadError),
    #[error(transparent)]
    Unwritten(#[from] io::Error),
    #[error("how far it came cannot be kept: {0}")]
    Unmarked(postgres::Failure),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("it cannot be reached: {0}")]
    Away(String),
}

/// A sink's way out.
pub(super) enum Outlet {
    Lines(Lines),
    Endpoint(Box<Endpoint>),
}

/// What a sink's thread works with.
struct Sink {
    name: String,
    outlet: Outlet,
    /// Unknown while the store is away.
    cursor: Option<Cursor>,
    sink: Settings,
    settings: super::Settings,
    base: PathBuf,
    reader: Option<Reader>,
    head: watch::Receiver<Head>,
    metrics: Metrics,
    stop: CancellationToken,
    /// When a failure was last said, until a delivery succeeds.
    said: Option<Instant>,
    _running: TaskTrackerToken,
}

/// Judges the sinks of `settings` and reads what they need, without making a file.
pub(super) fn outlets(settings: &super::Settings, base: &Path) -> Result<Vec<Outlet>, Misconfigured> {
    let mut outlets = Vec::new();
    for (index, sink) in settings.sinks.iter().enumerate() {
        let outlet = outlet(sink, base).map_err(|finding| finding.below(&key(index)))?;
        if settings.sinks.iter().take(index).any(|other| other.name == sink.name) {
            return Err(Misconfigured::new(
                format!("{}.name", key(index)),
                format!("there are two sinks `{}`", sink.name),
            )
            .hint("give each its own name: what was delivered is remembered under it"));
        }
        outlets.push(outlet);
    }
    Ok(outlets)
}

fn outlet(settings: &Settings, base: &Path) -> Result<Outlet, Misconfigured> {
    settings.check()?;
    Ok(match &settings.to {
        Destination::Stdout => Outlet::Lines(Lines::Stdout),
        Destination::File(file) => Outlet::Lines(Lines::File(Appended::new(base.join(file)))),
        Destination::Url(url) => Outlet::Endpoint(Box::new(Endpoint::new(settings, url, base)?)),
    })
}

fn key(index: usize) -> String {
    format!("audit.sink.{index}")
}

impl Sinks {
    /// Starts a thread for each outlet. The store is open already, and `head` says what is in it.
    pub(super) fn start(
        outlets: Vec<Outlet>,
        settings: &super::Settings,
        base: &Path,
        head: &watch::Receiver<Head>,
        metrics: &Metrics,
    ) -> Result<Self, Misconfigured> {
        let stop = CancellationToken::new();
        let sinks = Self {
            _stop_with_us: stop.clone().drop_guard(),
            stop,
            running: TaskTracker::new(),
        };
        for (index, (mut outlet, sink)) in outlets.into_iter().zip(&settings.sinks).enumerate() {
            let wrong = |error: &dyn Error| {
                Misconfigured::new(key(index), format!("the sink `{}` cannot start: {error}", sink.name))
            };
            if let Outlet::Lines(lines) = &mut outlet {
                lines.write("").map_err(|e| wrong(&e))?;
            }
            // Borrowed for no longer than this: the writer waits for it.
            let last = *head.borrow();
            let cursor = place(settings, base, sink, last, false).map_err(|e| wrong(&e))?;
            if let Some(cursor) = &cursor {
                metrics.sink_begins(&sink.name, cursor.at());
            }
            let sink = Sink {
                name: sink.name.clone(),
                outlet,
                cursor,
                sink: sink.clone(),
                settings: settings.clone(),
                base: base.to_owned(),
                reader: None,
                head: head.clone(),
                metrics: metrics.clone(),
                stop: sinks.stop.clone(),
                said: None,
                _running: sinks.running.token(),
            };
            let alone = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| wrong(&e))?;
            let name = format!("sink-{}", sink.name);
            let thread = thread::Builder::new().name(name);
            thread
                .spawn(move || alone.block_on(sink.run()))
                .map_err(|e| wrong(&e))?;
        }
        Ok(sinks)
    }

    /// Lets sinks deliver what is left, for 2 s at the most. Call it when nothing more is written.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.running.close();
        if self.running.is_empty() {
            return;
        }
        // A thread may hang in a full pipe; what it has not written comes after the next start.
        _ = tokio::time::timeout(LAST_WORDS + LAST_SAVE, self.running.wait()).await;
    }
}

/// Where a sink goes on, or begins in a chain that is new to it; `None` while the store is away. `late`: records may have been written since the
/// sink was there.
fn place(
    settings: &super::Settings,
    base: &Path,
    sink: &Settings,
    head: Head,
    late: bool,
) -> Result<Option<Cursor>, Undelivered> {
    let store = settings.location(base).map_err(ReadError::from)?;
    let (chain, head) = (head.chain, head.seq);
    if matches!(store, Location::Postgres(_)) && chain == 0 {
        return Ok(None);
    }
    if let Some(cursor) = Cursor::read(&store, &sink.name, chain)? {
        if cursor.at() <= head {
            return Ok(Some(cursor));
        }
        warn!(sink.name = %sink.name, "audit sink `{}` had record {} already, and the store ends at {head}: it is another store, or an older \
            copy; the sink goes on behind that", sink.name, cursor.at());
        return Cursor::begin(&store, &sink.name, chain, head).map(Some);
    }
    let at = match sink.from {
        From::Now if !late => head,
        _ => {
            let oldest = Reader::open(settings, base)?.following(chain, 0)?;
            oldest.first().map_or(0, |found| number(found) - 1)
        }
    };
    Cursor::begin(&store, &sink.name, chain, at).map(Some)
}

impl Sink {
    async fn run(mut self) {
        let stop = self.stop.clone();
        select! {
            () = self.deliver() => {}
            () = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_WORDS).await;
            } => {}
        }
        if let Err(e) = self.save() {
            warn!(sink.name = %self.name, error = %e, "how far audit sink `{}` came cannot be kept: {e}; some records will come twice", self.name);
        }
        let waiting = self.waiting();
        if waiting > 0 {
            warn!(sink.name = %self.name, waiting, "audit sink `{}` gets its last {waiting} records after the next start", self.name);
        }
    }

    /// Delivers until it is told to stop and nothing is left, or nothing more can be delivered.
    async fn deliver(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            // Asked before the store is: what was written before the end is seen.
            let last = self.stop.is_cancelled();
            match self.round().await {
                Ok(more) => {
                    pause = FIRST_PAUSE;
                    if self.said.take().is_some() {
                        info!(sink.name = %self.name, "audit sink `{}` takes records again", self.name);
                    }
                    if !more && last {
                        return;
                    }
                    if !more {
                        self.rest().await;
                    }
                }
                Err(e) => {
                    self.metrics.sink_failed(&self.name);
                    self.say(&e);
                    if last {
                        return;
                    }
                    select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stop.cancelled() => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Delivers some records, and says whether there may be more.
    async fn round(&mut self) -> Result<bool, Undelivered> {
        self.save_when_due()?;
        let head = *self.head.borrow();
        if self.cursor.is_none() {
            self.cursor = place(&self.settings, &self.base, &self.sink, head, true)?;
            if let Some(cursor) = &self.cursor {
                self.metrics.sink_begins(&self.name, cursor.at());
            }
        }
        let Some(cursor) = &mut self.cursor else {
            return Ok(false);
        };
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::open(&self.settings, &self.base)?,
        };
        let found = reader.following(cursor.chain(), cursor.at())?;
        self.reader = Some(reader);
        let (Some(first), Some(last)) = (found.first().map(number), found.last().map(number)) else {
            if cursor.chain() == head.chain {
                return Ok(false);
            }
            // The writer goes on with another chain, and this one is delivered.
            cursor.save()?;
            self.cursor = None;
            return Ok(true);
        };
        let from = cursor.at() + 1;
        if first > from {
            let (missed, to) = (first - from, first - 1);
            error!(sink.name = %self.name, missed, from, to, "audit sink `{}` missed {missed} records, {from} to {to}: retention took them \
                away before it could deliver them", self.name);
            cursor.advance(to);
            self.metrics.sink_came_to(&self.name, to, "missed");
        }
        match &mut self.outlet {
            Outlet::Lines(lines) => {
                let text: String = found.iter().map(|found| export::cloud_event(found) + "\n").collect();
                lines.write(&text)?;
                cursor.advance(last);
                self.metrics.sink_came_to(&self.name, last, "delivered");
            }
            Outlet::Endpoint(endpoint) => {
                for found in &found {
                    endpoint.post(export::cloud_event(found)).await?;
                    cursor.advance(number(found));
                    self.metrics.sink_came_to(&self.name, number(found), "delivered");
                }
            }
        }
        Ok(true)
    }

    /// Waits for a record, the end, or the time to save.
    async fn rest(&mut self) {
        let due = self.cursor.as_ref().and_then(Cursor::due);
        let save = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        select! {
            changed = self.head.changed() => {
                if changed.is_err() {
                    // The writer has gone, and the end is told as well.
                    self.stop.cancelled().await;
                }
            }
            () = save => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn save_when_due(&mut self) -> Result<(), Undelivered> {
        match self.cursor.as_ref().and_then(Cursor::due) {
            Some(due) if due <= Instant::now() => self.save(),
            _ => Ok(()),
        }
    }

    /// Keeps how far it came, once what was written is on disk itself.
    fn save(&mut self) -> Result<(), Undelivered> {
        let Some(cursor) = self.cursor.as_mut().filter(|cursor| cursor.due().is_some()) else {
            return Ok(());
        };
        if let Outlet::Lines(lines) = &self.outlet {
            lines.sync()?;
        }
        cursor.save()
    }

    /// Says what failed, once a minute.
    fn say(&mut self, failure: &Undelivered) {
        let now = Instant::now();
        if self.said.is_none_or(|said| now.duration_since(said) >= SAY) {
            let waiting = self.waiting();
            warn!(sink.name = %self.name, waiting, error = %failure, "audit sink `{}` takes no records: {failure}; {waiting} wait in the store", self.name);
            self.said = Some(now);
        }
    }

    fn waiting(&self) -> u64 {
        let head = self.head.borrow().seq;
        self.cursor
            .as_ref()
            .map_or(0, |cursor| head.saturating_sub(cursor.at()))
    }
}

impl Undelivered {
    /// A failure of the connection, with what caused it.
    fn away(error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::Away(text)
    }
}

fn number(found: &Found) -> u64 {
    match found {
        Ok(record) => record.seq,
        Err(seq) => *seq,
    }
}

/// How long sinks may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// And how long to bring the last number to the disk.
const LAST_SAVE: Duration = Duration::from_millis(500);

/// Between attempts; doubled after each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a failure is said.
const SAY: Duration = Duration::from_secs(60);
