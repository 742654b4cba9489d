//! The reading end: it opens the store read-only, while a server writes to it or not.

mod error;
mod file;

use std::{
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::Connection;

pub use self::error::ReadError;
use self::file::{failed, open};
use super::{
    Format, Heads, Place, Query, Record, Report, Settings,
    chain::read_place,
    page::Page,
    postgres,
    query::{Filter, Way, Which},
    render, sqlite,
    statistics::{Range, Statistics, Sum},
    store::Location,
};
use crate::fields::Rules;

/// A store, open for reading only.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    rules: Rules,
}

#[derive(Debug)]
enum Source {
    Sqlite(Connection, PathBuf),
    Postgres(postgres::Readable),
}

/// Why a walk over records ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// No more records match.
    AtTheEnd,
    /// Whoever took the records had enough.
    Enough,
    /// The effort is used up.
    Tired {
        /// From where to go on.
        onward: Place,
        /// The time up to which it looked, where it is known.
        looked_to: Option<Timestamp>,
    },
}

/// A stored record, or the number of one that can no longer be read.
pub(super) type Found = Result<Box<Record>, u64>;

impl Reader {
    /// Opens the store of `settings`; a relative path is looked up below `base`, the folder of `proxy.toml`.
    pub fn open(settings: &Settings, base: &Path) -> Result<Self, ReadError> {
        let rules = settings.rules(base)?;
        let source = match settings.location(base)? {
            Location::Sqlite(path) => Source::Sqlite(open(&path)?, path),
            Location::Postgres(address) => {
                let readable = postgres::Readable::open(&address);
                Source::Postgres(readable.map_err(|source| ReadError::Postgres {
                    at: address.to_string(),
                    source,
                })?)
            }
        };
        Ok(Self { source, rules })
    }

    /// One page of the records that `query` asks for, newest first. It is found in a bounded number of look-ups, whatever is asked and however
    /// many records there are; when they do not suffice, the page says how far it looked, and where to go on.
    pub fn page(&self, query: &Query, now: Timestamp) -> Result<Page, ReadError> {
        self.page_within(query, now, EFFORT)
    }

