//! Where records are kept: in a file or in a database. What both can do, by one name.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    Head, Receipt,
    files::{self, FileId},
    postgres::{self, Address},
    record::Stamped,
    retention::{Anchor, Limits},
    sqlite,
};
use crate::misconfigured::Misconfigured;

/// Where the store is.
#[derive(Clone, Debug)]
pub(super) enum Location {
    /// This file.
    Sqlite(PathBuf),
    /// A database.
    Postgres(Arc<Address>),
}

/// A place that this process may write to, for as long as it holds the claim.
#[derive(Debug)]
pub(super) struct Claim {
    location: Location,
    /// What this process is called in the database, to find its own sessions again.
    name: String,
    file: Option<(File, FileId)>,
}

/// An open store. It never runs on an async thread: every call waits for the disk or the network.
#[derive(Debug)]
pub(super) enum Store {
    Sqlite(Box<sqlite::Store>),
    Postgres(Box<postgres::Store>),
}

/// Why the store could not be opened or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the lock.
    #[error("another Tollgate writes to `{}`", .0.display())]
    Locked(PathBuf),
    /// The file is a database of another program, or none.
    #[error("`{}` is no audit store", .0.display())]
    Foreign(PathBuf),
    /// The file was written by a newer version.
    #[error("`{}` has schema {found}; this version knows schema {}", path.display(), sqlite::SCHEMA)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// The file system cannot carry a write-ahead log.
    #[error("`{}` is on a file system without shared memory, such as a network share", .0.display())]
    NoWal(PathBuf),
    /// The file that was opened is no longer in its place.
    #[error("`{}` was moved, replaced or deleted while it was in use", .0.display())]
    Moved(PathBuf),
    /// The file system refused.
    #[error("`{}` cannot be used: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// SQLite refused: the disk is full, another program holds a lock, the file is damaged.
    #[error("the audit store `{}` cannot be written: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// The database is away or refused.
    #[error("the audit store `{at}` cannot be written: {source}")]
    Postgres {
        /// The database, without the password.
        at: String,
        /// What it said.
        source: Arc<postgres::Failure>,
    },
    /// There is no store at the moment.
    #[error("the audit store is not open")]
    Closed,
    /// The store is away, and the spool holds as much as it may.
    #[error("the spool `{}` is full, and the store is away", .0.display())]
    SpoolFull(PathBuf),
    /// The spool has been changed or damaged.
    #[error("the spool `{}` is damaged in line {line}", path.display())]
    SpoolDamaged {
        /// The file.
        path: PathBuf,
        /// The first line that does not follow the one before.
        line: usize,
    },
}

impl Claim {
    /// Claims the place: a file's lock; a database is claimed chain by chain.
    pub(super) fn take(location: Location) -> Result<Self, StoreError> {
        let file = match &location {
            Location::Sqlite(path) => {
                let lock = lock(&files::beside(path, ".lock"), path)?;
                files::prepare(path)?;
                Some((lock, identity(path)?))
            }
            Location::Postgres(_) => None,
        };
        Ok(Self {
            location,
            name: format!("tollgate-{}", Uuid::now_v7()),
            file,
        })
    }

    /// Opens the store. One in a database goes on with the chain `before` if nobody else does.
    pub(super) fn open(&self, before: Option<Head>) -> Result<Store, StoreError> {
        match &self.location {
            Location::Sqlite(path) => {
                self.check()?;
                Ok(Store::Sqlite(Box::new(sqlite::Store::open(path)?)))
            }
            Location::Postgres(address) => {
                let store = postgres::Store::open(address, &self.name, before.map(|head| head.chain));
                let store = store.map_err(|failure| failure.at(address))?;
                Ok(Store::Postgres(Box::new(store)))
            }
        }
    }

