//! The reading end: it opens the store read-only, while a server writes to it or not.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::{
    Format, Head, Heads, Query, Record, Report, Settings, files,
    page::Page,
    query::Way,
    render,
    sqlite::{self, Stopped},
    statistics::{Range, Statistics},
    verify,
};
use crate::{fields::Rules, misconfigured::Misconfigured};

/// A store, open for reading only.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    rules: Rules,
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
    /// The file was written by an older version, and only the writer may bring it up to date.
    #[error("`{}` was written by an older version of Tollgate; `tollgate run` brings it up to date when it starts", .0.display())]
    Older(PathBuf),
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
    /// The heads to hold against the store cannot be used.
    #[error("the signed heads cannot be used: {0}")]
    Heads(io::Error),
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
        let reader = Self {
            connection,
            path,
            rules: settings.rules(base)?,
        };
        let (application, schema) = sqlite::identity(&reader.connection).map_err(|e| reader.failed(e))?;
        if application != sqlite::APPLICATION {
            return Err(ReadError::Foreign(reader.path));
        }
        if schema > sqlite::SCHEMA {
            return Err(ReadError::Newer(reader.path));
        }
        if schema < sqlite::SCHEMA {
            return Err(ReadError::Older(reader.path));
        }
        Ok(reader)
    }

    /// One page of the records that `query` asks for, newest first. It is found in a bounded number of look-ups, whatever is asked and however
    /// many records there are; when they do not suffice, the page says how far it looked, and where to go on.
    pub fn page(&self, query: &Query, now: Timestamp) -> Result<Page, ReadError> {
        self.page_within(query, now, EFFORT)
    }

    pub(super) fn page_within(&self, query: &Query, now: Timestamp, effort: usize) -> Result<Page, ReadError> {
        let snapshot = self.connection.unchecked_transaction().map_err(|e| self.failed(e))?;
        let way = query.way();
        let hashed = self.hashed(query);
        let mut page = Page::default();
        let mut seqs = Vec::new();
        let mut more = false;
        let stopped = sqlite::walk(&snapshot, &query.filter(now, hashed.as_deref()), way, effort, |found| {
            if seqs.len() >= query.count() {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            match found {
                Ok(record) => {
                    seqs.push(record.seq);
                    page.records.push(*record);
                }
                Err(seq) => {
                    seqs.push(seq);
                    page.unreadable.push(seq);
                }
            }
            Ok(ControlFlow::Continue(()))
        })
        .map_err(|e: rusqlite::Error| self.failed(e))?;
        let onward = match (stopped, way) {
            (Stopped::Tired(at), Way::Back) => Some(at.saturating_add(1)),
            (Stopped::Tired(at), Way::Forth) => Some(at.saturating_sub(1)),
            _ if more => seqs.last().copied(),
            _ => None,
        };
        if let Stopped::Tired(at) = stopped {
            page.looked_to = sqlite::time_of(&snapshot, at).map_err(|e| self.failed(e))?;
        }
        match way {
            Way::Back => {
                page.older = onward;
                page.newer = query
                    .before
                    .map(|before| seqs.first().copied().unwrap_or(before.saturating_sub(1)));
            }
            Way::Forth => {
                page.records.reverse();
                page.newer = onward;
                page.older = query
                    .after
                    .map(|after| seqs.first().copied().unwrap_or(after.saturating_add(1)));
            }
        }
        Ok(page)
    }

    /// All that was recorded of one request, in the order in which it was.
    pub fn request(&self, request_id: &str) -> Result<Vec<Record>, ReadError> {
        let found = sqlite::read(&self.connection, OF_REQUEST, &request_id).map_err(|e| self.failed(e))?;
        Ok(found.into_iter().flatten().map(|record| *record).collect())
    }

    /// The record with this number or id; `None` when there is none, or when it can no longer be read.
    pub fn record(&self, name: &str) -> Result<Option<Record>, ReadError> {
        let found = match name.parse::<i64>() {
            Ok(seq) => sqlite::read(&self.connection, "record.seq = ?1", &seq),
            Err(_) => sqlite::read(&self.connection, "record.id = ?1", &name.to_ascii_lowercase()),
        };
        let found = found.map_err(|e| self.failed(e))?;
        Ok(found.into_iter().flatten().map(|record| *record).next())
    }

    /// What was decided between two times, in steps of whole minutes, hours or days: `step`, or longer where there would be more than 1,440.
    /// Minutes are kept for two days, hours for ninety; before that, a longer step's figures stand in one of its shorter ones.
    pub fn statistics(&self, since: Timestamp, until: Timestamp, step: Duration) -> Result<Statistics, ReadError> {
        let range = Range::of(since, until, step);
        let mut statistics = Statistics::over(range);
        sqlite::statistics(&self.connection, range, |sum| statistics.add(range, &sum)).map_err(|e| self.failed(e))?;
        Ok(statistics)
    }

    /// The records that `query` asks for, newest first, however long it takes. One that can no longer be read is left out; the other functions
    /// name it.
    pub fn records(&self, query: &Query, now: Timestamp) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::new();
        self.each(query, now, |found| {
            records.extend(found.ok().map(|record| *record));
            Ok(())
        })?;
        if query.way() == Way::Forth {
            records.reverse();
        }
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

    /// Writes the records that `query` asks for, all of them when it sets no limit, oldest first. Holds one record at a time, however long the
    /// export. Returns how many there were.
    pub fn export(
        &self,
        query: &Query,
        format: Format,
        now: Timestamp,
        out: &mut impl Write,
    ) -> Result<u64, ReadError> {
        let query = Query {
            limit: query.limit.or(Some(u32::MAX)),
            ..query.clone()
        };
        let mut count = 0;
        format.begin(out)?;
        self.each_within(&query, Way::Forth, usize::MAX, now, |found| {
            count += 1;
            Ok(format.write(&found, out)?)
        })?;
        Ok(count)
    }

    /// Writes the next of the records that `query` asks for, oldest first, from behind the number in `after`: at most `limit`, found in a bounded
    /// number of look-ups. Returns behind which number to go on; `None` when nothing is left. Between parts no snapshot of the store is held.
    pub fn export_part(
        &self,
        query: &Query,
        format: Format,
        now: Timestamp,
        out: &mut impl Write,
    ) -> Result<Option<u64>, ReadError> {
        let mut last = query.after;
        let stopped = self.each_within(query, Way::Forth, EFFORT, now, |found| {
            last = Some(found.as_ref().map_or_else(|seq| *seq, |record| record.seq));
            Ok(format.write(&found, out)?)
        })?;
        Ok(match stopped {
            Stopped::AtTheEnd => None,
            Stopped::Enough => last,
            Stopped::Tired(at) => Some(at.saturating_sub(1)),
        })
    }

    /// The records that [`Reader::show`] writes. One that can no longer be read is left out.
    pub fn named(&self, name: &str) -> Result<Vec<Record>, ReadError> {
        let found = self.find(name)?.into_iter();
        Ok(found.filter_map(Result::ok).map(|record| *record).collect())
    }

    /// Checks every record and the chain. `expect` is a head printed earlier: it must still be in the store, or the end was cut off.
    pub fn verify(&self, expect: Option<Head>) -> Result<Report, ReadError> {
        self.verify_with(&expect.map_or_else(Heads::default, Heads::one))
    }

    /// The same with many heads.
    pub fn verify_with(&self, heads: &Heads) -> Result<Report, ReadError> {
        verify::verify(&self.connection, heads).map_err(|e| self.failed(e))
    }

    /// Some of the records behind the one with this number, in order.
    pub(super) fn following(&self, seq: u64) -> Result<Vec<Found>, ReadError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let some = "record.seq > ?1 ORDER BY record.seq LIMIT 64";
        sqlite::read(&self.connection, some, &seq).map_err(|e| self.failed(e))
    }

    fn find(&self, name: &str) -> Result<Vec<Found>, ReadError> {
        let select = |condition: &str, value: &dyn rusqlite::ToSql| {
            sqlite::read(&self.connection, condition, value).map_err(|e| self.failed(e))
        };
        // Ids begin with `0` until the year 2527, so a number without one is a place in the chain.
        if !name.starts_with('0')
            && let Ok(seq) = name.parse::<i64>()
        {
            let found = select("record.seq = ?1", &seq)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let requests = select(OF_REQUEST, &name)?;
        if !requests.is_empty() {
            return Ok(requests);
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Err(ReadError::Unknown(name.to_owned()));
        }
        let found = select(
            "id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 100",
            &name.to_ascii_lowercase(),
        )?;
        match found.len() {
            0 => Err(ReadError::Unknown(name.to_owned())),
            1 => Ok(found),
            count => Err(ReadError::Ambiguous {
                name: name.to_owned(),
                count,
            }),
        }
    }

    fn each(
        &self,
        query: &Query,
        now: Timestamp,
        take: impl FnMut(Found) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.each_within(query, query.way(), usize::MAX, now, take).map(drop)
    }

    fn each_within(
        &self,
        query: &Query,
        way: Way,
        effort: usize,
        now: Timestamp,
        mut take: impl FnMut(Found) -> Result<(), ReadError>,
    ) -> Result<Stopped, ReadError> {
        let mut left = query.count();
        if left == 0 {
            return Ok(Stopped::Enough);
        }
        let hashed = self.hashed(query);
        let filter = query.filter(now, hashed.as_deref());
        let walked = sqlite::walk(&self.connection, &filter, way, effort, |found| {
            take(found).map_err(Ended::Taking)?;
            left -= 1;
            Ok(if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        });
        walked.map_err(|ended| match ended {
            Ended::Taking(error) => error,
            Ended::Reading(error) => self.failed(error),
        })
    }

    fn hashed(&self, query: &Query) -> Option<String> {
        query.user.as_deref().and_then(|user| self.rules.hash(user))
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
    match sqlite::identity(&connection) {
        // A copy on a read-only disk: SQLite cannot make its files beside it, and needs none when nobody writes.
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly)
            ) && !files::beside(path, "-wal").exists() =>
        {
            let name = utf8_percent_encode(&path.to_string_lossy(), NON_ALPHANUMERIC).to_string();
            Connection::open_with_flags(format!("file:{name}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        Err(error) => Err(error),
        Ok(_) => Ok(connection),
    }
}

/// Why a walk over all records broke off.
enum Ended {
    Reading(rusqlite::Error),
    Taking(ReadError),
}

impl From<rusqlite::Error> for Ended {
    fn from(error: rusqlite::Error) -> Self {
        Self::Reading(error)
    }
}

const OF_REQUEST: &str =
    "record.seq IN (SELECT seq FROM facet INDEXED BY facet_request_id WHERE request_id = ?1) ORDER BY record.seq";

/// So many look-ups a page may take.
const EFFORT: usize = 10_000;
