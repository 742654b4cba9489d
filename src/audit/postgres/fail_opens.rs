//! How many consultations failed of late, counted by all replicas together: rows of some seconds each, by environment and interceptor.
//!
//! A request waits for this, so nothing here takes long: whoever is not told in time goes by what he knows himself.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};
use tokio_postgres::{Statement, types::ToSql};
use tracing::warn;

use super::{
    Address, Failure, clean,
    session::{DEADLINE, Session},
};

/// The table of them, over a connection of its own that is opened at the first failure. Clones share it.
#[derive(Clone, Debug)]
pub struct FailOpens(Arc<Shared>);

/// What was counted at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consultations {
    /// How long ago that was.
    pub age: Duration,
    /// How many there were.
    pub all: u32,
    /// How many of them failed.
    pub failed: u32,
}

#[derive(Debug)]
struct Shared {
    address: Arc<Address>,
    open: tokio::sync::Mutex<Option<Arc<Open>>>,
    /// Until when it is not tried.
    away: Mutex<Option<Instant>>,
}

/// A connection, ready to count.
#[derive(Debug)]
struct Open {
    session: Session,
    add: Statement,
}

impl FailOpens {
    pub(in crate::audit) fn new(address: &Arc<Address>) -> Self {
        Self(Arc::new(Shared {
            address: Arc::clone(address),
            open: tokio::sync::Mutex::default(),
            away: Mutex::default(),
        }))
    }

    /// Adds what was counted here, and gives the last minute's sums of all replicas: how many consultations there were, and how many of them
    /// failed. `None` within a quarter of a second where the database does not say; then it is not asked again for a second.
    pub async fn add(&self, environment: &str, interceptor: &str, counted: &[Consultations]) -> Option<(u32, u32)> {
        if self.0.is_away() {
            return None;
        }
        let (shared, counted) = (Arc::clone(&self.0), counted.to_vec());
        let (environment, interceptor) = (clean(environment), clean(interceptor));
        // A task, so that a connection that takes longer is there for the next request.
        let added = tokio::spawn(async move { shared.add(&environment, &interceptor, &counted).await });
        let failure = match timeout(PATIENCE, added).await {
            Ok(Ok(Ok(sums))) => return Some(sums),
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(_)) | Err(_) => Failure::Silent(PATIENCE),
        };
        self.0.went_away();
        warn!(
            error = %failure,
            "fail-opens are counted by this process alone for now: `{}` cannot be asked: {failure}",
            self.0.address
        );
        None
    }
}

impl Shared {
    async fn add(
        &self,
        environment: &str,
        interceptor: &str,
        counted: &[Consultations],
    ) -> Result<(u32, u32), Failure> {
        let open = self.opened().await?;
        let ages: Vec<f64> = counted.iter().map(|counted| counted.age.as_secs_f64()).collect();
        let all: Vec<i64> = counted.iter().map(|counted| i64::from(counted.all)).collect();
        let failed: Vec<i64> = counted.iter().map(|counted| i64::from(counted.failed)).collect();
        let values: [&(dyn ToSql + Sync); 5] = [&environment, &interceptor, &ages, &all, &failed];
        let answered = match timeout(DEADLINE, open.session.client().query_one(&open.add, &values)).await {
            Ok(answered) => answered.map_err(Failure::from),
            Err(_) => Err(Failure::Silent(DEADLINE)),
        };
        match answered {
            Ok(row) => Ok((counted_in(row.get(0)), counted_in(row.get(1)))),
            Err(failure) => {
                self.close(&open).await;
                Err(failure)
            }
        }
    }

    /// The connection; a new one where there is none that works.
    async fn opened(&self) -> Result<Arc<Open>, Failure> {
        let mut place = self.open.lock().await;
        if let Some(open) = place.as_ref() {
            return Ok(Arc::clone(open));
        }
        let session = Session::connect(&self.address, "tollgate-fail-opens", true).await?;
        session.client().batch_execute(SETUP).await?;
        let add = session.client().prepare(ADD).await?;
        let open = Arc::new(Open { session, add });
        *place = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Lets this connection go, unless another took its place.
    async fn close(&self, broken: &Arc<Open>) {
        let mut place = self.open.lock().await;
        if place.as_ref().is_some_and(|open| Arc::ptr_eq(open, broken)) {
            *place = None;
        }
    }

    fn is_away(&self) -> bool {
        let away = *self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|until| Instant::now() < until)
    }

    fn went_away(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }
}

fn counted_in(sum: i64) -> u32 {
    u32::try_from(sum).unwrap_or(u32::MAX)
}

/// How long a request waits for what the others counted.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long nobody asks after that was in vain.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) const THERE: &str = "SELECT to_regclass('tollgate_fail_open') IS NOT NULL";

pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS tollgate_fail_open (
        environment text NOT NULL,
        interceptor text NOT NULL,
        slot bigint NOT NULL,
        consulted bigint NOT NULL,
        failed bigint NOT NULL,
        PRIMARY KEY (environment, interceptor, slot)
    );
";

// A minute's counts need not outlive a crash of the database, so nobody waits for its disk.
const SETUP: &str = "SET synchronous_commit = off; SET statement_timeout = '1s'; SET lock_timeout = '1s'";

// By the database's clock, so that those of the replicas do not matter. The rows are locked in their order, and what another one takes away is left to
// it, so that no two of these statements wait for each other. Rows that were written a moment ago are seen as they are now, not as they were when the
// statement began: the sums of two that count at once differ.
const ADD: &str = "
    WITH moment AS (
        SELECT extract(epoch FROM statement_timestamp())::float8 AS seconds
    ), told AS (
        SELECT floor((seconds - age) / 3)::bigint AS slot, sum(consulted)::bigint AS consulted, sum(failed)::bigint AS failed
        FROM unnest($3::float8[], $4::bigint[], $5::bigint[]) AS told (age, consulted, failed), moment
        GROUP BY 1
    ), kept AS (
        INSERT INTO tollgate_fail_open AS known (environment, interceptor, slot, consulted, failed)
        SELECT $1, $2, slot, consulted, failed FROM told ORDER BY slot
        ON CONFLICT (environment, interceptor, slot) DO UPDATE
            SET consulted = known.consulted + excluded.consulted, failed = known.failed + excluded.failed
        RETURNING slot, consulted, failed
    ), gone AS (
        DELETE FROM tollgate_fail_open WHERE ctid = ANY (ARRAY(
            SELECT old.ctid FROM tollgate_fail_open AS old, moment
            WHERE old.slot < floor((seconds - 120) / 3) LIMIT 1000 FOR UPDATE OF old SKIP LOCKED
        ))
    )
    SELECT coalesce(sum(consulted), 0)::bigint, coalesce(sum(failed), 0)::bigint FROM (
        SELECT consulted, failed FROM kept
        UNION ALL
        SELECT consulted, failed FROM tollgate_fail_open AS known, moment
        WHERE environment = $1 AND interceptor = $2 AND slot > floor((seconds - 60) / 3)
            AND NOT EXISTS (SELECT FROM kept WHERE kept.slot = known.slot)
    ) AS minute
";
