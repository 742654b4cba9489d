use std::{fs, sync::LazyLock};

use proptest::{prelude::*, sample};
use rusqlite::{Connection, params, types::Value as Sql};

use super::*;

const RECORDS: i64 = 24;

/// The columns of a record that [`numbered`] has something in, by table.
const COLUMNS: [(&str, &str); 17] = [
    ("record", "id"),
    ("record", "body"),
    ("record", "prev_hash"),
    ("record", "hash"),
    ("facet", "time_ms"),
    ("facet", "kind"),
    ("facet", "trigger"),
    ("facet", "decision"),
    ("facet", "decided_by"),
    ("facet", "interceptor"),
    ("facet", "client_id"),
    ("facet", "realm"),
    ("facet", "operation"),
    ("facet", "status"),
    ("facet", "request_id"),
    ("facet", "user_id"),
    ("facet", "user_email"),
];

/// A closed store of [`RECORDS`] records and its exported head.
static STORE: LazyLock<(Vec<u8>, Head)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let head = runtime.block_on(async {
        let audit = open(dir.path());
        audit
            .record((1..=RECORDS as usize).map(numbered).collect())
            .await
            .unwrap();
        audit.close().await;
        audit.health().head
    });
    (fs::read(dir.path().join("audit.db")).unwrap(), head)
});

#[derive(Clone, Debug)]
enum Tampering {
    /// One bit of one column of one record.
    Change {
        at: i64,
        column: (&'static str, &'static str),
        place: sample::Index,
    },
    /// A column emptied.
    Empty {
        at: i64,
        column: &'static str,
    },
    /// A record rewritten with a hash that fits its text.
    Rewrite {
        at: i64,
    },
    Remove {
        from: i64,
        count: i64,
    },
    SwapRecords {
        a: i64,
        b: i64,
    },
    SwapTexts {
        a: i64,
        b: i64,
    },
    /// A copy of a record put in behind another, and the rest moved up.
    InsertCopy {
        of: i64,
        after: i64,
    },
    /// A record made up, with text and hashes that fit, put in behind another.
    InsertForged {
        after: i64,
    },
    /// The last ones cut off.
    Truncate {
        keep: i64,
    },
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let at = || 1..=RECORDS;
    let two = || (at(), at()).prop_filter("two records", |(a, b)| a != b);
    prop_oneof![
        4 => (at(), sample::select(&COLUMNS[..]), any::<sample::Index>()).prop_map(|(at, column, place)| Tampering::Change { at, column, place }),
        1 => (at(), sample::select(&["request_id", "client_id", "decision", "user_email"][..])).prop_map(|(at, column)| Tampering::Empty { at, column }),
        1 => at().prop_map(|at| Tampering::Rewrite { at }),
        2 => (1..RECORDS - 3, 1i64..=3).prop_map(|(from, count)| Tampering::Remove { from, count }),
        1 => two().prop_map(|(a, b)| Tampering::SwapRecords { a, b }),
        1 => two().prop_map(|(a, b)| Tampering::SwapTexts { a, b }),
        1 => (at(), 0..RECORDS).prop_map(|(of, after)| Tampering::InsertCopy { of, after }),
        1 => (0..RECORDS).prop_map(|after| Tampering::InsertForged { after }),
        1 => (0..RECORDS).prop_map(|keep| Tampering::Truncate { keep }),
    ]
}

