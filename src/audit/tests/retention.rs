//! Old records go, and what is left still hangs together.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::audit::retention::Anchor;

fn after(minutes: u64) -> jiff::Timestamp {
    clock().now() + Duration::from_secs(60 * minutes)
}

fn kept(retention: &str, max_size: Option<&str>) -> Settings {
    Settings {
        retention: retention.parse().unwrap(),
        max_size: max_size.map(|size| size.parse().unwrap()),
        ..Settings::default()
    }
}

#[tokio::test]
async fn records_older_than_the_retention_go_behind_an_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let audit = Audit::open(&kept("1h", None), dir.path(), clock.clone()).unwrap();
    for minute in 0..10 {
        clock.set(after(10 * minute));
        audit.record(vec![numbered(minute as usize)]).await.unwrap();
    }
    let cut = all(dir.path())[2].clone();
    audit.tidy().await;
    let records = all(dir.path());
    let seqs: Vec<_> = records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [4, 5, 6, 7, 8, 9, 10, 11]);
    let anchor = &records[7].entry;
    assert_eq!(anchor.kind, Kind::Anchor);
    assert_eq!(
        anchor.removed,
        Some(Removed {
            first: 1,
            last: 3,
            count: 3,
            hash: cut.hash.to_string(),
            since: "2026-11-23T10:15:00.123Z".into(),
            until: "2026-11-23T10:35:00.123Z".into(),
        })
    );
    assert_eq!(audit.health().head.seq, 11);
    let report = reader(dir.path()).only_chain(Some(audit.health().head)).unwrap();
    assert!(report.holds(), "{report}");
    assert!(
        report.to_string().contains("retention took the 3 before them away"),
        "{report}"
    );
    // What was counted stays counted.
    let figures = reader(dir.path())
        .statistics(after(0), after(100), Duration::from_secs(3_600))
        .unwrap();
    assert_eq!(figures.total.allowed, 10);
}

#[tokio::test]
async fn the_size_of_the_store_is_held_and_its_room_returns() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&kept("forever", Some("2MiB")), dir.path(), clock()).unwrap();
    for batch in 0..10 {
        audit
            .record((0..200).map(|n| numbered(batch * 200 + n)).collect())
            .await
            .unwrap();
    }
    let size = || std::fs::metadata(dir.path().join("audit.db")).unwrap().len();
    for _ in 0..4 {
        audit.tidy().await;
    }
    audit.close().await;
    assert!(size() < 3 << 20, "{} bytes", size());
    let report = reader(dir.path()).only_chain(None).unwrap();
    assert!(report.holds() && report.records > 100, "{report}");

    let audit = Audit::open(&kept("forever", Some("100 records")), dir.path(), clock()).unwrap();
    audit.tidy().await;
    let report = reader(dir.path()).only_chain(None).unwrap();
    assert!(report.holds() && report.records == 96, "{report}");
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_finished_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    audit.record((0..20).map(numbered).collect()).await.unwrap();
    let last = all(dir.path())[11].clone();
    let anchor = Anchor {
        first: 1,
        last: Head {
            chain: 0,
            seq: 12,
            hash: last.hash,
        },
        since_ms: 0,
        until_ms: 0,
    };
    audit.record(vec![anchor.entry()]).await.unwrap();
    audit.close().await;
    for table in ["record", "facet"] {
        raw(dir.path())
            .execute(&format!("DELETE FROM {table} WHERE seq < 5"), [])
            .unwrap();
    }
    let report = reader(dir.path()).only_chain(None).unwrap();
    assert!(report.holds() && report.records == 17, "{report}");
    // On its way out, and still no other record may stand in its place.
    for (seq, gone) in [(6, 6), (13, 13)] {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(dir.path().join("audit.db"), copy.path().join("audit.db")).unwrap();
        raw(copy.path())
            .execute("DELETE FROM record WHERE seq = ?1", [seq])
            .unwrap();
        assert_eq!(reader(copy.path()).only_chain(None).unwrap().flaw.unwrap().seq, gone);
    }
    let audit = open(dir.path());
    audit.tidy().await;
    assert_eq!(all(dir.path())[0].seq, 13);
    assert!(reader(dir.path()).only_chain(None).unwrap().holds());
}

#[derive(Clone, Debug)]
enum Step {
    Record(usize),
    Wait(u64),
    Tidy,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..30_usize).prop_map(Step::Record),
        3 => (1..50_u64).prop_map(Step::Wait),
        3 => Just(Step::Tidy),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn retention_at_any_time_leaves_a_chain_that_holds_and_shows_tampering_at_the_cut(steps in steps(), place in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let settings = kept("1h", Some("100 records"));
        let clock = clock();
        let mut minutes = 0;
        let mut audit = Audit::open(&settings, dir.path(), clock.clone()).unwrap();
        for step in steps {
            match step {
                Step::Record(count) => drop(runtime.block_on(audit.record((0..count).map(numbered).collect())).unwrap()),
                Step::Wait(more) => {
                    minutes += more;
                    clock.set(after(minutes));
                }
                Step::Tidy => {
                    runtime.block_on(audit.tidy());
                    for record in all(dir.path()) {
                        prop_assert!(after(minutes).duration_since(record.time) <= jiff::SignedDuration::from_mins(61));
                    }
                }
                Step::Restart => {
                    runtime.block_on(audit.close());
                    audit = Audit::open(&settings, dir.path(), clock.clone()).unwrap();
                }
            }
            let report = reader(dir.path()).only_chain(Some(audit.health().head)).unwrap();
            prop_assert!(report.holds(), "{}", report);
        }
        runtime.block_on(audit.close());
        let records = all(dir.path());
        // One of the first five that are left.
        let mut victims = records.iter().take(5).filter(|record| record.entry.kind != Kind::Anchor);
        let count = victims.clone().count();
        if count > 0 && let Some(victim) = victims.nth(place.index(count)) {
            raw(dir.path()).execute("UPDATE record SET body = replace(body, '\"kind\"', '\"kinn\"') WHERE seq = ?1", [victim.seq as i64]).unwrap();
            let report = reader(dir.path()).only_chain(None).unwrap();
            prop_assert_eq!(report.flaw.map(|flaw| flaw.seq), Some(victim.seq));
            raw(dir.path()).execute("DELETE FROM record WHERE seq <= ?1", [victim.seq as i64]).unwrap();
            let report = reader(dir.path()).only_chain(None).unwrap();
            prop_assert!(!report.holds(), "{}", report);
        }
    }
}
