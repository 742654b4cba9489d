use super::*;

on_both! {
    records_wait_in_the_spool_while_the_store_is_away_and_come_in_order
    a_spool_outlives_the_process
    a_process_that_stopped_before_it_emptied_the_spool_doubles_nothing
    a_full_spool_refuses_and_takes_again_when_there_is_room
    without_a_spool_records_are_refused_until_the_store_is_back
}

impl Place {
    fn spools(mut self) -> Self {
        self.settings.on_failure = OnFailure::Spool;
        self
    }

    fn schema(&self) -> &str {
        self.settings.store.rsplit("%3D").next().unwrap()
    }

    /// Takes the store away under whoever writes to it.
    fn away(&self) {
        match self.cluster {
            None => std::fs::rename(self.dir.path().join("audit.db"), self.dir.path().join("gone.db")).unwrap(),
            Some(cluster) => {
                let schema = self.schema();
                cluster.run(&format!("ALTER SCHEMA {schema} RENAME TO gone_{schema}"));
            }
        }
    }

    fn back(&self) {
        match self.cluster {
            None => std::fs::rename(self.dir.path().join("gone.db"), self.dir.path().join("audit.db")).unwrap(),
            Some(cluster) => {
                let schema = self.schema();
                cluster.run(&format!("ALTER SCHEMA gone_{schema} RENAME TO {schema}"));
            }
        }
    }

    /// All ids, in the order of their numbers.
    fn ids(&self) -> Vec<uuid::Uuid> {
        let mut records = self.all();
        records.sort_by_key(|record| (record.chain, record.seq));
        records.iter().map(|record| record.id).collect()
    }
}

/// Records these numbers one by one, and gives their ids.
async fn record(audit: &Audit, numbers: std::ops::Range<usize>) -> Vec<uuid::Uuid> {
    let mut ids = Vec::new();
    for number in numbers {
        ids.push(audit.record(vec![numbered(number)]).await.unwrap()[0].id);
    }
    ids
}

async fn caught_up(audit: &Audit) {
    until("the spool is empty", || async { audit.health().spooled.is_none() }).await;
}

async fn records_wait_in_the_spool_while_the_store_is_away_and_come_in_order(place: Place) {
    let place = place.spools();
    let audit = place.open();
    let mut ids = record(&audit, 0..3).await;
    place.away();
    ids.extend(record(&audit, 3..13).await);
    let health = audit.health();
    assert!(health.failing.is_none());
    assert_eq!(health.spooled.unwrap().records, 10);
    place.back();
    ids.extend(record(&audit, 13..20).await);
    caught_up(&audit).await;
    ids.extend(record(&audit, 20..22).await);
    assert_eq!(place.ids(), ids);
    assert_eq!(audit.health().head.seq, 22);
    place.holds();
}

async fn a_spool_outlives_the_process(place: Place) {
    let place = place.spools();
    let audit = place.open();
    let mut ids = record(&audit, 0..2).await;
    place.away();
    ids.extend(record(&audit, 2..5).await);
    audit.close().await;
    drop(audit);
    place.back();
    let audit = place.open();
    ids.extend(record(&audit, 6..7).await);
    caught_up(&audit).await;
    assert_eq!(place.ids(), ids);
    place.holds();
}

async fn a_process_that_stopped_before_it_emptied_the_spool_doubles_nothing(place: Place) {
    let place = place.spools();
    let spool = place.dir.path().join("audit.spool");
    let audit = place.open();
    place.away();
    let mut ids = record(&audit, 0..5).await;
    let left = std::fs::read(&spool).unwrap();
    place.back();
    caught_up(&audit).await;
    assert!(std::fs::read(&spool).unwrap().is_empty());
    audit.close().await;
    drop(audit);
    std::fs::write(&spool, left).unwrap();
    // Also where it may no longer be used.
    let mut denies = place.settings.clone();
    denies.on_failure = OnFailure::Deny;
    let audit = Audit::open(&denies, place.dir.path(), clock()).unwrap();
    caught_up(&audit).await;
    ids.extend(record(&audit, 5..6).await);
    assert_eq!(place.ids(), ids);
    place.holds();
}

async fn a_full_spool_refuses_and_takes_again_when_there_is_room(place: Place) {
    let mut place = place.spools();
    place.settings.spool.max_size = MaxSize::Bytes(10_000);
    let audit = place.open();
    place.away();
    let mut taken = Vec::new();
    let full = loop {
        match audit.record(vec![numbered(taken.len())]).await {
            Ok(receipts) => taken.push(receipts[0].id),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, AuditError::Store(StoreError::SpoolFull(_))), "{full}");
    assert!(audit.health().failing.is_some());
    assert!(taken.len() > 2, "{}", taken.len());
    place.back();
    caught_up(&audit).await;
    taken.extend(record(&audit, 90..91).await);
    assert!(audit.health().failing.is_none());
    assert_eq!(place.ids(), taken);
    place.holds();
}

async fn without_a_spool_records_are_refused_until_the_store_is_back(place: Place) {
    let audit = place.open();
    let mut ids = record(&audit, 0..2).await;
    place.away();
    for _ in 0..3 {
        assert!(matches!(
            audit.record(vec![numbered(2)]).await,
            Err(AuditError::Store(_))
        ));
    }
    assert!(audit.health().failing.is_some());
    place.back();
    let taken = std::sync::Mutex::new(Vec::new());
    until("a record is taken", || async {
        let receipts = audit.record(vec![numbered(3)]).await;
        taken
            .lock()
            .unwrap()
            .extend(receipts.iter().flatten().map(|receipt| receipt.id));
        receipts.is_ok()
    })
    .await;
    ids.extend(taken.into_inner().unwrap());
    assert_eq!(place.ids(), ids);
    place.holds();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_or_falls_silent_costs_no_record_and_nobody_hangs() {
    let Some(cluster) = Postgres::start() else { return };
    cluster.run("CREATE SCHEMA test");
    let place = Place {
        dir: tempfile::tempdir().unwrap(),
        settings: Settings {
            store: cluster.address("test"),
            ..settings()
        },
        cluster: None,
    };
    let place = place.spools();
    let audit = place.open();
    let mut ids = record(&audit, 0..3).await;
    cluster.stop();
    ids.extend(record(&audit, 3..6).await);
    assert_eq!(audit.health().spooled.unwrap().records, 3);
    cluster.go_on();
    caught_up(&audit).await;
    ids.extend(record(&audit, 6..8).await);
    cluster.pause();
    let waited = tokio::time::timeout(Duration::from_secs(20), record(&audit, 8..11)).await;
    ids.extend(waited.expect("a write has a deadline"));
    cluster.unpause();
    caught_up(&audit).await;
    ids.extend(record(&audit, 11..12).await);
    cluster.stop();
    ids.extend(record(&audit, 12..13).await);
    audit.close().await;
    drop(audit);
    // It starts without the server, too.
    let audit = place.open();
    assert_eq!(audit.health().spooled.unwrap().records, 1);
    ids.extend(record(&audit, 13..15).await);
    cluster.go_on();
    caught_up(&audit).await;
    ids.extend(record(&audit, 15..16).await);
    assert_eq!(place.ids(), ids);
    place.holds();
}
