//! A store of an older schema goes on as if it had always had the present one.

use super::*;

/// Five records as version 0.1 wrote them.
const SCHEMA_1: &str = include_str!("fixtures/schema1.sql");

fn old_store(dir: &Path) {
    rusqlite::Connection::open(dir.join("audit.db"))
        .unwrap()
        .execute_batch(SCHEMA_1)
        .unwrap();
}

#[tokio::test]
async fn a_store_of_the_first_schema_is_brought_up_to_date_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    old_store(dir.path());
    let bodies = |dir: &Path| -> Vec<(i64, String, Vec<u8>, Vec<u8>)> {
        let store = raw(dir);
        let mut select = store
            .prepare("SELECT seq, body, prev_hash, hash FROM record ORDER BY seq")
            .unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    let before = bodies(dir.path());
    assert!(matches!(
        Reader::open(&settings(), dir.path()),
        Err(ReadError::Older(_))
    ));

    let audit = open(dir.path());
    audit.record(vec![numbered(6)]).await.unwrap();
    audit.close().await;
    assert_eq!(bodies(dir.path())[..5], before);
    let reader = reader(dir.path());
    let report = reader.only_chain(None).unwrap();
    assert!(report.holds() && report.records == 6, "{report}");
    let query = Query {
        user: Some("BOB@example.com".into()),
        realm: Some("customers".into()),
        ..Query::default()
    };
    let seqs: Vec<_> = reader
        .records(&query, clock().now())
        .unwrap()
        .iter()
        .map(|r| r.seq)
        .collect();
    assert_eq!(seqs, [5, 3, 2]);
    let minute = std::time::Duration::from_secs(60);
    let statistics = reader
        .statistics(
            "2026-11-23T10:00:00Z".parse().unwrap(),
            "2026-11-23T11:00:00Z".parse().unwrap(),
            minute,
        )
        .unwrap();
    assert_eq!(
        statistics.total,
        Tally {
            allowed: 2,
            denied: 1,
            failed_open: 0,
            failed_closed: 1,
            others: 2
        }
    );
}
