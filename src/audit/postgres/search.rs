//! Finding records by their facets, by time and id over all chains.
//!
//! The condition that seldom holds is followed along its index, a window at a time; the others are held against what stands there. So
//! no question reads more than the windows that it is given, whatever the statistics of the tables say.

use std::ops::ControlFlow;

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Failure, Parameter, Readable, borrowed, clean, number, place, schema::column, session::DEADLINE};
use crate::audit::{
    Place, Record,
    facets::Term,
    query::{Filter, Way, Which},
    reader::{Found, Stopped},
    sqlite::above,
};

/// Why a walk broke off.
pub(in crate::audit) enum Ended<E> {
    Reading(Failure),
    Taking(E),
    /// A number stands for no place among several chains.
    Number,
}

impl<E> From<Failure> for Ended<E> {
    fn from(failure: Failure) -> Self {
        Self::Reading(failure)
    }
}

/// A statement and its values.
#[derive(Default)]
struct Sql {
    text: String,
    values: Vec<Parameter>,
}

impl Readable {
    /// Hands the matching records to `take`, in order, until it has enough or about so many rows were looked at. It takes `wanted` at the most.
    pub(in crate::audit) fn walk<E>(
        &self,
        filter: &Filter<'_>,
        way: Way,
        effort: usize,
        wanted: usize,
        mut take: impl FnMut(Place, Found) -> Result<ControlFlow<()>, Ended<E>>,
    ) -> Result<Stopped, Ended<E>> {
        let (mut low, mut high) = bounds(filter).ok_or(Ended::Number)?;
        let mut window = FIRST_WINDOW;
        let mut used = 0;
        loop {
            let batch = wanted.saturating_add(1).min(BATCH);
            let sql = select(filter, way, (low, high), window, batch);
            let rows = self.session.ask(DEADLINE * 6, |client| async move {
                client.query(&sql.text, &borrowed(&sql.values)).await
            })?;
            let Some(first) = rows.first() else {
                return Ok(Stopped::AtTheEnd);
            };
            let looked = usize::try_from(first.get::<_, i64>(0)).unwrap_or(0);
            let mut edge: Option<Uuid> = first.get(1);
            let mut matches = 0;
            for row in &rows {
                let Some(id) = row.get::<_, Option<Uuid>>(2) else {
                    continue;
                };
                matches += 1;
                if take(Place::Id(id), found(row, 3))?.is_break() {
                    return Ok(Stopped::Enough);
                }
                if matches == batch {
                    edge = Some(id);
                }
            }
            if looked < window && matches < batch {
                return Ok(Stopped::AtTheEnd);
            }
            let Some(edge) = edge else { return Ok(Stopped::AtTheEnd) };
            let onward = Place::Id(edge);
            match (way, onward.older(), onward.newer()) {
                (Way::Back, Place::Id(older), _) => high = older,
                (Way::Forth, _, Place::Id(newer)) => low = newer,
                _ => return Ok(Stopped::AtTheEnd),
            }
            used += looked;
            if used >= effort.saturating_mul(ROWS) {
                let looked_to = time_of(edge);
                return Ok(Stopped::Tired { onward, looked_to });
            }
            window = (window * 4).min(LAST_WINDOW);
        }
    }

    /// These records, in their order.
    pub(in crate::audit) fn read(&self, which: Which<'_>) -> Result<Vec<Found>, Failure> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM tollgate_audit_record AS record WHERE "));
        match which {
            Which::Number(0, seq) => {
                sql.push(
                    "chain IN (SELECT chain FROM tollgate_audit_chain) AND seq = ?",
                    place(seq),
                );
                sql.text.push_str(" ORDER BY chain LIMIT 2");
            }
            Which::Number(chain, seq) => {
                sql.push("chain = ?", number(chain));
                sql.push(" AND seq = ?", place(seq));
            }
            Which::Following(chain, seq) => {
                sql.push("chain = ?", number(chain));
                sql.push(" AND seq > ? ORDER BY seq LIMIT 64", place(seq));
            }
            Which::Id(id) => match id.parse::<Uuid>() {
                Ok(id) => sql.push("id = ?", id),
                Err(_) => return Ok(Vec::new()),
            },
            Which::Prefix(prefix) => match ids_with(prefix) {
                Some((low, high)) => {
                    sql.push("id >= ?", low);
                    sql.push(" AND id <= ? ORDER BY id LIMIT 100", high);
                }
                None => return Ok(Vec::new()),
            },
            Which::Request(id) => sql.push("request_id = ? ORDER BY id", clean(id)),
        }
        let rows = self.session.ask(DEADLINE, |client| async move {
            client.query(&sql.text, &borrowed(&sql.values)).await
        })?;
        Ok(rows.iter().map(|row| found(row, 0)).collect())
    }
}

impl Sql {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds text in which `?` stands for the value.
    fn push(&mut self, text: &str, value: impl Into<Value>) {
        self.values.push(value.into().0);
        self.text
            .push_str(&text.replace('?', &format!("${}", self.values.len())));
    }
}

/// Something that can stand for `?`.
struct Value(Parameter);

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(Box::new(number))
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self(Box::new(number))
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self(Box::new(id))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(Box::new(text))
    }
}

impl From<Term<'_>> for Value {
    fn from(term: Term<'_>) -> Self {
        match term {
            Term::Text(text) => clean(text).into(),
            Term::Number(number) => number.into(),
        }
    }
}