impl Tampering {
    /// Tampers, and says which record must be named.
    fn apply(&self, store: &Connection) -> i64 {
        match self {
            Self::Change { at, column, place } => {
                let (table, column) = column;
                let select = format!("SELECT {column} FROM {table} WHERE seq = ?1");
                let value = match store.query_row(&select, [at], |row| row.get::<_, Sql>(0)).unwrap() {
                    Sql::Text(text) => {
                        let mut bytes = text.into_bytes();
                        let place = place.index(bytes.len());
                        bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
                        Sql::Text(String::from_utf8(bytes).unwrap())
                    }
                    Sql::Blob(mut bytes) => {
                        let place = place.index(bytes.len());
                        bytes[place] ^= 1;
                        Sql::Blob(bytes)
                    }
                    Sql::Integer(number) => Sql::Integer(number + 1),
                    other => panic!("{column} has {other:?}"),
                };
                store
                    .execute(
                        &format!("UPDATE {table} SET {column} = ?1 WHERE seq = ?2"),
                        params![value, at],
                    )
                    .unwrap();
                *at
            }
            Self::Empty { at, column } => {
                store
                    .execute(&format!("UPDATE facet SET {column} = NULL WHERE seq = ?1"), [at])
                    .unwrap();
                *at
            }
            Self::Rewrite { at } => {
                let (body, prev): (String, [u8; 32]) = store
                    .query_row("SELECT body, prev_hash FROM record WHERE seq = ?1", [at], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .unwrap();
                let body = body.replace("paid until May", "paid until June");
                let hash = Hash::from(prev).link(&body);
                store
                    .execute(
                        "UPDATE record SET body = ?1, hash = ?2 WHERE seq = ?3",
                        params![body, hash.bytes(), at],
                    )
                    .unwrap();
                // Behind the last record there is only the exported head to tell.
                (at + 1).min(RECORDS)
            }
            Self::Remove { from, count } => {
                store
                    .execute("DELETE FROM record WHERE seq >= ?1 AND seq < ?1 + ?2", [from, count])
                    .unwrap();
                *from
            }
            Self::SwapRecords { a, b } => {
                for (from, to) in [(*a, -1), (*b, *a), (-1, *b)] {
                    store
                        .execute("UPDATE record SET seq = ?2 WHERE seq = ?1", [from, to])
                        .unwrap();
                }
                *a.min(b)
            }
            Self::SwapTexts { a, b } => {
                let text = |seq: &i64| {
                    store
                        .query_row("SELECT body FROM record WHERE seq = ?1", [seq], |row| {
                            row.get::<_, String>(0)
                        })
                        .unwrap()
                };
                let (text_a, text_b) = (text(a), text(b));
                store
                    .execute("UPDATE record SET body = ?1 WHERE seq = ?2", params![text_b, a])
                    .unwrap();
                store
                    .execute("UPDATE record SET body = ?1 WHERE seq = ?2", params![text_a, b])
                    .unwrap();
                *a.min(b)
            }
            Self::InsertCopy { of, after } => {
                let of = if of > after { of + 1 } else { *of };
                make_room(store, *after);
                store
                    .execute(
                        "INSERT INTO record SELECT ?1, id || 'x', prev_hash, hash, body FROM record WHERE seq = ?2",
                        [after + 1, of],
                    )
                    .unwrap();
                after + 1
            }
            Self::InsertForged { after } => {
                make_room(store, *after);
                let prev = match after {
                    0 => Hash::genesis(),
                    _ => store
                        .query_row("SELECT hash FROM record WHERE seq = ?1", [after], |row| {
                            row.get::<_, [u8; 32]>(0)
                        })
                        .unwrap()
                        .into(),
                };
                let id = uuid::Uuid::from_u128(7);
                let body =
                    record::Draft::of(Entry::new(Kind::Consult)).body((after + 1).cast_unsigned(), id, clock().now());
                store
                    .execute(
                        "INSERT INTO record (seq, id, body, prev_hash, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![after + 1, id.to_string(), body, prev.bytes(), prev.link(&body).bytes()],
                    )
                    .unwrap();
                store
                    .execute(
                        "INSERT INTO facet (seq, time_ms, kind) VALUES (?1, ?2, 'consult')",
                        [after + 1, clock().now().as_millisecond()],
                    )
                    .unwrap();
                // The one behind does not follow it; in the last one's place, it is not what the exported head says.
                if after + 1 == RECORDS { RECORDS } else { after + 2 }
            }
            Self::Truncate { keep } => {
                store.execute("DELETE FROM record WHERE seq > ?1", [keep]).unwrap();
                RECORDS
            }
        }
    }
}

fn make_room(store: &Connection, after: i64) {
    for table in ["record", "facet"] {
        // In two steps, for no number may occur twice in between.
        for shift in [
            format!("UPDATE {table} SET seq = -seq WHERE seq > {after}"),
            format!("UPDATE {table} SET seq = 1 - seq WHERE seq < 0"),
        ] {
            store.execute(&shift, []).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 750, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_tampered_with_is_found_and_the_first_bad_record_named(tampering in tampering()) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("audit.db"), &STORE.0).unwrap();
        let expected = tampering.apply(&raw(dir.path()));
        let report = reader(dir.path()).only_chain(Some(STORE.1)).unwrap();
        let flaw = report.flaw.clone().expect("tampering is found");
        let expected = expected.cast_unsigned();
        prop_assert_eq!(flaw.seq, expected, "{}", report);
        if !matches!(flaw.kind, FlawKind::HeadGone) {
            prop_assert_eq!(report.records, expected - 1, "{}", report);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_of_the_file_is_found_or_changes_nothing_that_is_read(place in any::<sample::Index>(), bit in 0..8u8) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = STORE.0.clone();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        fs::write(dir.path().join("audit.db"), &bytes).unwrap();
        let holds = Reader::open(&settings(), dir.path())
            .and_then(|reader| reader.only_chain(Some(STORE.1)))
            .is_ok_and(|report| report.holds());
        if holds {
            let entries: Vec<_> = all(dir.path()).into_iter().map(|record| record.entry).collect();
            prop_assert_eq!(entries, (1..=RECORDS as usize).map(numbered).collect::<Vec<_>>(), "byte {}", place);
        }
    }
}

#[tokio::test]
async fn an_exported_head_shows_that_the_end_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("audit.db"), &STORE.0).unwrap();
    let head: Head = STORE.1.to_string().parse().unwrap();
    assert!(reader(dir.path()).only_chain(Some(head)).unwrap().holds());

