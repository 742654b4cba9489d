//! Finding records by their facets. Each condition has an index in which its matches stand by number, so the walk jumps from one condition's
//! next match to the other's until they agree: a condition that seldom holds decides how far it jumps, whichever that is.

use std::{collections::BTreeSet, ops::ControlFlow};

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, ToSql, params};

use crate::audit::{
    Place, Record,
    facets::Term,
    query::{Filter, Way, Which},
    reader::{Found, Stopped},
    rollups::MINUTE,
};

/// Hands the matching records to `take`, in order, until it has enough or `effort` look-ups are used up.
pub(in crate::audit) fn walk<E: From<rusqlite::Error>>(
    connection: &Connection,
    filter: &Filter<'_>,
    way: Way,
    effort: usize,
    mut take: impl FnMut(Place, Found) -> Result<ControlFlow<()>, E>,
) -> Result<Stopped, E> {
    let Some((low, high)) = bounds(connection, filter)? else {
        return Ok(Stopped::AtTheEnd);
    };
    let mut conditions = filter
        .all
        .iter()
        .map(|any| Condition::of(connection, any, way))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(prefix) = filter.prefix {
        conditions.extend(Condition::few(connection, prefix, way)?);
    }
    if conditions.is_empty() {
        let all = way.sql("SELECT seq FROM record WHERE seq >= ?1 ORDER BY seq LIMIT 1");
        conditions.push(Condition::All(connection.prepare_cached(&all)?));
    }
    let mut reading = Reading::of(connection, filter)?;
    let mut at = way.start(low, high);
    let mut used = 0;
    'walk: while (low..=high).contains(&at) {
        if used >= effort {
            let seq = u64::try_from(at).unwrap_or(0);
            let next = Place::Number(seq);
            return Ok(Stopped::Tired {
                onward: match way {
                    Way::Back => next.newer(),
                    Way::Forth => next.older(),
                },
                looked_to: time_of(connection, at)?,
            });
        }
        for condition in &mut conditions {
            used += 1;
            match condition.next(at)? {
                None => break 'walk,
                Some(next) if next != at => {
                    at = next;
                    // The conditions before this one have not agreed to that number yet. With one condition, nobody has to.
                    if conditions.len() > 1 {
                        continue 'walk;
                    }
                    break;
                }
                Some(_) => {}
            }
        }
        if !(low..=high).contains(&at) {
            break;
        }
        used += reading.effort;
        if let Some(record) = reading.read(at)?
            && take(Place::Number(u64::try_from(at).unwrap_or(0)), record)?.is_break()
        {
            return Ok(Stopped::Enough);
        }
        at = way.step(at);
    }
    Ok(Stopped::AtTheEnd)
}

impl Way {
    fn start(self, low: i64, high: i64) -> i64 {
        match self {
            Self::Back => high,
            Self::Forth => low,
        }
    }

    fn step(self, at: i64) -> i64 {
        match self {
            Self::Back => at.saturating_sub(1),
            Self::Forth => at.saturating_add(1),
        }
    }

    /// The same statement for this direction; it is written for going forth.
    fn sql(self, forth: &str) -> String {
        match self {
            Self::Forth => forth.to_owned(),
            Self::Back => forth
                .replace("seq >=", "seq <=")
                .replace("ORDER BY seq", "ORDER BY seq DESC"),
        }
    }
}

/// Which numbers can match.
enum Condition<'c> {
    /// Every record's.
    All(CachedStatement<'c>),
    /// Those where one of these facets has its value.
    Any(Vec<(CachedStatement<'c>, Term<'c>)>, Way),
    /// These.
    Few(BTreeSet<i64>, Way),
}

impl<'c> Condition<'c> {
    fn of(connection: &'c Connection, any: &[(&'static str, Term<'c>)], way: Way) -> Result<Self, rusqlite::Error> {
        let any = any
            .iter()
            .map(|(name, term)| Ok((connection.prepare_cached(&seek(name, way))?, *term)));
        Ok(Self::Any(any.collect::<Result<_, rusqlite::Error>>()?, way))
    }

