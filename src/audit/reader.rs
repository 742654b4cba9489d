//! The reading end: it opens the store read-only, while a server writes to it or not.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags, Params, Row, params, params_from_iter};

use super::{Head, Query, Record, Report, Settings, render, store, verify};
use crate::misconfigured::Misconfigured;

/// A store, open for reading only.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The setting names no store.
    #[error(transparent)]
    Misconfigured(#[from] Misconfigured),
    /// There is no such file.
    #[error("there is no audit at `{}`: it is made when `tollgate run` first starts", .0.display())]
    Missing(PathBuf),
    /// The file system refused.
    #[error("`{}` cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("`{}` is no audit store", .0.display())]
    Foreign(PathBuf),
    /// The file was written by a newer version.
    #[error("`{}` was written by a newer version of Tollgate", .0.display())]
    Newer(PathBuf),
    /// No record has this id, number or request id.
    #[error("no record has the id, number or request id `{0}`")]
    Unknown(String),
    /// Several records' ids begin so.
    #[error("{count} records' ids begin with `{name}`: write more of it")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// SQLite could not read the file.
    #[error("the audit store `{}` cannot be read: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The output could not be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// A stored record, or the number of one that can no longer be read.
pub(super) type Found = Result<Box<Record>, u64>;

impl Reader {
    /// Opens the store of `settings`; a relative path is looked up below `base`, the folder of `proxy.toml`.
    pub fn open(settings: &Settings, base: &Path) -> Result<Self, ReadError> {
        let path = settings.path(base)?;
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(ReadError::Missing(path)),
            Err(source) => return Err(ReadError::File { path, source }),
        }
        let connection = open(&path).map_err(|source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => ReadError::Foreign(path.clone()),
            _ => ReadError::Sqlite {
                path: path.clone(),
                source,
            },
        })?;
        let reader = Self { connection, path };
        let (application, schema) = store::identity(&reader.connection).map_err(|e| reader.failed(e))?;
        if application != store::APPLICATION {
            return Err(ReadError::Foreign(reader.path));
        }
        if schema > store::SCHEMA {
            return Err(ReadError::Newer(reader.path));
        }
        Ok(reader)
    }

    /// The records that `query` asks for, newest first. One that can no longer be read is left out; the other functions name it.
    pub fn records(&self, query: &Query, now: Timestamp) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::new();
        self.each(query, now, |found| {
            records.extend(found.ok().map(|record| *record));
            Ok(())
        })?;
        Ok(records)
    }

    /// Writes the records that `query` asks for as a table, newest first, safe for a terminal. Returns how many there were.
    pub fn list(&self, query: &Query, now: Timestamp, out: &mut impl Write) -> Result<usize, ReadError> {
        let mut found = Vec::new();
        self.each(query, now, |record| {
            found.push(render::row(&record));
            Ok(())
        })?;
        render::table(&found, out)?;
        Ok(found.len())
    }

    /// Writes the same records as JSON, one a line, with their hashes. Returns how many there were.
    pub fn list_json(&self, query: &Query, now: Timestamp, out: &mut impl Write) -> Result<usize, ReadError> {
        let mut count = 0;
        self.each(query, now, |found| {
            count += 1;
            Ok(writeln!(out, "{}", render::json_line(&found))?)
        })?;
        Ok(count)
    }

    /// Writes one record in sections, safe for a terminal; for a request's id, all its records in the order they were written.
    /// `name` is a record's id, the beginning of one, its number, or a request's id.
    pub fn show(&self, name: &str, out: &mut impl Write) -> Result<(), ReadError> {
        for (index, found) in self.find(name)?.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            render::details(found, out)?;
        }
        Ok(())
    }

    /// Writes the same as pretty JSON: an object, or for a request's id an array.
    pub fn show_json(&self, name: &str, out: &mut impl Write) -> Result<(), ReadError> {
        Ok(render::json_pretty(&self.find(name)?, out)?)
    }

    /// The records that [`Reader::show`] writes. One that can no longer be read is left out.
    pub fn named(&self, name: &str) -> Result<Vec<Record>, ReadError> {
        let found = self.find(name)?.into_iter();
        Ok(found.filter_map(Result::ok).map(|record| *record).collect())
    }

    /// Checks every record and the chain. `expect` is a head printed earlier: it must still be in the store, or the end was cut off.
    pub fn verify(&self, expect: Option<Head>) -> Result<Report, ReadError> {
        verify::verify(&self.connection, expect).map_err(|e| self.failed(e))
    }

    fn find(&self, name: &str) -> Result<Vec<Found>, ReadError> {
        // Ids begin with `0` until the year 2527, so a number without one is a place in the chain.
        if !name.starts_with('0')
            && let Ok(seq) = name.parse::<i64>()
        {
            let found = self.select("seq = ?1", params![seq])?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let requests = self.select("request_id = ?1 ORDER BY seq", params![name])?;
        if !requests.is_empty() {
            return Ok(requests);
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Err(ReadError::Unknown(name.to_owned()));
        }
        let low = name.to_ascii_lowercase();
        let found = self.select("id >= ?1 AND id < ?1 || 'g' ORDER BY seq LIMIT 100", params![low])?;
        match found.len() {
            0 => Err(ReadError::Unknown(name.to_owned())),
            1 => Ok(found),
            count => Err(ReadError::Ambiguous {
                name: name.to_owned(),
                count,
            }),
        }
    }

    fn select(&self, condition: &str, values: impl Params) -> Result<Vec<Found>, ReadError> {
        let sql = format!("SELECT seq, body, prev_hash, hash FROM record WHERE {condition}");
        let mut select = self.connection.prepare(&sql).map_err(|e| self.failed(e))?;
        let rows = select.query_map(values, found).map_err(|e| self.failed(e))?;
        rows.collect::<Result<_, _>>().map_err(|e| self.failed(e))
    }

    fn each(
        &self,
        query: &Query,
        now: Timestamp,
        mut take: impl FnMut(Found) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let (condition, values) = query.sql(now);
        let sql = format!("SELECT seq, body, prev_hash, hash FROM record WHERE {condition}");
        let mut select = self.connection.prepare(&sql).map_err(|e| self.failed(e))?;
        let rows = select
            .query_map(params_from_iter(values), found)
            .map_err(|e| self.failed(e))?;
        for row in rows {
            take(row.map_err(|e| self.failed(e))?)?;
        }
        Ok(())
    }

    fn failed(&self, source: rusqlite::Error) -> ReadError {
        ReadError::Sqlite {
            path: self.path.clone(),
            source,
        }
    }
}

fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    match store::identity(&connection) {
        // A copy on a read-only disk: SQLite cannot make its files beside it, and needs none when nobody writes.
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly)
            ) && !store::beside(path, "-wal").exists() =>
        {
            let name = utf8_percent_encode(&path.to_string_lossy(), NON_ALPHANUMERIC).to_string();
            Connection::open_with_flags(format!("file:{name}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        Err(error) => Err(error),
        Ok(_) => Ok(connection),
    }
}

fn found(row: &Row<'_>) -> Result<Found, rusqlite::Error> {
    let seq = row
        .get_ref(0)?
        .as_i64()
        .ok()
        .and_then(|seq| u64::try_from(seq).ok())
        .unwrap_or(0);
    let record = (|| {
        let body = row.get_ref(1).ok()?.as_str().ok()?;
        let prev_hash = row.get_ref(2).ok()?.as_blob().ok()?;
        let hash = row.get_ref(3).ok()?.as_blob().ok()?;
        Record::read(body, prev_hash, hash)
    })();
    Ok(record.map(Box::new).ok_or(seq))
}