/// One window: how many rows it has, the last one's id, and those that match, each in a row; at least one row.
fn select(filter: &Filter<'_>, way: Way, bounds: (Uuid, Uuid), window: usize, batch: usize) -> Sql {
    let (order, reverse) = match way {
        Way::Back => ("DESC", "ASC"),
        Way::Forth => ("ASC", "DESC"),
    };
    let mut sql = Sql::new("WITH looked AS MATERIALIZED (SELECT id FROM (");
    let arms = arms(filter);
    for (index, arm) in arms.iter().enumerate() {
        if index > 0 {
            sql.text.push_str(" UNION ");
        }
        sql.text.push_str("(SELECT id FROM tollgate_audit_record WHERE ");
        sql.push("id >= ?", bounds.0);
        sql.push(" AND id <= ?", bounds.1);
        match arm {
            Arm::All => {}
            Arm::Equal(name, term) => equal(&mut sql, name, *term),
            Arm::Begins(name, prefix) => {
                let column = column(name);
                sql.push(&format!(" AND {column} >= ?"), folded(name, prefix));
                sql.push(&format!(" AND {column} < ?"), folded(name, &above(prefix)));
            }
        }
        sql.text.push_str(&format!(" ORDER BY id {order} LIMIT {window})"));
    }
    sql.text.push_str(&format!(
        ") AS arms ORDER BY id {order} LIMIT {window})
        SELECT (SELECT count(*) FROM looked), (SELECT id FROM looked ORDER BY id {reverse} LIMIT 1), matching.* FROM (SELECT 1) AS one
        LEFT JOIN (SELECT record.id, {COLUMNS} FROM looked JOIN tollgate_audit_record AS record USING (id) WHERE true"
    ));
    for any in filter.all.iter().skip(usize::from(filter.prefix.is_none())) {
        sql.text.push_str(" AND (false");
        for (name, term) in any {
            let mut one = Sql::default();
            std::mem::swap(&mut one.values, &mut sql.values);
            equal(&mut one, name, *term);
            sql.values = one.values;
            sql.text.push_str(&one.text.replacen(" AND", " OR", 1));
        }
        sql.text.push(')');
    }
    if let Some(pattern) = &filter.text {
        sql.push(" AND body ILIKE ? ESCAPE '\\'", pattern.clone());
    }
    sql.text.push_str(&format!(
        " ORDER BY id {order} LIMIT {batch}) AS matching ON true ORDER BY matching.id {order}"
    ));
    sql
}

fn equal(sql: &mut Sql, name: &str, term: Term<'_>) {
    let condition = format!(" AND {} = ?", column(name));
    match term {
        Term::Text(text) => sql.push(&condition, folded(name, text)),
        number @ Term::Number(_) => sql.push(&condition, number),
    }
}

/// A text as the column has it.
fn folded(name: &str, text: &str) -> String {
    let text = clean(text);
    if column(name) == name {
        text
    } else {
        text.to_ascii_lowercase()
    }
}

/// What is followed along an index; a record may be found by any of them.
enum Arm<'a> {
    All,
    Equal(&'static str, Term<'a>),
    Begins(&'static str, &'a str),
}

fn arms<'a>(filter: &Filter<'a>) -> Vec<Arm<'a>> {
    if let Some(prefix) = filter.prefix {
        return vec![Arm::Begins("user_id", prefix), Arm::Begins("user_email", prefix)];
    }
    match filter.all.first() {
        None => vec![Arm::All],
        Some(any) => any.iter().map(|(name, term)| Arm::Equal(name, *term)).collect(),
    }
}

/// The lowest and highest id to look at; `None` where a number was given for a place.
fn bounds(filter: &Filter<'_>) -> Option<(Uuid, Uuid)> {
    let (mut low, mut high) = (Uuid::nil(), Uuid::max());
    match filter.after.map(Place::newer) {
        None => {}
        Some(Place::Id(id)) => low = low.max(id),
        Some(Place::Number(_)) => return None,
    }
    match filter.before.map(Place::older) {
        None => {}
        Some(Place::Id(id)) => high = high.min(id),
        Some(Place::Number(_)) => return None,
    }
    if let Some(ms) = filter.since_ms {
        low = low.max(first_id_of(ms));
    }
    if let Some(ms) = filter.until_ms {
        let until = first_id_of(ms).as_u128();
        high = high.min(Uuid::from_u128(until.saturating_sub(1)));
    }
    Some((low, high))
}

/// No id of that millisecond or later is lower (RFC 9562 §5.7).
fn first_id_of(ms: i64) -> Uuid {
    let ms = u128::try_from(ms).unwrap_or(0).min((1 << 48) - 1);
    Uuid::from_u128(ms << 80)
}

fn time_of(id: Uuid) -> Option<Timestamp> {
    let ms = i64::try_from(id.as_u128() >> 80).ok()?;
    Timestamp::from_millisecond(ms).ok()
}

/// The lowest and highest id that begin so.
fn ids_with(prefix: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    let filled = |digit: char| {
        let mut id = digits.clone();
        while id.len() < 32 {
            id.push(digit);
        }
        id.parse().ok()
    };
    Some((filled('0')?, filled('f')?))
}

/// The record in these columns.
fn found(row: &Row, first: usize) -> Found {
    let chain = u32::try_from(row.get::<_, i32>(first)).unwrap_or(0);
    let seq = u64::try_from(row.get::<_, i64>(first + 1)).unwrap_or(0);
    let record = Record::read(chain, row.get(first + 2), row.get(first + 3), row.get(first + 4));
    record.map(Box::new).ok_or(seq)
}

const COLUMNS: &str = "record.chain, record.seq, record.body, record.prev_hash, record.hash";

/// How many rows the first window has; each that follows has four times as many.
const FIRST_WINDOW: usize = 256;
const LAST_WINDOW: usize = 16_384;

/// How many records come at once.
const BATCH: usize = 256;

/// A row costs a small part of what a look-up does.
const ROWS: usize = 10;
