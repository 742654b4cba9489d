//! What the store alone cannot show, and signed heads that are kept elsewhere do: a cut, a new end, a past written anew, a removal that was none.

use std::{fs, sync::LazyLock, time::Duration};

use proptest::{prelude::*, sample};
use rusqlite::{Connection, params};

use super::*;
use crate::audit::retention::Anchor;

/// A closed store from which retention took 10 records, its heads, and the key that they verify with.
struct Sample {
    store: Vec<u8>,
    heads: String,
    key: Vec<u8>,
    first: i64,
    anchor: i64,
    last: i64,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        retention: "1h".parse().unwrap(),
        heads: Some(HeadsSettings {
            file: Some("heads.ndjson".into()),
            records: 4,
            key: "heads.key".into(),
            ..HeadsSettings::default()
        }),
        ..Settings::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let clock = clock();
        let audit = Audit::open(&settings, dir.path(), clock.clone()).unwrap();
        for number in 1..=20 {
            if number == 11 {
                clock.set(clock.now() + Duration::from_secs(2 * 3_600));
            }
            audit.record(vec![numbered(number)]).await.unwrap();
        }
        audit.tidy().await;
        for number in 21..=26 {
            audit.record(vec![numbered(number)]).await.unwrap();
        }
        audit.close().await;
    });
    let records = all(dir.path());
    let anchor = records.iter().find(|record| record.entry.kind == Kind::Anchor).unwrap();
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    Sample {
        store: read("audit.db"),
        heads: String::from_utf8(read("heads.ndjson")).unwrap(),
        key: read("heads.key.pub"),
        first: records[0].seq.cast_signed(),
        anchor: anchor.seq.cast_signed(),
        last: records[records.len() - 1].seq.cast_signed(),
    }
});

/// Places are counted from the end of what can be tampered with so.
#[derive(Clone, Debug)]
enum Tampering {
    /// The last records cut off, and nothing left of them.
    Truncate(sample::Index),
    /// The same, and others written in their place, in a chain that fits.
    NewEnd(sample::Index),
    /// From one record on, all texts are others, with hashes that fit.
    Rewritten(sample::Index),
    /// Records taken away behind a made-up anchor, in a chain that fits.
    ForgedAnchor(sample::Index),
    /// The oldest records that are left taken away without one.
    MoreGone(sample::Index),
    /// What the anchor says of its removal, changed, and everything behind it made to fit.
    AnchorMoved,
    /// The anchor taken out, and everything behind it made to fit.
    AnchorGone,
    /// A bit of the heads' file.
    HeadBit(sample::Index, u8),
    /// A line of it with another head, unsigned, put in.
    HeadInserted(sample::Index),
    /// Two hashes exchanged between its lines.
    HeadsSwapped(sample::Index),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let place = || any::<sample::Index>();
    prop_oneof![
        2 => place().prop_map(Tampering::Truncate),
        1 => place().prop_map(Tampering::NewEnd),
        2 => place().prop_map(Tampering::Rewritten),
        2 => place().prop_map(Tampering::ForgedAnchor),
        1 => place().prop_map(Tampering::MoreGone),
        1 => Just(Tampering::AnchorMoved),
        1 => Just(Tampering::AnchorGone),
        2 => (place(), 0..8_u8).prop_map(|(place, bit)| Tampering::HeadBit(place, bit)),
        1 => place().prop_map(Tampering::HeadInserted),
        1 => place().prop_map(Tampering::HeadsSwapped),
    ]
}

