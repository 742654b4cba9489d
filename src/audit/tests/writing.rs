use std::{fs, time::Duration};

use futures_util::{FutureExt, future::join_all};

use super::*;

#[tokio::test]
async fn a_record_is_on_disk_with_its_number_and_id_once_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let receipts = audit.record(vec![numbered(1), numbered(2)]).await.unwrap();
    // Nothing was closed: another reader sees it already.
    let records = all(dir.path());
    assert_eq!(
        records.iter().map(|r| (r.seq, r.id)).collect::<Vec<_>>(),
        receipts.iter().map(|r| (r.seq, r.id)).collect::<Vec<_>>()
    );
    assert_eq!(records[0].entry, numbered(1));
    assert_eq!(records[1].prev_hash, records[0].hash);
    assert_eq!(records[0].time, clock().now());
    assert_eq!(
        audit.health().head,
        Head {
            chain: 0,
            seq: 2,
            hash: records[1].hash
        }
    );
    assert_eq!(audit.record(Vec::new()).await.unwrap(), []);
}

#[tokio::test]
async fn the_chain_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let audit = open(dir.path());
        assert_eq!(
            audit.record(vec![numbered(number)]).await.unwrap()[0].seq,
            number as u64
        );
        audit.close().await;
        assert!(matches!(audit.record(vec![numbered(9)]).await, Err(AuditError::Closed)));
    }
    let report = reader(dir.path()).only_chain(None).unwrap();
    assert!(report.holds(), "{report}");
    assert_eq!(report.records, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_commits_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    // While somebody else holds the lock, everybody queues up.
    let other = raw(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|task| {
            let audit = audit.clone();
            tokio::spawn(async move {
                let mut receipts = Vec::new();
                for number in 0..20 {
                    receipts.extend(audit.record(vec![numbered(task * 20 + number)]).await.unwrap());
                }
                receipts
            })
        })
        .collect();
    until(|| audit.health().queued == 50).await;
    other.execute_batch("COMMIT").unwrap();
    let mut seqs: Vec<u64> = join_all(tasks)
        .await
        .into_iter()
        .flat_map(|r| r.unwrap())
        .map(|r| r.seq)
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=1000).collect::<Vec<_>>());
    assert!(audit.health().commits < 1000, "{:?}", audit.health());
    assert_eq!(audit.health().queued, 0);
    let report = reader(dir.path()).only_chain(None).unwrap();
    assert!(report.holds(), "{report}");
    assert_eq!(report.records, 1000);
}

#[tokio::test]
async fn a_caller_that_goes_away_still_has_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let other = raw(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(audit.record(vec![numbered(1)]).now_or_never().is_none());
    other.execute_batch("COMMIT").unwrap();
    audit.close().await;
    assert_eq!(all(dir.path()).len(), 1);
}

#[tokio::test]
async fn a_full_queue_is_an_error_and_not_a_wait() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let other = raw(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let entry = || Entry::of_refusal("rule", "reason");
    // The thread holds the calls of one transaction at most beside the queue.
    let mut full = None;
    let mut waiting = 0;
    while full.is_none() && waiting < 5_000 {
        match audit.record(vec![entry()]).now_or_never() {
            None => waiting += 1,
            Some(outcome) => full = Some(outcome),
        }
    }
    assert!(matches!(full, Some(Err(AuditError::Full))), "{full:?}");
    other.execute_batch("COMMIT").unwrap();
    audit.close().await;
    assert_eq!(all(dir.path()).len(), waiting);
}

#[tokio::test]
async fn a_write_error_reaches_the_caller_and_ends_when_its_cause_does() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    audit.record(vec![numbered(1)]).await.unwrap();
    let other = raw(dir.path());
    other
        .execute_batch("CREATE TRIGGER broken BEFORE INSERT ON facet WHEN NEW.request_id = 'req-3' BEGIN SELECT RAISE(ABORT, 'broken disk'); END")
        .unwrap();
    // All entries of a call or none.
    let error = audit.record(vec![numbered(2), numbered(3)]).await.unwrap_err();
    assert!(error.to_string().contains("broken disk"), "{error}");
    assert!(audit.health().failing.is_some());
    assert_eq!(audit.health().head.seq, 1);
    other.execute_batch("DROP TRIGGER broken").unwrap();
    assert_eq!(audit.record(vec![numbered(3)]).await.unwrap()[0].seq, 2);
    assert!(audit.health().failing.is_none());
    assert!(reader(dir.path()).only_chain(None).unwrap().holds());
}

