//! The SQLite file: opening it and appending to it.

mod retention;
mod rollups;
mod schema;
mod search;
mod statistics;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};
use uuid::{NoContext, Uuid};

use self::rollups::Rollups;
#[cfg(test)]
pub(super) use self::search::seek;
pub(super) use self::{
    retention::newest_anchor,
    schema::{APPLICATION, SCHEMA},
    search::{Stopped, read, time_of, walk},
    statistics::statistics,
};
use super::{Hash, Head, Receipt, facets, record::Draft};
use crate::{clock::Clock, misconfigured::Misconfigured};

/// An open store. It never runs on an async thread: every call waits for the disk.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    head: Head,
    insert_facets: String,
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
    #[error("`{}` has schema {found}; this version knows schema {SCHEMA}", path.display())]
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
}

impl Store {
    /// Opens the file at `path`, which exists, and brings its schema up to date.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let sqlite = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StoreError::Foreign(path.to_owned()),
            _ => StoreError::Sqlite {
                path: path.to_owned(),
                source: Arc::new(source),
            },
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        connection.busy_timeout(BUSY).map_err(sqlite)?;
        let (application, found) = identity(&connection).map_err(sqlite)?;
        if application != APPLICATION {
            let tables: i64 = connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
                .map_err(sqlite)?;
            if application != 0 || found != 0 || tables != 0 {
                return Err(StoreError::Foreign(path.to_owned()));
            }
        }
        if found > SCHEMA {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                found,
            });
        }
        if found == 0 {
            // Before anything is written: afterwards only a copy of the whole file would make its free pages go back to the disk.
            connection
                .pragma_update(None, "auto_vacuum", "INCREMENTAL")
                .map_err(sqlite)?;
        }
        // SQLite keeps another mode, without an error, where the file system cannot share memory; then a reader would block the writer.
        let mode: String = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(sqlite)?;
        if mode != "wal" {
            return Err(StoreError::NoWal(path.to_owned()));
        }
        connection.execute_batch(PRAGMAS).map_err(sqlite)?;
        match found {
            0 => schema::create(&mut connection).map_err(sqlite)?,
            SCHEMA => {}
            _ => schema::upgrade(&mut connection).map_err(sqlite)?,
        }
        let head = head(&connection).map_err(sqlite)?;
        Ok(Self {
            connection,
            head,
            insert_facets: schema::insert_facets(),
        })
    }

    /// The last record.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Brings what is in the write-ahead log to the file, so that the file alone is the store, also while others have it open. Waits for nobody.
    pub(super) fn settle(&self) -> Result<(), rusqlite::Error> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }

    /// Writes the drafts in one transaction. When this returns `Ok`, they are on disk; after an error, open the store anew, since a commit
    /// may have failed half-way and only the file knows.
    pub(super) fn append<'a>(
        &mut self,
        drafts: impl Iterator<Item = &'a Draft>,
        clock: &Clock,
    ) -> Result<Vec<Receipt>, rusqlite::Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut head = self.head;
        let mut receipts = Vec::new();
        let mut rollups = Rollups::default();
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            let mut beside = transaction.prepare_cached(&self.insert_facets)?;
            for draft in drafts {
                let time = clock.now();
                let id = new_id(time);
                let seq = head.seq + 1;
                let body = draft.body(seq, id, time);
                let hash = head.hash.link(&body);
                let row = i64::try_from(seq).unwrap_or(i64::MAX);
                insert.execute(params![row, id.to_string(), head.hash.bytes(), hash.bytes(), body])?;
                let time_ms = time.as_millisecond();
                schema::put_facets(&mut beside, row, &facets::of(draft.members(), time_ms))?;
                rollups.add(draft.members(), row, time_ms);
                head = Head { seq, hash };
                receipts.push(Receipt { seq, id });
            }
        }
        rollups.write(&transaction)?;
        transaction.commit()?;
        self.head = head;
        Ok(receipts)
    }
}

impl StoreError {
    /// The finding for `audit.store`, with what to do about it.
    pub(super) fn misconfigured(&self, path: &Path) -> Misconfigured {
        let hint = match self {
            Self::Locked(_) => "stop the other one first, or give each its own `store`".to_owned(),
            Self::Foreign(_) => "name a file that does not exist yet, and it will be made".to_owned(),
            Self::Newer { .. } => "run the newer version, or name another file".to_owned(),
            Self::Moved(_) => "put the file back".to_owned(),
            Self::NoWal(_) => "keep the store on a local disk".to_owned(),
            Self::File { .. } | Self::Sqlite { .. } => {
                let folder = path.parent().unwrap_or(path);
                format!(
                    "`{}` must be a folder that Tollgate can write to, with room on its disk",
                    folder.display()
                )
            }
        };
        Misconfigured::new("audit.store", self.to_string()).hint(hint)
    }
}

/// The application id and the schema's version of a database.
pub(super) fn identity(connection: &Connection) -> Result<(i64, i64), rusqlite::Error> {
    let application = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let schema = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok((application, schema))
}

fn head(connection: &Connection) -> Result<Head, rusqlite::Error> {
    let last = connection
        .query_row("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()?;
    Ok(last.map_or_else(Head::genesis, |(seq, hash)| Head {
        seq: u64::try_from(seq).unwrap_or(0),
        hash: Hash::from(hash),
    }))
}

fn new_id(time: jiff::Timestamp) -> Uuid {
    let ms = u64::try_from(time.as_millisecond()).unwrap_or(0);
    let nanos = u32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, ms / 1_000, nanos))
}

/// How long a write waits for a lock that another program took.
const BUSY: Duration = Duration::from_secs(5);

// FULL makes every commit wait for the disk. NORMAL would lose the last ones in a power failure.
const PRAGMAS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA trusted_schema = OFF;
";

const INSERT: &str = "INSERT INTO record (seq, id, prev_hash, hash, body) VALUES (?1, ?2, ?3, ?4, ?5)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Entry;

    #[test]
    fn every_commit_waits_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.db");
        crate::audit::files::prepare(&path).unwrap();
        let store = Store::open(&path).unwrap();
        let pragma = |name: &str| {
            let sql = format!("PRAGMA {name}");
            store
                .connection
                .query_row(&sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
                .unwrap()
        };
        assert_eq!(pragma("synchronous"), 2.into());
        assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    }

    #[test]
    fn a_full_disk_is_an_error_and_the_chain_goes_on_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.db");
        crate::audit::files::prepare(&path).unwrap();
        let mut store = Store::open(&path).unwrap();
        let drafts = vec![Draft::of(Entry::of_refusal("rule", "reason")); 20];
        let pages: i64 = store
            .connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        store
            .connection
            .pragma_update(None, "max_page_count", pages + 8)
            .unwrap();
        let mut written = 0;
        let error = loop {
            match store.append(drafts.iter(), &Clock::system()) {
                Ok(receipts) => written += receipts.len() as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DiskFull));
        assert_eq!(store.head().seq, written);
        drop(store);

        let mut store = Store::open(&path).unwrap();
        store.append(drafts.iter(), &Clock::system()).unwrap();
        let report = crate::audit::verify::verify(&store.connection, &crate::audit::Heads::default()).unwrap();
        assert!(report.holds(), "{report}");
        assert_eq!(report.records, written + 20);
    }
}