    /// The numbers of the users that begin so, when they are few enough to be held; otherwise every record is as good as any.
    /// Counted before they are held against the range of numbers, since a limit behind that would not keep the index from being read to its end.
    fn few(connection: &'c Connection, prefix: &str, way: Way) -> Result<Option<Self>, rusqlite::Error> {
        let mut few = BTreeSet::new();
        for name in ["user_id", "user_email"] {
            let sql = format!(
                "SELECT seq FROM facet INDEXED BY facet_{name} WHERE {name} >= ?1 AND {name} < ?2 LIMIT {}",
                MANY + 1
            );
            let mut select = connection.prepare_cached(&sql)?;
            let rows = select.query_map(params![prefix, above(prefix)], |row| row.get(0))?;
            for seq in rows {
                few.insert(seq?);
            }
            if few.len() > MANY {
                return Ok(None);
            }
        }
        Ok(Some(Self::Few(few, way)))
    }

    /// The next match from this number on, itself included.
    fn next(&mut self, at: i64) -> Result<Option<i64>, rusqlite::Error> {
        match self {
            Self::All(select) => select.query_row([at], |row| row.get(0)).optional(),
            Self::Few(few, Way::Back) => Ok(few.range(..=at).next_back().copied()),
            Self::Few(few, Way::Forth) => Ok(few.range(at..).next().copied()),
            Self::Any(any, way) => {
                let mut nearest = None;
                for (select, term) in any {
                    let seq: Option<i64> = select.query_row(params![at, *term], |row| row.get(0)).optional()?;
                    nearest = match (nearest, seq, &way) {
                        (Some(a), Some(b), Way::Back) => Some(b.max(a)),
                        (Some(a), Some(b), Way::Forth) => Some(b.min(a)),
                        (a, b, _) => a.or(b),
                    };
                }
                Ok(nearest)
            }
        }
    }
}

/// Reads records, those only that meet what no index answers.
struct Reading<'c> {
    select: CachedStatement<'c>,
    values: Vec<Box<dyn ToSql>>,
    effort: usize,
}

impl<'c> Reading<'c> {
    fn of(connection: &'c Connection, filter: &Filter<'_>) -> Result<Self, rusqlite::Error> {
        let mut sql = String::from(SELECT);
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut effort = 1;
        if filter.since_ms.is_some() || filter.until_ms.is_some() || filter.prefix.is_some() {
            sql.push_str(" JOIN facet USING (seq)");
            effort += 1;
        }
        sql.push_str(" WHERE record.seq = ?1");
        let mut add = |condition: &str, value: Box<dyn ToSql>| {
            values.push(value);
            sql.push_str(&condition.replace('?', &format!("?{}", values.len() + 1)));
        };
        if let Some(ms) = filter.since_ms {
            add(" AND time_ms >= ?", Box::new(ms));
        }
        if let Some(ms) = filter.until_ms {
            add(" AND time_ms < ?", Box::new(ms));
        }
        if let Some(prefix) = filter.prefix {
            add(" AND ((user_email >= ?", Box::new(prefix.to_owned()));
            add(" AND user_email < ?)", Box::new(above(prefix)));
            add(" OR (user_id >= ?", Box::new(prefix.to_owned()));
            add(" AND user_id < ?))", Box::new(above(prefix)));
        }
        if let Some(pattern) = &filter.text {
            add(" AND body LIKE ? ESCAPE '\\'", Box::new(pattern.clone()));
            effort += TEXT_EFFORT;
        }
        Ok(Self {
            select: connection.prepare_cached(&sql)?,
            values,
            effort,
        })
    }

    fn read(&mut self, seq: i64) -> Result<Option<Found>, rusqlite::Error> {
        self.select.raw_bind_parameter(1, seq)?;
        for (index, value) in self.values.iter().enumerate() {
            self.select.raw_bind_parameter(index + 2, value)?;
        }
        let mut rows = self.select.raw_query();
        rows.next()?.map(found).transpose()
    }
}