    pub(super) fn page_within(&self, query: &Query, now: Timestamp, effort: usize) -> Result<Page, ReadError> {
        let way = query.way();
        let hashed = self.hashed(query);
        let mut page = Page::default();
        let mut places = Vec::new();
        let mut more = false;
        let filter = query.filter(now, hashed.as_deref());
        let stopped = self.walk(&filter, way, effort, query.count(), |place, found| {
            if places.len() >= query.count() {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            places.push(place);
            match found {
                Ok(record) => page.records.push(*record),
                Err(seq) => page.unreadable.push(seq),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let onward = match stopped {
            Stopped::Tired { onward, looked_to } => {
                page.looked_to = looked_to;
                Some(onward)
            }
            _ if more => places.last().copied(),
            _ => None,
        };
        match way {
            Way::Back => {
                page.older = onward;
                page.newer = query
                    .before
                    .map(|before| places.first().copied().unwrap_or(before.older()));
            }
            Way::Forth => {
                page.records.reverse();
                page.newer = onward;
                page.older = query
                    .after
                    .map(|after| places.first().copied().unwrap_or(after.newer()));
            }
        }
        Ok(page)
    }

    /// All that was recorded of one request, in the order in which it was.
    pub fn request(&self, request_id: &str) -> Result<Vec<Record>, ReadError> {
        let found = self.read(Which::Request(request_id))?;
        Ok(found.into_iter().flatten().map(|record| *record).collect())
    }

    /// The record with this number or id; `None` when there is none, or when it can no longer be read.
    pub fn record(&self, name: &str) -> Result<Option<Record>, ReadError> {
        let found = match read_place(name) {
            Some((chain, seq)) => self.read(Which::Number(chain, seq)),
            None => self.read(Which::Id(name)),
        };
        Ok(found?.into_iter().flatten().map(|record| *record).next())
    }

    /// What was decided between two times, in steps of whole minutes, hours or days: `step`, or longer where there would be more than 1,440.
    /// Minutes are kept for two days, hours for ninety; before that, a longer step's figures stand in one of its shorter ones.
    pub fn statistics(&self, since: Timestamp, until: Timestamp, step: Duration) -> Result<Statistics, ReadError> {
        let range = Range::of(since, until, step);
        let mut statistics = Statistics::over(range);
        let add = |sum: Sum<'_>| statistics.add(range, &sum);
        match &self.source {
            Source::Sqlite(connection, path) => {
                sqlite::statistics(connection, range, add).map_err(|e| failed(path, e))?;
            }
            Source::Postgres(readable) => readable.statistics(range, add).map_err(|e| away(readable, e))?,
        }
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
        self.each_within(&query, Way::Forth, usize::MAX, now, |_, found| {
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
    ) -> Result<Option<Place>, ReadError> {
        let mut last = query.after;
        let stopped = self.each_within(query, Way::Forth, EFFORT, now, |place, found| {
            last = Some(place);
            Ok(format.write(&found, out)?)
        })?;
        Ok(match stopped {
            Stopped::AtTheEnd => None,
            Stopped::Enough => last,
            Stopped::Tired { onward, .. } => Some(onward),
        })
    }

    /// The records that [`Reader::show`] writes. One that can no longer be read is left out.
    pub fn named(&self, name: &str) -> Result<Vec<Record>, ReadError> {
        let found = self.find(name)?.into_iter();
        Ok(found.filter_map(Result::ok).map(|record| *record).collect())
    }

    /// Checks every record and every chain: one report for each. All of `heads` must still be in the store, or an end was cut off.
    pub fn verify(&self, heads: &Heads) -> Result<Vec<Report>, ReadError> {
        match &self.source {
            Source::Sqlite(connection, path) => {
                let report = sqlite::verify(connection, heads).map_err(|e| failed(path, e))?;
                Ok(vec![report])
            }
            Source::Postgres(readable) => readable.verify(heads).map_err(|e| away(readable, e)),
        }
    }

    /// Some of the records of a chain behind the one with this number, in order.
    pub(super) fn following(&self, chain: u32, seq: u64) -> Result<Vec<Found>, ReadError> {
        self.read(Which::Following(chain, seq))
    }

    fn read(&self, which: Which<'_>) -> Result<Vec<Found>, ReadError> {
        match &self.source {
            Source::Sqlite(connection, path) => sqlite::read(connection, which).map_err(|e| failed(path, e)),
            Source::Postgres(readable) => readable.read(which).map_err(|e| away(readable, e)),
        }
    }

    /// Hands the matching records to `take`, in order, until it has enough or `effort` look-ups are used up. `wanted` is how many it will
    /// take at the most.
    fn walk(
        &self,
        filter: &Filter<'_>,
        way: Way,
        effort: usize,
        wanted: usize,
        mut take: impl FnMut(Place, Found) -> Result<ControlFlow<()>, ReadError>,
    ) -> Result<Stopped, ReadError> {
        match &self.source {
            Source::Sqlite(connection, path) => {
                // One snapshot for all look-ups.
                let snapshot = connection.unchecked_transaction().map_err(|e| failed(path, e))?;
                let take = |place, found| take(place, found).map_err(Ended::Taking);
                sqlite::walk(&snapshot, filter, way, effort, take).map_err(|ended| match ended {
                    Ended::Taking(error) => error,
                    Ended::Reading(error) => failed(path, error),
                })
            }
            Source::Postgres(readable) => {
                let take = |place, found| take(place, found).map_err(postgres::Ended::Taking);
                readable
                    .walk(filter, way, effort, wanted, take)
                    .map_err(|ended| match ended {
                        postgres::Ended::Taking(error) => error,
                        postgres::Ended::Reading(error) => away(readable, error),
                        postgres::Ended::Number => ReadError::Number,
                    })
            }
        }
    }

    fn find(&self, name: &str) -> Result<Vec<Found>, ReadError> {
        // Ids begin with `0` until the year 2527, so a number without one is a place in a chain.
        if !name.starts_with('0')
            && let Some((chain, seq)) = read_place(name)
        {
            let found = self.read(Which::Number(chain, seq))?;
            match found.len() {
                0 => {}
                1 => return Ok(found),
                _ => return Err(ReadError::Number),
            }
        }
        let requests = self.read(Which::Request(name))?;
        if !requests.is_empty() {
            return Ok(requests);
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Err(ReadError::Unknown(name.to_owned()));
        }
        let found = self.read(Which::Prefix(name))?;
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
        mut take: impl FnMut(Found) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let take = |_, found| take(found);
        self.each_within(query, query.way(), usize::MAX, now, take).map(drop)
    }

    fn each_within(
        &self,
        query: &Query,
        way: Way,
        effort: usize,
        now: Timestamp,
        mut take: impl FnMut(Place, Found) -> Result<(), ReadError>,
    ) -> Result<Stopped, ReadError> {
        let mut left = query.count();
        if left == 0 {
            return Ok(Stopped::Enough);
        }
        let hashed = self.hashed(query);
        let filter = query.filter(now, hashed.as_deref());
        self.walk(&filter, way, effort, left, |place, found| {
            take(place, found)?;
            left -= 1;
            Ok(if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })
    }

    fn hashed(&self, query: &Query) -> Option<String> {
        query.user.as_deref().and_then(|user| self.rules.hash(user))
    }
}

fn away(readable: &postgres::Readable, source: postgres::Failure) -> ReadError {
    ReadError::Postgres {
        at: readable.address().to_string(),
        source,
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

/// So many look-ups a page may take.
const EFFORT: usize = 10_000;