/// Whether the chain fits again behind it, so that heads alone can tell.
fn apply(tampering: &Tampering, dir: &Path) -> bool {
    let &Sample {
        first, anchor, last, ..
    } = &*SAMPLE;
    let store = raw(dir);
    let place = |index: &sample::Index, from: i64, to: i64| from + index.index((to - from + 1) as usize) as i64;
    let heads = || SAMPLE.heads.clone().into_bytes();
    let line = |index: &sample::Index| index.index(SAMPLE.heads.lines().count());
    match tampering {
        Tampering::Truncate(at) => {
            let at = place(at, anchor + 1, last);
            remove(&store, at, last);
        }
        Tampering::NewEnd(at) => {
            let at = place(at, anchor + 1, last);
            remove(&store, at, last);
            drop(store);
            go_on(dir, (at..last + 5).map(|n| numbered(n as usize + 100)).collect());
        }
        Tampering::Rewritten(at) => chain(&store, place(at, first, last), |body| {
            body.replace("paid until May", "paid until June")
        }),
        Tampering::ForgedAnchor(at) => {
            let at = place(at, first, last - 1);
            let hash: [u8; 32] = store
                .query_row("SELECT hash FROM record WHERE seq = ?1", [at], |row| row.get(0))
                .unwrap();
            let forged = Anchor {
                first: first.cast_unsigned(),
                last: Head {
                    chain: 0,
                    seq: at.cast_unsigned(),
                    hash: hash.into(),
                },
                since_ms: 0,
                until_ms: 0,
            };
            drop(store);
            go_on(dir, vec![forged.entry()]);
            remove(&raw(dir), first, at);
        }
        Tampering::MoreGone(count) => {
            remove(&store, first, place(count, first, anchor - 1));
            return false;
        }
        Tampering::AnchorMoved => chain(&store, anchor, |body| body.replace("\"count\":10", "\"count\":9")),
        Tampering::AnchorGone => {
            remove(&store, anchor, anchor);
            return false;
        }
        Tampering::HeadBit(at, bit) => {
            let mut heads = heads();
            // Without its last line break, the last line counts as one that a crash cut short.
            let at = at.index(heads.len() - 1);
            heads[at] ^= 1 << bit;
            fs::write(dir.join("heads.ndjson"), heads).unwrap();
        }
        Tampering::HeadInserted(at) => {
            let mut lines: Vec<_> = SAMPLE.heads.lines().map(str::to_owned).collect();
            let line = line(at);
            let forged = lines[line].replacen("\"head\":\"", "\"head\":\"1", 1);
            lines.insert(line, forged);
            fs::write(dir.join("heads.ndjson"), lines.join("\n") + "\n").unwrap();
        }
        Tampering::HeadsSwapped(at) => {
            let mut lines: Vec<_> = SAMPLE.heads.lines().map(str::to_owned).collect();
            let hash = |line: &str| line.split(['"', ':']).nth(5).unwrap().to_owned();
            let (a, b) = (line(at), (line(at) + 1) % lines.len());
            let (of_a, of_b) = (hash(&lines[a]), hash(&lines[b]));
            lines[a] = lines[a].replace(&of_a, &of_b);
            lines[b] = lines[b].replace(&of_b, &of_a);
            fs::write(dir.join("heads.ndjson"), lines.join("\n") + "\n").unwrap();
        }
    }
    true
}

fn remove(store: &Connection, from: i64, to: i64) {
    for table in ["record", "facet"] {
        let delete = format!("DELETE FROM {table} WHERE seq BETWEEN ?1 AND ?2");
        store.execute(&delete, [from, to]).unwrap();
    }
}

/// Changes the texts from one record on, with hashes that fit.
fn chain(store: &Connection, from: i64, change: impl Fn(&str) -> String) {
    let select = "SELECT seq, body, prev_hash FROM record WHERE seq >= ?1 ORDER BY seq";
    let mut select = store.prepare(select).unwrap();
    let rows = select.query_map([from], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, [u8; 32]>(2)?,
        ))
    });
    let rows: Vec<_> = rows.unwrap().collect::<Result<_, _>>().unwrap();
    let mut hash = Hash::from(rows[0].2);
    for (seq, body, _) in rows {
        let body = change(&body);
        let own = hash.link(&body);
        let update = "UPDATE record SET body = ?1, prev_hash = ?2, hash = ?3 WHERE seq = ?4";
        store
            .execute(update, params![body, hash.bytes(), own.bytes(), seq])
            .unwrap();
        hash = own;
    }
}

/// Somebody who can write to the store lets Tollgate write on, without the heads' key.
fn go_on(dir: &Path, entries: Vec<Entry>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let settings = Settings {
            retention: "forever".parse().unwrap(),
            ..Settings::default()
        };
        let audit = Audit::open(&settings, dir, clock()).unwrap();
        audit.record(entries).await.unwrap();
        audit.close().await;
    });
}

fn unpack(dir: &Path) {
    fs::write(dir.join("audit.db"), &SAMPLE.store).unwrap();
    fs::write(dir.join("heads.ndjson"), &SAMPLE.heads).unwrap();
    fs::write(dir.join("heads.key.pub"), &SAMPLE.key).unwrap();
}

/// Whether the store holds with its heads; an unreadable file of heads vouches for nothing.
fn holds(dir: &Path) -> bool {
    let heads = Heads::read(&dir.join("heads.ndjson"), &dir.join("heads.key.pub"));
    heads.is_ok_and(|heads| reader(dir).only_chain_with(&heads).unwrap().holds())
}

#[test]
fn what_nobody_tampered_with_holds() {
    let dir = tempfile::tempdir().unwrap();
    unpack(dir.path());
    assert!(holds(dir.path()));
    let &Sample {
        first, anchor, last, ..
    } = &*SAMPLE;
    assert!(
        first == 11 && first < anchor && anchor < last,
        "{first} {anchor} {last}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_somebody_does_who_can_write_to_the_store_is_found_by_the_heads(tampering in tampering()) {
        let dir = tempfile::tempdir().unwrap();
        unpack(dir.path());
        let fits = apply(&tampering, dir.path());
        let alone = reader(dir.path()).only_chain(None).unwrap();
        prop_assert_eq!(alone.holds(), fits, "{:?}: {}", tampering, alone);
        prop_assert!(!holds(dir.path()), "{:?}", tampering);
    }
}