/// The statement for the next number, from `?1` on, whose facet `name` is `?2`. It fails where that is no single step in the facet's index.
pub(in crate::audit) fn seek(name: &str, way: Way) -> String {
    way.sql(&format!(
        "SELECT seq FROM facet INDEXED BY facet_{name} WHERE {name} = ?2 AND seq >= ?1 ORDER BY seq LIMIT 1"
    ))
}

/// These records, in their order.
pub(in crate::audit) fn read(connection: &Connection, which: Which<'_>) -> Result<Vec<Found>, rusqlite::Error> {
    let number = |seq| i64::try_from(seq).unwrap_or(i64::MAX);
    let (condition, value): (_, Box<dyn ToSql>) = match which {
        Which::Number(chain, _) | Which::Following(chain, _) if chain > 0 => return Ok(Vec::new()),
        Which::Number(_, seq) => ("record.seq = ?1", Box::new(number(seq))),
        Which::Following(_, seq) => ("record.seq > ?1 ORDER BY record.seq LIMIT 64", Box::new(number(seq))),
        Which::Id(id) => ("record.id = ?1", Box::new(id.to_ascii_lowercase())),
        Which::Prefix(prefix) => (
            "id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 100",
            Box::new(prefix.to_ascii_lowercase()),
        ),
        Which::Request(id) => (
            "record.seq IN (SELECT seq FROM facet INDEXED BY facet_request_id WHERE request_id = ?1) ORDER BY record.seq",
            Box::new(id.to_owned()),
        ),
    };
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE {condition}"))?;
    select.query_map([value], found)?.collect()
}

/// When the record with this number was written, or the next one after it that there is.
fn time_of(connection: &Connection, seq: i64) -> Result<Option<Timestamp>, rusqlite::Error> {
    let ms: Option<i64> = connection
        .prepare_cached("SELECT time_ms FROM facet WHERE seq >= ?1 ORDER BY seq LIMIT 1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    Ok(ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
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
        Record::read(0, body, prev_hash, hash)
    })();
    Ok(record.map(Box::new).ok_or(seq))
}

/// The lowest and highest number to look at; `None` when there is no record in that time.
fn bounds(connection: &Connection, filter: &Filter<'_>) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    let (mut low, mut high) = (i64::MIN, i64::MAX);
    if let Some(place) = filter.after {
        let Some(seq) = number(connection, place)? else {
            return Ok(None);
        };
        low = seq.saturating_add(1);
    }
    if let Some(place) = filter.before {
        let Some(seq) = number(connection, place)? else {
            return Ok(None);
        };
        high = seq.saturating_sub(1);
    }
    let ask = |sql: &str, ms: i64| -> Result<Option<i64>, rusqlite::Error> {
        connection
            .prepare_cached(sql)?
            .query_row([ms.div_euclid(MINUTE)], |row| row.get(0))
    };
    if let Some(ms) = filter.since_ms {
        let Some(first) = ask("SELECT min(first) FROM span WHERE minute >= ?1", ms)? else {
            return Ok(None);
        };
        low = low.max(first);
    }
    if let Some(ms) = filter.until_ms {
        let Some(last) = ask("SELECT max(last) FROM span WHERE minute <= ?1", ms)? else {
            return Ok(None);
        };
        high = high.min(last);
    }
    Ok((low <= high).then_some((low, high)))
}

/// The number of the record in this place; `None` when no record has the id.
fn number(connection: &Connection, place: Place) -> Result<Option<i64>, rusqlite::Error> {
    match place {
        Place::Number(seq) => Ok(Some(i64::try_from(seq).unwrap_or(i64::MAX))),
        Place::Id(id) => connection
            .prepare_cached("SELECT seq FROM record WHERE id = ?1")?
            .query_row([id.to_string()], |row| row.get(0))
            .optional(),
    }
}

/// A text above all that begin with `prefix`.
pub(in crate::audit) fn above(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

const SELECT: &str = "SELECT record.seq, body, prev_hash, hash FROM record";

/// So many numbers are held at the most.
const MANY: usize = 50_000;

/// What it takes to search one record's text, in look-ups.
const TEXT_EFFORT: usize = 2;
