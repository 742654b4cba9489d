//! The database for several replicas: each has a chain of its own in it.
//!
//! A chain belongs to the session that holds the lock on it. A commit moves the chain's row from the head that its writer knows to the new one,
//! so a writer that lost its lock without noticing writes nothing.

mod address;
mod append;
mod marks;
mod retention;
mod rollups;
mod schema;
mod search;
mod session;
mod statistics;
mod verify;

use std::{collections::BTreeSet, sync::Arc, thread, time::Duration};

use tokio_postgres::{Client, Statement, types::ToSql};
use uuid::Uuid;

pub use self::session::Failure;
pub(super) use self::{address::Address, marks::Marks, search::Ended};
use self::{
    rollups::Sums,
    schema::SCHEMA,
    session::{DEADLINE, Session},
};
use super::{Hash, Head};

/// An open store and the chain in it that this process writes.
#[derive(Debug)]
pub(super) struct Store {
    session: Session,
    address: Arc<Address>,
    name: String,
    head: Head,
    insert: Statement,
    sums: Sums,
}

/// A store, open for reading.
#[derive(Debug)]
pub(super) struct Readable {
    session: Session,
    address: Arc<Address>,
}

/// A value for a statement.
type Parameter = Box<dyn ToSql + Sync + Send>;

impl Store {
    /// Connects, makes the tables where there are none, and goes on with the chain `before`, another one that nobody writes, or a new one.
    /// `name` is this process's.
    pub(super) fn open(address: &Arc<Address>, name: &str, before: Option<u32>) -> Result<Self, Failure> {
        let session = Session::open(address, name, true)?;
        schema::migrate(&session)?;
        let chain = claim(&session, name, before)?;
        Self::of(session, address, name, chain)
    }

    /// Opens this chain if nobody writes it.
    fn adopt(address: &Arc<Address>, name: &str, chain: u32) -> Result<Option<Self>, Failure> {
        let session = Session::open(address, name, true)?;
        let locked = session.ask(DEADLINE, move |client| async move { lock(&client, chain).await })?;
        if !locked {
            return Ok(None);
        }
        Self::of(session, address, name, chain).map(Some)
    }

    fn of(session: Session, address: &Arc<Address>, name: &str, chain: u32) -> Result<Self, Failure> {
        let (head, insert) = session.ask(DEADLINE, move |client| async move {
            // Read under the lock: whoever had it before may have written until then.
            let row = client
                .query_one(
                    "SELECT seq, hash FROM tollgate_audit_chain WHERE chain = $1",
                    &[&number(chain)],
                )
                .await?;
            let head = (row.get::<_, i64>(0), row.get::<_, Vec<u8>>(1));
            Ok((head, client.prepare(&append::statement()).await?))
        })?;
        let hash = Hash::from_bytes(&head.1).unwrap_or(Hash::genesis_of(chain));
        Ok(Self {
            session,
            address: Arc::clone(address),
            name: name.to_owned(),
            head: Head {
                chain,
                seq: u64::try_from(head.0).unwrap_or(0),
                hash,
            },
            insert,
            sums: Sums::default(),
        })
    }