#[tokio::test]
async fn a_store_that_is_moved_away_takes_no_records_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let (path, away) = (dir.path().join("audit.db"), dir.path().join("away.db"));
    audit.record(vec![numbered(1)]).await.unwrap();
    fs::rename(&path, &away).unwrap();
    assert!(matches!(
        audit.record(vec![numbered(2)]).await,
        Err(AuditError::Store(StoreError::Moved(_)))
    ));
    fs::write(&path, "").unwrap();
    assert!(matches!(
        audit.record(vec![numbered(3)]).await,
        Err(AuditError::Store(StoreError::Moved(_)))
    ));
    fs::rename(&away, &path).unwrap();
    audit.record(vec![numbered(4)]).await.unwrap();
    let requests: Vec<_> = all(dir.path()).into_iter().map(|r| r.entry.request_id).collect();
    assert_eq!(requests, ["req-1", "req-4"]);
}

#[tokio::test]
async fn a_deleted_log_costs_no_acknowledged_record() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    audit.record(vec![numbered(1)]).await.unwrap();
    fs::remove_file(dir.path().join("audit.db-wal")).unwrap();
    assert!(matches!(
        audit.record(vec![numbered(2)]).await,
        Err(AuditError::Store(StoreError::Moved(_)))
    ));
    audit.record(vec![numbered(3)]).await.unwrap();
    let requests: Vec<_> = all(dir.path()).into_iter().map(|r| r.entry.request_id).collect();
    assert!(
        requests.contains(&"req-1".to_owned()) && requests.contains(&"req-3".to_owned()),
        "{requests:?}"
    );
    assert!(reader(dir.path()).only_chain(None).unwrap().holds());
}

#[tokio::test]
async fn only_one_process_writes_to_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let finding = Audit::open(&settings(), dir.path(), clock()).unwrap_err();
    assert_eq!(finding.key, "audit.store");
    assert!(finding.message.contains("another Tollgate writes to"), "{finding}");
    first.close().await;
    open(dir.path()).record(vec![numbered(1)]).await.unwrap();
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.db");
    fs::write(
        &path,
        "not a database, but long enough to look like one at a glance, and then some",
    )
    .unwrap();
    let before = fs::read(&path).unwrap();
    assert!(
        Audit::open(&settings(), dir.path(), clock())
            .unwrap_err()
            .message
            .contains("no audit store")
    );
    assert!(matches!(
        Reader::open(&settings(), dir.path()),
        Err(ReadError::Foreign(_))
    ));
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::remove_file(&path).unwrap();
    raw(dir.path()).execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(
        Audit::open(&settings(), dir.path(), clock())
            .unwrap_err()
            .message
            .contains("no audit store")
    );
    assert!(matches!(
        Reader::open(&settings(), dir.path()),
        Err(ReadError::Foreign(_))
    ));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    raw(dir.path()).pragma_update(None, "user_version", 3).unwrap();
    assert!(
        Audit::open(&settings(), dir.path(), clock())
            .unwrap_err()
            .message
            .contains("schema 3")
    );
    assert!(matches!(
        Reader::open(&settings(), dir.path()),
        Err(ReadError::Newer(_))
    ));
}

#[test]
fn a_folder_that_is_not_there_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let finding = Audit::open(&settings(), &dir.path().join("nowhere"), clock()).unwrap_err();
    assert!(finding.message.contains("nowhere"), "{finding}");
    assert!(finding.hint.unwrap().contains("must be a folder"));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    let audit = open(dir.path());
    audit.record(vec![numbered(1)]).await.unwrap();
    for name in ["audit.db", "audit.db-wal", "audit.db-shm", "audit.db.lock"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    audit.close().await;
    fs::set_permissions(dir.path().join("audit.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let _audit = open(dir.path());
    assert_eq!(mode("audit.db"), 0o600);
}

/// Waits for the condition, at most ten seconds.
async fn until(condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the condition came about in time");
}
