//! Checking all chains.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Failure, Readable, clean, number, place, retention::ANCHOR, session::DEADLINE};
use crate::audit::{
    Heads, Report,
    facets::{self, Term},
    retention::Anchor,
    verify::{self, Walk},
};

impl Readable {
    /// Checks every chain, and says of those that heads name and that are not there that they are gone.
    pub(in crate::audit) fn verify(&self, heads: &Heads) -> Result<Vec<Report>, Failure> {
        // One snapshot: what servers write meanwhile does not matter.
        self.session.ask(DEADLINE, |client| async move {
            client
                .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10min'")
                .await
        })?;
        let there: Vec<i32> = self.session.ask(LONG, |client| async move {
            let rows = client.query(CHAINS, &[]).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        })?;
        let there = there.into_iter().filter_map(|chain| u32::try_from(chain).ok());
        let chains: BTreeSet<u32> = there.chain(heads.chains()).collect();
        let reports = chains.into_iter().map(|chain| self.verify_one(chain, heads)).collect();
        self.session
            .ask(DEADLINE, |client| async move { client.batch_execute("COMMIT").await })?;
        reports
    }

    fn verify_one(&self, chain: u32, heads: &Heads) -> Result<Report, Failure> {
        let of = number(chain);
        let (anchor, kept) = self.session.ask(LONG, move |client| async move {
            let anchor = client.query_opt(ANCHOR, &[&of]).await?;
            let kept = client.query_opt(KEPT, &[&of]).await?;
            let kept = kept.map(|row| (row.get::<_, i64>(0), row.get::<_, Vec<u8>>(1)));
            Ok((anchor.map(|row| row.get::<_, String>(0)), kept))
        })?;
        let anchor = anchor.and_then(|body| Anchor::read(chain, &body));
        let mut walk = Walk::new(chain, heads, anchor);
        let mut after = 0_i64;
        while !walk.is_over() {
            let sql = format!(
                "SELECT seq, id, body, prev_hash, hash, {} FROM tollgate_audit_record WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT {PAGE}",
                facets::NAMES.join(", ")
            );
            let rows = self.session.ask(
                LONG,
                move |client| async move { client.query(&sql, &[&of, &after]).await },
            )?;
            let Some(last) = rows.last() else { break };
            after = last.get(0);
            if !rows.iter().all(|row| walk.take(row)) {
                return Ok(walk.report());
            }
        }
        walk.end();
        match kept {
            None if walk.records() > 0 => walk.damaged("the row of the chain is not there"),
            Some((seq, hash)) => {
                walk.must_reach(u64::try_from(seq).unwrap_or(0));
                let head = walk.head();
                if walk.records() > 0 && (place(head.seq) != seq || hash != head.hash.bytes()) {
                    walk.damaged("the row of the chain names another head");
                }
            }
            None => {}
        }
        Ok(walk.report())
    }
}

impl verify::Row for Row {
    fn seq(&self) -> Option<i64> {
        self.try_get(0).ok()
    }

    fn id(&self) -> Option<Cow<'_, str>> {
        let id: Uuid = self.try_get(1).ok()?;
        Some(Cow::Owned(id.to_string()))
    }

    fn body(&self) -> Option<&str> {
        self.try_get(2).ok()
    }

    fn prev_hash(&self) -> Option<&[u8]> {
        self.try_get(3).ok()
    }

    fn hash(&self) -> Option<&[u8]> {
        self.try_get(4).ok()
    }

    fn has_facet(&self, index: usize, due: Option<Term<'_>>) -> bool {
        let number = facets::NAMES.get(index).is_some_and(|name| facets::is_number(name));
        match (number, due) {
            (true, None) => self
                .try_get::<_, Option<i64>>(FACETS + index)
                .is_ok_and(|stored| stored.is_none()),
            (false, None) => self
                .try_get::<_, Option<&str>>(FACETS + index)
                .is_ok_and(|stored| stored.is_none()),
            (true, Some(Term::Number(due))) => self.try_get(FACETS + index).is_ok_and(|stored: i64| stored == due),
            (false, Some(Term::Text(due))) => self
                .try_get(FACETS + index)
                .is_ok_and(|stored: &str| stored == due || stored == clean(due)),
            _ => false,
        }
    }
}

const CHAINS: &str = "SELECT chain FROM tollgate_audit_chain UNION SELECT DISTINCT chain FROM tollgate_audit_record";

const KEPT: &str = "SELECT seq, hash FROM tollgate_audit_chain WHERE chain = $1";

/// The first column of the facets.
const FACETS: usize = 5;

/// So many records are read at once.
const PAGE: usize = 500;

/// How long reading some of them may take.
const LONG: Duration = Duration::from_secs(600);
