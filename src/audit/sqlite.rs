//! The SQLite file: opening it and appending to it.

mod retention;
mod rollups;
mod schema;
mod search;
mod statistics;
mod verify;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};
use uuid::Uuid;

#[cfg(test)]
pub(super) use self::search::seek;
pub(super) use self::{
    retention::newest_anchor,
    schema::{APPLICATION, SCHEMA},
    search::{above, read, walk},
    statistics::statistics,
    verify::verify,
};
use super::{Hash, Head, Receipt, StoreError, facets, files, record::Stamped, rollups::Rollups};

/// An open store. It never runs on an async thread: every call waits for the disk.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    connection: Connection,
    head: Head,
    insert_facets: String,
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
            path: path.to_owned(),
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

    /// Commits a page that says what it said before.
    pub(super) fn probe(&mut self) -> Result<(), rusqlite::Error> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
        transaction.commit()
    }

    /// Writes the records in one transaction.
    pub(super) fn append(&mut self, records: &[Stamped]) -> Result<Vec<Receipt>, StoreError> {
        let receipts = self.commit(records).map_err(|e| self.failed(e))?;
        // Closing the store now brings what is in the log to the file; a log that was deleted takes it along.
        let log = files::beside(&self.path, "-wal");
        if !log.exists() {
            return Err(StoreError::Moved(log));
        }
        Ok(receipts)
    }

    fn commit(&mut self, records: &[Stamped]) -> Result<Vec<Receipt>, rusqlite::Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut head = self.head;
        let mut receipts = Vec::new();
        let mut sums = Rollups::default();
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            let mut beside = transaction.prepare_cached(&self.insert_facets)?;
            for Stamped { id, time, draft } in records {
                let seq = head.seq + 1;
                let body = draft.body(seq, *id, *time);
                let after = head.follow(&body);
                let row = i64::try_from(seq).unwrap_or(i64::MAX);
                insert.execute(params![
                    row,
                    id.to_string(),
                    head.hash.bytes(),
                    after.hash.bytes(),
                    body
                ])?;
                let time_ms = time.as_millisecond();
                schema::put_facets(&mut beside, row, &facets::of(draft.members(), time_ms))?;
                sums.add(draft.members(), row, time_ms);
                head = after;
                receipts.push(Receipt { seq, id: *id });
            }
        }
        rollups::write(&sums, &transaction)?;
        transaction.commit()?;
        self.head = head;
        Ok(receipts)
    }

    /// Which of these records are in the file.
    pub(super) fn known(&self, ids: &[Uuid]) -> Result<BTreeSet<Uuid>, rusqlite::Error> {
        let mut select = self.connection.prepare_cached("SELECT 1 FROM record WHERE id = ?1")?;
        let mut known = BTreeSet::new();
        for id in ids {
            if select.exists([id.to_string()])? {
                known.insert(*id);
            }
        }
        Ok(known)
    }

    /// The failure, with the file's name.
    pub(super) fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite {
            path: self.path.clone(),
            source: Arc::new(source),
        }
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
        chain: 0,
        seq: u64::try_from(seq).unwrap_or(0),
        hash: Hash::from(hash),
    }))
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
    use crate::{
        audit::{
            Entry,
            record::{Draft, Stamp},
        },
        clock::Clock,
    };

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
        let mut stamp = Stamp::new(Clock::system());
        let mut records = || {
            let entry = Entry::of_refusal("rule", "reason");
            Vec::from_iter((0..20).map(|_| stamp.on(Draft::of(entry.clone()))))
        };
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
            match store.commit(&records()) {
                Ok(receipts) => written += receipts.len() as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DiskFull));
        assert_eq!(store.head().seq, written);
        drop(store);

        let mut store = Store::open(&path).unwrap();
        store.append(&records()).unwrap();
        let report = verify(&store.connection, &crate::audit::Heads::default()).unwrap();
        assert!(report.holds(), "{report}");
        assert_eq!(report.records, written + 20);
    }
}
