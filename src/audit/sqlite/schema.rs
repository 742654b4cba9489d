//! The tables, and how an older file comes by them.

use jiff::Timestamp;
use rusqlite::{
    Connection, Statement, ToSql, Transaction, TransactionBehavior,
    types::{ToSqlOutput, ValueRef},
};
use serde_json::{Map, Value};

use super::rollups;
use crate::audit::{
    facets::{self, Term},
    rollups::Rollups,
};

/// `TGAU`: tells an audit store from any other database.
pub(in crate::audit) const APPLICATION: i64 = 0x5447_4155;

/// The schema that this version reads and writes.
pub(in crate::audit) const SCHEMA: i64 = 2;

/// Makes the tables of an empty file.
pub(super) fn create(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(RECORDS)?;
    transaction.execute_batch(DERIVED)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

/// Brings a file of schema 1 up to date, in one transaction: the records stay as they are, byte for byte; what is searched moves beside them.
pub(super) fn upgrade(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("ALTER TABLE record RENAME TO record_1")?;
    transaction.execute_batch(RECORDS)?;
    transaction.execute_batch(
        "INSERT INTO record (seq, id, prev_hash, hash, body) SELECT seq, id, prev_hash, hash, body FROM record_1 ORDER BY seq;
         DROP TABLE record_1;",
    )?;
    transaction.execute_batch(DERIVED)?;
    derive(&transaction)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    // Copies the file, for its free pages to go back to the disk from now on. Without room for the copy they stay with the file.
    if let Err(error) = connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM") {
        tracing::warn!(%error, "the audit store keeps its free pages, since it cannot be copied: {error}");
    }
    Ok(())
}

/// Fills the derived tables from the records' texts. A text that cannot be read is left out; `verify` names it.
fn derive(transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    let mut insert = transaction.prepare(&insert_facets())?;
    let mut sums = Rollups::default();
    let mut select = transaction.prepare("SELECT seq, body FROM record ORDER BY seq")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let Some((members, time_ms)) = row.get_ref(1)?.as_str().ok().and_then(read) else {
            continue;
        };
        put_facets(&mut insert, seq, &facets::of(&members, time_ms))?;
        sums.add(&members, seq, time_ms);
    }
    rollups::write(&sums, transaction)
}

/// The members of a stored text, and the time in it.
pub(super) fn read(body: &str) -> Option<(Map<String, Value>, i64)> {
    let members: Map<String, Value> = serde_json::from_str(body).ok()?;
    let time: Timestamp = members.get("time")?.as_str()?.parse().ok()?;
    Some((members, time.as_millisecond()))
}

/// Puts one record's facets in with [`insert_facets`].
pub(super) fn put_facets(
    insert: &mut Statement<'_>,
    seq: i64,
    values: &[Option<Term<'_>>; facets::COUNT],
) -> Result<(), rusqlite::Error> {
    insert.raw_bind_parameter(1, seq)?;
    for (index, value) in values.iter().enumerate() {
        insert.raw_bind_parameter(index + 2, value)?;
    }
    insert.raw_execute().map(drop)
}

/// The statement for one record's facets: its number, then their values in order.
pub(super) fn insert_facets() -> String {
    let places: Vec<_> = (1..=facets::COUNT + 1).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT INTO facet (seq, {}) VALUES ({})",
        facets::NAMES.join(", "),
        places.join(", ")
    )
}

impl ToSql for Term<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Number(number) => ValueRef::Integer(*number),
        }))
    }
}

// `body` last, so that the rest of a long record is read without its overflow pages.
const RECORDS: &str = "
    CREATE TABLE record (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        prev_hash BLOB NOT NULL,
        hash BLOB NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
";

// Not part of the chain: all of this can be made again from the bodies, and `verify` holds the facets against them.
// Every index ends with the row's number without saying so: an equal value is found newest first, with no sorting.
const DERIVED: &str = "
    CREATE TABLE facet (
        seq INTEGER PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        trigger TEXT,
        decision TEXT,
        decided_by TEXT,
        rule TEXT,
        interceptor TEXT,
        client_id TEXT,
        realm TEXT,
        operation TEXT,
        status INTEGER,
        request_id TEXT,
        user_id TEXT,
        user_email TEXT COLLATE NOCASE,
        email_domain TEXT COLLATE NOCASE
    ) STRICT;
    CREATE INDEX facet_kind ON facet (kind);
    CREATE INDEX facet_trigger ON facet (trigger) WHERE trigger IS NOT NULL;
    CREATE INDEX facet_decision ON facet (decision) WHERE decision IS NOT NULL;
    CREATE INDEX facet_decided_by ON facet (decided_by) WHERE decided_by IS NOT NULL;
    CREATE INDEX facet_rule ON facet (rule) WHERE rule IS NOT NULL;
    CREATE INDEX facet_interceptor ON facet (interceptor) WHERE interceptor IS NOT NULL;
    CREATE INDEX facet_client_id ON facet (client_id) WHERE client_id IS NOT NULL;
    CREATE INDEX facet_realm ON facet (realm) WHERE realm IS NOT NULL;
    CREATE INDEX facet_operation ON facet (operation) WHERE operation IS NOT NULL;
    CREATE INDEX facet_status ON facet (status) WHERE status IS NOT NULL;
    CREATE INDEX facet_request_id ON facet (request_id) WHERE request_id IS NOT NULL;
    CREATE INDEX facet_user_id ON facet (user_id) WHERE user_id IS NOT NULL;
    CREATE INDEX facet_user_email ON facet (user_email) WHERE user_email IS NOT NULL;
    CREATE INDEX facet_email_domain ON facet (email_domain) WHERE email_domain IS NOT NULL;
    CREATE TABLE span (
        minute INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE rollup (
        width INTEGER NOT NULL,
        start INTEGER NOT NULL,
        kind TEXT NOT NULL,
        interceptor TEXT NOT NULL,
        trigger TEXT NOT NULL,
        decision TEXT NOT NULL,
        decided_by TEXT NOT NULL,
        count INTEGER NOT NULL,
        durations BLOB NOT NULL,
        PRIMARY KEY (width, start, kind, interceptor, trigger, decision, decided_by)
    ) STRICT, WITHOUT ROWID;
";
