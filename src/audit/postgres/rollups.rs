//! The sums of the chain that this process writes. Nobody else changes them, so they are read once and then known.

use std::collections::BTreeMap;

use super::{
    Failure, Parameter, borrowed, clean, number,
    session::{DEADLINE, Session},
};
use crate::audit::{
    Histogram,
    rollups::{Key, MINUTE, Rollups, Sum, WIDTHS},
};

/// By width and what is summed up, the key's minute being the first of the row.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums(BTreeMap<(i64, Key), Sum>);

impl Sums {
    /// What the rows become with these sums added.
    pub(super) fn with(&self, session: &Session, chain: u32, rollups: &Rollups) -> Result<Self, Failure> {
        let mut rows = Self::default();
        for width in WIDTHS {
            for (key, sum) in &rollups.sums {
                let minute = (key.minute * MINUTE).div_euclid(width) * (width / MINUTE);
                let key = Key { minute, ..key.clone() };
                rows.0.entry((width, key)).or_default().merge(sum);
            }
        }
        let unknown = rows.0.keys().filter(|key| !self.0.contains_key(*key)).cloned();
        let stored = read(session, chain, unknown.collect())?;
        for (key, sum) in &mut rows.0 {
            if let Some(before) = self.0.get(key).or_else(|| stored.0.get(key)) {
                sum.merge(before);
            }
        }
        Ok(rows)
    }

    /// Remembers rows that were written.
    pub(super) fn keep(&mut self, rows: Self) {
        if self.0.len() > MANY {
            self.0.clear();
        }
        self.0.extend(rows.0);
    }

    /// Their columns.
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let mut values = keys(self.0.keys());
        values.push(Box::new(Vec::from_iter(self.0.values().map(|sum| sum.count))));
        values.push(Box::new(Vec::from_iter(
            self.0.values().map(|sum| sum.durations.to_bytes()),
        )));
        values
    }
}

fn keys<'k>(keys: impl Iterator<Item = &'k (i64, Key)> + Clone) -> Vec<Parameter> {
    let text =
        |of: fn(&Key) -> &str| -> Parameter { Box::new(Vec::from_iter(keys.clone().map(|(_, key)| clean(of(key))))) };
    vec![
        Box::new(Vec::from_iter(keys.clone().map(|(width, _)| *width))),
        Box::new(Vec::from_iter(keys.clone().map(|(_, key)| key.minute * MINUTE))),
        text(|key| &key.kind),
        text(|key| &key.interceptor),
        text(|key| &key.trigger),
        text(|key| &key.decision),
        text(|key| &key.decided_by),
    ]
}

fn read(session: &Session, chain: u32, wanted: Vec<(i64, Key)>) -> Result<Sums, Failure> {
    if wanted.is_empty() {
        return Ok(Sums::default());
    }
    let mut values: Vec<Parameter> = vec![Box::new(number(chain))];
    values.extend(keys(wanted.iter()));
    let rows = session.ask(DEADLINE, |client| async move {
        client.query(SELECT, &borrowed(&values)).await
    })?;
    let stored = rows.iter().filter_map(|row| {
        let index = usize::try_from(row.get::<_, i64>(0)).ok()?.checked_sub(1)?;
        let sum = Sum {
            count: row.get(1),
            durations: Histogram::from_bytes(row.get(2)).unwrap_or_default(),
        };
        Some((wanted.get(index)?.clone(), sum))
    });
    Ok(Sums(stored.collect()))
}

const SELECT: &str = "
    SELECT wanted.place, count, durations
    FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) WITH ORDINALITY
        AS wanted (width, start, kind, interceptor, trigger, decision, decided_by, place)
    JOIN tollgate_audit_rollup USING (width, start, kind, interceptor, trigger, decision, decided_by)
    WHERE chain = $1::integer
";

/// So many rows are remembered.
const MANY: usize = 4_096;
