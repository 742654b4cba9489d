//! Brings the write-ahead log to the file beside the commits. SQLite would do it within one of them, every thousand pages, and whoever waits for
//! that commit, or for the next, would wait for megabytes to reach the disk.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

/// A thread with a connection of its own. Ends when this is dropped, which waits for it.
pub(super) struct Checkpoints {
    wanted: Option<SyncSender<()>>,
    /// Whether it has brought over all but what was written meanwhile.
    caught_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How long a log is, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Log {
    /// All of it.
    pub(super) pages: i64,
    /// How much of it is in the file.
    pub(super) brought: i64,
}

impl Checkpoints {
    /// For the file at `path`, whose log somebody else writes.
    pub(super) fn start(path: &Path) -> Result<Self, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.execute_batch(super::PRAGMAS)?;
        // Has it open the log now: one that is deleted later must not be made anew by it, or the writer would not notice.
        super::identity(&connection)?;
        let (wanted, queue) = sync_channel(1);
        let caught_up = Arc::new(AtomicBool::new(false));
        let says = Arc::clone(&caught_up);
        let thread = thread::Builder::new().name("audit-checkpoint".into());
        // Without it, the writer does what is left to do by itself.
        let thread = thread.spawn(move || work(&connection, &queue, &says)).ok();
        Ok(Self {
            wanted: Some(wanted),
            caught_up,
            thread,
        })
    }

    /// Has the thread begin, unless it is at it.
    pub(super) fn want(&self) {
        if let Some(wanted) = &self.wanted {
            // An error says that it is at it, or that there is none.
            let _ = wanted.try_send(());
        }
    }

    /// Whether little is left to be brought over, so that the log can begin anew; once for each time that it is.
    pub(super) fn take_caught_up(&self) -> bool {
        self.caught_up.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say, and a panic of it is in the log.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkpoints")
    }
}

fn work(connection: &Connection, queue: &Receiver<()>, caught_up: &AtomicBool) {
    while queue.recv().is_ok() {
        let mut before = 0;
        for _ in 0..PASSES {
            // What fails here is brought over by the writer, when the log has grown too long, and its error is seen.
            let Ok(log) = bring(connection) else { break };
            if log.pages - before <= FEW {
                break;
            }
            before = log.pages;
        }
        caught_up.store(true, Ordering::Relaxed);
    }
}

/// Brings over what nobody reads in an older state. Waits for nobody.
pub(super) fn bring(connection: &Connection) -> Result<Log, rusqlite::Error> {
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

/// How long the log is.
pub(super) fn look(connection: &Connection) -> Result<Log, rusqlite::Error> {
    checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")
}

fn checkpoint(connection: &Connection, sql: &str) -> Result<Log, rusqlite::Error> {
    let mut checkpoint = connection.prepare_cached(sql)?;
    checkpoint.query_row([], |row| {
        Ok(Log {
            pages: row.get(1)?,
            brought: row.get(2)?,
        })
    })
}

/// Each pass leaves what was written while it ran.
const PASSES: usize = 5;
const FEW: i64 = 16;

/// From here on a log is brought over by the thread.
pub(super) const LONG: i64 = 1_000;

/// From here on the writer does it by itself: it writes faster than the thread reads.
pub(super) const TOO_LONG: i64 = 8 * LONG;