    /// Whether the file is still the one that was claimed. One that was deleted can still be written to, and everything would be lost
    /// with the last handle on it.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match (&self.location, &self.file) {
            (Location::Sqlite(path), Some((_, file))) if identity(path)? != *file => {
                Err(StoreError::Moved(path.clone()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn location(&self) -> &Location {
        &self.location
    }
}

impl Store {
    /// The last record of the chain that this process writes.
    pub(super) fn head(&self) -> Head {
        match self {
            Self::Sqlite(store) => store.head(),
            Self::Postgres(store) => store.head(),
        }
    }

    /// Writes the records, all or none. When this returns `Ok`, they are on disk; after an error, open the store anew, since a commit may
    /// have failed half-way and only the store knows.
    pub(super) fn append(&mut self, records: &[Stamped]) -> Result<Vec<Receipt>, StoreError> {
        match self {
            Self::Sqlite(store) => store.append(records),
            Self::Postgres(store) => store.append(records).map_err(|failure| failure.at(store.address())),
        }
    }

    /// Writes nothing that is ever read, and has it on the disk: fails where a record could not be written either.
    pub(super) fn probe(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.probe().map_err(|e| store.failed(e)),
            // It is opened by a thread that says when it is there.
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Which of these records are in the store.
    pub(super) fn known(&self, ids: &[Uuid]) -> Result<BTreeSet<Uuid>, StoreError> {
        match self {
            Self::Sqlite(store) => store.known(ids).map_err(|e| store.failed(e)),
            Self::Postgres(store) => store.known(ids).map_err(|failure| failure.at(store.address())),
        }
    }

    /// Brings what is in a write-ahead log to the file, so that the file alone is the store. Waits for nobody.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.settle().map_err(|e| store.failed(e)),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// What has to go now by these limits, if anything: everything up to one record, which the anchor that is to be written names.
    pub(super) fn surplus(&self, limits: Limits, now_ms: i64) -> Result<Option<Anchor>, StoreError> {
        match self {
            Self::Sqlite(store) => store.surplus(limits, now_ms).map_err(|e| store.failed(e)),
            Self::Postgres(store) => store
                .surplus(limits, now_ms)
                .map_err(|failure| failure.at(store.address())),
        }
    }

    /// Up to which number records are to go that are still there, by the newest anchor.
    pub(super) fn unfinished(&self) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Sqlite(store) => store.unfinished().map_err(|e| store.failed(e)),
            Self::Postgres(store) => store.unfinished().map_err(|failure| failure.at(store.address())),
        }
    }

    /// Takes some of the oldest records up to this number away; whether there are more of them.
    pub(super) fn take_away(&mut self, last: u64) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(store) => store.take_away(last).map_err(|e| store.failed(e)),
            Self::Postgres(store) => store.take_away(last).map_err(|failure| failure.at(store.address())),
        }
    }

    /// Gives some of a file's free pages back to the disk, when there are many; whether it did. A database does this by itself.
    pub(super) fn shrink(&self) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(store) => store.shrink().map_err(|e| store.failed(e)),
            Self::Postgres(_) => Ok(false),
        }
    }

    /// Gives up figures by the minute after two days and by the hour after ninety; those by the day stay.
    pub(super) fn thin_figures(&self, now_ms: i64) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.thin_figures(now_ms).map_err(|e| store.failed(e)),
            Self::Postgres(store) => store
                .thin_figures(now_ms)
                .map_err(|failure| failure.at(store.address())),
        }
    }

    /// A chain of the same store from which something has to go and that nobody writes any more, opened for that.
    pub(super) fn orphan(&self, limits: Limits, now_ms: i64) -> Result<Option<Self>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(store) => {
                let orphan = store.orphan(limits, now_ms);
                let orphan = orphan.map_err(|failure| failure.at(store.address()))?;
                Ok(orphan.map(|orphan| Self::Postgres(Box::new(orphan))))
            }
        }
    }
}

impl Location {
    /// The finding for `audit.store`, with what to do about it.
    pub(super) fn misconfigured(&self, error: &StoreError) -> Misconfigured {
        let hint = match error {
            StoreError::Locked(_) => "stop the other one first, or give each its own `store`".to_owned(),
            StoreError::Foreign(_) => "name a file that does not exist yet, and it will be made".to_owned(),
            StoreError::Newer { .. } => "run the newer version, or name another file".to_owned(),
            StoreError::Moved(_) => "put the file back".to_owned(),
            StoreError::NoWal(_) => "keep the store on a local disk".to_owned(),
            StoreError::SpoolFull(_) | StoreError::SpoolDamaged { .. } | StoreError::Closed => {
                "look at the spool and at the store".to_owned()
            }
            StoreError::Postgres { source, .. } => source.hint().to_owned(),
            StoreError::File { path, .. } | StoreError::Sqlite { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                format!(
                    "`{}` must be a folder that Tollgate can write to, with room on its disk",
                    folder.display()
                )
            }
        };
        Misconfigured::new("audit.store", error.to_string()).hint(hint)
    }
}

impl StoreError {
    /// Whether the store may be back later without anybody changing a setting: the network, a full disk.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Postgres { source, .. } => source.passes(),
            Self::Sqlite { .. } | Self::File { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

/// Which file the store is.
fn identity(path: &Path) -> Result<FileId, StoreError> {
    FileId::of(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Moved(path.to_owned()),
        _ => StoreError::File {
            path: path.to_owned(),
            source: Arc::new(error),
        },
    })
}

/// Only one process writes to a file: two would each continue from what they know of it.
pub(super) fn lock(name: &Path, what: &Path) -> Result<File, StoreError> {
    let failed = |source| StoreError::File {
        path: name.to_owned(),
        source: Arc::new(source),
    };
    let file = files::owner_only()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(name)
        .map_err(failed)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(PATIENCE / 20),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(what.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// A process that was killed a moment ago holds its locks for a moment longer.
const PATIENCE: Duration = Duration::from_millis(200);