    /// Asks whether the tables are there, or could be made, and changes nothing.
    pub(super) fn probe(address: &Address) -> Result<(), Failure> {
        let session = Session::open(address, "tollgate-check", true)?;
        match schema::check(&session) {
            Err(Failure::Missing) => session.ask(DEADLINE, |client| async move {
                // Refused like the statement that makes them would be.
                client
                    .batch_execute("BEGIN; CREATE TABLE tollgate_audit_probe (); ROLLBACK")
                    .await
            }),
            other => other,
        }
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Which of these records are in the store, whatever chain they are in.
    pub(super) fn known(&self, ids: &[Uuid]) -> Result<BTreeSet<Uuid>, Failure> {
        let ids = ids.to_vec();
        self.session.ask(DEADLINE, |client| async move {
            let rows = client
                .query("SELECT id FROM tollgate_audit_record WHERE id = ANY($1)", &[&ids])
                .await?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        })
    }
}

impl Readable {
    /// Connects, and makes sure that the tables are ours.
    pub(super) fn open(address: &Arc<Address>) -> Result<Self, Failure> {
        let session = Session::open(address, "tollgate-reader", false)?;
        schema::check(&session)?;
        session.ask(DEADLINE, |client| async move { client.batch_execute(READING).await })?;
        Ok(Self {
            session,
            address: Arc::clone(address),
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }
}

/// Takes the lock on a chain, making one when all are taken.
fn claim(session: &Session, name: &str, before: Option<u32>) -> Result<u32, Failure> {
    let name = name.to_owned();
    let ended = session.ask(DEADLINE, |client| async move {
        // A session of ours that the server has not missed yet still holds the lock, and may be about to write.
        let ended = client.execute(END_OWN, &[&name]).await?;
        Ok(ended)
    })?;
    // The session of a process that was killed a moment ago holds its lock for a moment longer.
    let attempts = if ended > 0 { 100 } else { 15 };
    let before = before.map(number);
    for _ in 0..attempts {
        let free = session.ask(DEADLINE, move |client| async move {
            client.query_opt(FREE, &[&before]).await
        })?;
        if let Some(row) = free {
            return Ok(u32::try_from(row.get::<_, i32>(0)).unwrap_or(0));
        }
        let any = session.ask(DEADLINE, |client| async move {
            let row = client
                .query_one("SELECT EXISTS (SELECT FROM tollgate_audit_chain)", &[])
                .await?;
            Ok(row.get::<_, bool>(0))
        })?;
        if !any {
            break;
        }
        thread::sleep(PAUSE);
    }
    session.ask(DEADLINE, |client| async move {
        let row = client.query_one(NEXT, &[]).await?;
        let chain = row.get::<_, i32>(0);
        let hash = Hash::genesis_of(u32::try_from(chain).unwrap_or(0));
        client.query_one(LOCK, &[&chain]).await?;
        client
            .execute(
                "INSERT INTO tollgate_audit_chain (chain, hash) VALUES ($1, $2)",
                &[&chain, &&hash.bytes()[..]],
            )
            .await?;
        Ok(u32::try_from(chain).unwrap_or(0))
    })
}

async fn lock(client: &Client, chain: u32) -> Result<bool, tokio_postgres::Error> {
    Ok(client.query_one(LOCK, &[&number(chain)]).await?.get(0))
}

/// A chain's number as the database has it.
fn number(chain: u32) -> i32 {
    i32::try_from(chain).unwrap_or(i32::MAX)
}

/// A record's number as the database has it.
fn place(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// Parameters as the library takes them.
fn borrowed(values: &[Parameter]) -> Vec<&(dyn ToSql + Sync)> {
    values
        .iter()
        .map(|value| value.as_ref() as &(dyn ToSql + Sync))
        .collect()
}

/// Text without the one character that the database cannot hold.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Between looks for a chain that nobody writes.
const PAUSE: Duration = Duration::from_millis(20);

const END_OWN: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()";

// The fence keeps the condition, which takes a lock, behind the order: it is tried until one is taken, and no further.
const FREE: &str = "
    SELECT chain FROM (
        SELECT chain FROM tollgate_audit_chain ORDER BY chain IS DISTINCT FROM $1::integer, chain OFFSET 0
    ) AS chains
    WHERE pg_try_advisory_lock('tollgate_audit_chain'::regclass::oid::integer, chain) LIMIT 1
";

const NEXT: &str = "SELECT nextval(pg_get_serial_sequence('tollgate_audit_chain', 'chain'))::integer";

// The table's number keeps the locks of several installations in one database apart.
const LOCK: &str = "SELECT pg_try_advisory_lock('tollgate_audit_chain'::regclass::oid::integer, $1::integer)";

const READING: &str = "SET default_transaction_read_only = on; SET statement_timeout = '30s'";