    raw(dir.path())
        .execute("DELETE FROM record WHERE seq > 20", [])
        .unwrap();
    // What is searched still tells.
    let report = reader(dir.path()).only_chain(None).unwrap().to_string();
    assert!(report.contains("records 21 to 24 are missing"), "{report}");
    raw(dir.path()).execute("DELETE FROM facet WHERE seq > 20", []).unwrap();
    assert!(reader(dir.path()).only_chain(None).unwrap().holds());
    let report = reader(dir.path()).only_chain(Some(head)).unwrap();
    assert_eq!(report.flaw.unwrap().kind, FlawKind::HeadGone);

    // Written on, the store is as long as before and still not the same.
    let audit = open(dir.path());
    audit.record((21..=30).map(numbered).collect()).await.unwrap();
    assert_eq!(
        reader(dir.path()).only_chain(Some(head)).unwrap().flaw.unwrap().seq,
        head.seq
    );
    // A head from before the cut is still in there.
    let early = all(dir.path())[9].clone();
    let early = Head {
        chain: 0,
        seq: early.seq,
        hash: early.hash,
    };
    assert!(reader(dir.path()).only_chain(Some(early)).unwrap().holds());
}

#[test]
fn a_report_says_what_is_wrong_and_prints_the_head() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("audit.db"), &STORE.0).unwrap();
    let head = STORE.1;
    let time = "2026-11-23T10:15:00.123Z";
    assert_eq!(
        reader(dir.path()).only_chain(None).unwrap().to_string(),
        format!("the chain holds: 24 records, {time} to {time}\nhead: {head}")
    );
    let records = all(dir.path());
    let store = raw(dir.path());
    store
        .execute("UPDATE facet SET decision = 'deny' WHERE seq = 12", [])
        .unwrap();
    assert_eq!(
        reader(dir.path()).only_chain(None).unwrap().to_string(),
        format!(
            "the chain is BROKEN: record 12 ({}) was changed: its column `decision` differs from its text\n\
             11 records before it hold, {time} to {time}\nhead: 11:{}",
            records[11].id, records[10].hash
        )
    );
    store.execute("DELETE FROM record WHERE seq IN (3, 4)", []).unwrap();
    let report = reader(dir.path()).only_chain(None).unwrap().to_string();
    assert!(
        report.contains("records 3 to 4 are missing\n2 records before it hold"),
        "{report}"
    );
}
