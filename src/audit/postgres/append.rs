//! Writing: one statement for a whole group of records, so one way there and back, and all or nothing.

use std::time::Duration;

use super::{Failure, Parameter, Store, borrowed, clean, number, place, session::DEADLINE};
use crate::audit::{
    Receipt,
    facets::{self, Term},
    record::Stamped,
    rollups::Rollups,
};

impl Store {
    /// Writes the records in one transaction.
    pub(in crate::audit) fn append(&mut self, records: &[Stamped]) -> Result<Vec<Receipt>, Failure> {
        let mut head = self.head;
        let mut receipts = Vec::new();
        let mut rows = Rows::default();
        let mut rollups = Rollups::default();
        for Stamped { id, time, draft } in records {
            let seq = head.seq + 1;
            let body = draft.body(seq, *id, *time);
            let after = head.follow(&body);
            let time_ms = time.as_millisecond();
            rows.seqs.push(place(seq));
            rows.ids.push(*id);
            rows.prev_hashes.push(head.hash.bytes().to_vec());
            rows.hashes.push(after.hash.bytes().to_vec());
            rows.bytes += i64::try_from(body.len()).unwrap_or(i64::MAX) + BESIDE;
            rows.bodies.push(body);
            rows.add_facets(&facets::of(draft.members(), time_ms));
            rollups.add(draft.members(), place(seq), time_ms);
            receipts.push(Receipt { seq, id: *id });
            head = after;
        }
        let sums = self.sums.with(&self.session, head.chain, &rollups)?;
        let before = self.head;
        let mut values: Vec<Parameter> = vec![
            Box::new(number(before.chain)),
            Box::new(place(before.seq)),
            Box::new(before.hash.bytes().to_vec()),
            Box::new(place(head.seq)),
            Box::new(head.hash.bytes().to_vec()),
            Box::new(rows.bytes),
        ];
        values.extend(rows.into_parameters());
        values.extend(sums.parameters());
        let insert = self.insert.clone();
        let moved: i64 = self.session.ask(WRITE, |client| async move {
            let row = client.query_one(&insert, &borrowed(&values)).await?;
            Ok(row.get(0))
        })?;
        if moved != 1 {
            return Err(Failure::Taken);
        }
        self.sums.keep(sums);
        self.head = head;
        Ok(receipts)
    }
}

/// Records, column by column.
#[derive(Default)]
struct Rows {
    bytes: i64,
    seqs: Vec<i64>,
    ids: Vec<uuid::Uuid>,
    prev_hashes: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
    bodies: Vec<String>,
    numbers: [Vec<Option<i64>>; facets::COUNT],
    texts: [Vec<Option<String>>; facets::COUNT],
}

impl Rows {
    fn add_facets(&mut self, values: &[Option<Term<'_>>; facets::COUNT]) {
        for ((value, numbers), texts) in values.iter().zip(&mut self.numbers).zip(&mut self.texts) {
            numbers.push(match value {
                Some(Term::Number(number)) => Some(*number),
                _ => None,
            });
            texts.push(match value {
                Some(Term::Text(text)) => Some(clean(text)),
                _ => None,
            });
        }
    }

    fn into_parameters(self) -> Vec<Parameter> {
        let mut values: Vec<Parameter> = vec![
            Box::new(self.seqs),
            Box::new(self.ids),
            Box::new(self.prev_hashes),
            Box::new(self.hashes),
            Box::new(self.bodies),
        ];
        for ((name, numbers), texts) in facets::NAMES.into_iter().zip(self.numbers).zip(self.texts) {
            values.push(if facets::is_number(name) {
                Box::new(numbers)
            } else {
                Box::new(texts)
            });
        }
        values
    }
}

/// The statement. It writes only while the chain ends where its writer believes, and says whether it did.
pub(super) fn statement() -> String {
    let mut next = 6;
    let mut list = |types: &[&str]| {
        let types = types.iter().map(|kind| {
            next += 1;
            format!("${next}::{kind}[]")
        });
        types.collect::<Vec<_>>().join(", ")
    };
    let mut columns = vec!["bigint", "uuid", "bytea", "bytea", "text"];
    columns.extend(facets::NAMES.map(|name| if facets::is_number(name) { "bigint" } else { "text" }));
    let records = list(&columns);
    let sums = list(&[
        "bigint", "bigint", "text", "text", "text", "text", "text", "bigint", "bytea",
    ]);
    let names = facets::NAMES.join(", ");
    format!(
        "WITH moved AS (
            UPDATE tollgate_audit_chain SET seq = $4::bigint, hash = $5::bytea, bytes = bytes + $6::bigint
            WHERE chain = $1::integer AND seq = $2::bigint AND hash = $3::bytea RETURNING chain
        ), written AS (
            INSERT INTO tollgate_audit_record (chain, seq, id, prev_hash, hash, body, {names})
            SELECT moved.chain, new.* FROM moved, unnest({records}) AS new
        ), summed AS (
            INSERT INTO tollgate_audit_rollup (chain, width, start, kind, interceptor, trigger, decision, decided_by, count, durations)
            SELECT moved.chain, new.* FROM moved, unnest({sums}) AS new
            ON CONFLICT (width, start, chain, kind, interceptor, trigger, decision, decided_by)
            DO UPDATE SET count = excluded.count, durations = excluded.durations
        )
        SELECT count(*) FROM moved"
    )
}

/// How many bytes a record has beside its text: hashes, columns and their indexes, roughly.
pub(super) const BESIDE: i64 = 1_024;

/// How long a write may take before it counts as failed.
const WRITE: Duration = DEADLINE;
