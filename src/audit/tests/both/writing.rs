use super::*;

on_both! {
    records_come_back_as_they_were_written_after_a_restart
    calls_at_once_share_commits_and_each_has_its_own_receipts
    a_store_that_is_open_twice_stays_whole
    figures_are_those_of_the_records
    records_go_after_their_time_behind_an_anchor
    records_go_when_there_are_too_many
    a_text_with_any_character_is_recorded_and_found
}

async fn records_come_back_as_they_were_written_after_a_restart(place: Place) {
    let audit = place.open();
    let first = audit.record(vec![numbered(1), numbered(2)]).await.unwrap();
    assert_eq!(first.iter().map(|receipt| receipt.seq).collect::<Vec<_>>(), [1, 2]);
    audit.close().await;
    assert!(matches!(audit.record(vec![numbered(3)]).await, Err(AuditError::Closed)));

    let later = clock();
    later.set(later.now() + Duration::from_secs(1));
    let audit = place.open_at(later);
    assert_eq!(audit.health().head.seq, 2);
    let next = audit.record(vec![numbered(3)]).await.unwrap();
    assert_eq!(next[0].seq, 3);
    let records = place.all();
    let requests: Vec<_> = records.iter().map(|record| record.entry.request_id.as_str()).collect();
    assert_eq!(requests, ["req-1", "req-2", "req-3"]);
    assert_eq!(records[0].id, first[0].id);
    assert_eq!(records[0].entry, numbered(1));
    assert_eq!(records[2].prev_hash, records[1].hash);
    assert_eq!(records[2].hash, audit.health().head.hash);
    place.holds();
}

async fn calls_at_once_share_commits_and_each_has_its_own_receipts(place: Place) {
    let audit = place.open();
    let calls = (0..200).map(|number| {
        let audit = audit.clone();
        tokio::spawn(async move { (number, audit.record(vec![numbered(number)]).await.unwrap()) })
    });
    let mut receipts = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        receipts.push(call.await.unwrap());
    }
    assert!(audit.health().commits < 200, "{}", audit.health().commits);
    let records = place.all();
    assert_eq!(records.len(), 200);
    for (number, receipt) in receipts {
        let record = records.iter().find(|record| record.id == receipt[0].id).unwrap();
        assert_eq!(record.seq, receipt[0].seq);
        assert_eq!(record.entry.request_id, format!("req-{number}"));
    }
    // Ids rise with the numbers, so a list by time is one by number.
    assert!(records.is_sorted_by_key(|record| record.seq));
    place.holds();
}

async fn a_store_that_is_open_twice_stays_whole(place: Place) {
    let audit = place.open();
    audit.record(vec![numbered(1)]).await.unwrap();
    match Audit::open(&place.settings, place.dir.path(), clock()) {
        // A file has one writer.
        Err(refused) => assert!(refused.message.contains("another Tollgate"), "{refused}"),
        // In a database each has a chain.
        Ok(other) => {
            other.record(vec![numbered(2)]).await.unwrap();
            assert_ne!(other.health().head.chain, audit.health().head.chain);
            assert_eq!(place.verify().len(), 2);
        }
    }
    audit.record(vec![numbered(3)]).await.unwrap();
    place.holds();
}

async fn figures_are_those_of_the_records(place: Place) {
    let clock = clock();
    let audit = place.open_at(clock.clone());
    let start = clock.now();
    for minute in 0..3 {
        clock.set(start + Duration::from_secs(60 * minute));
        for _ in 0..2 {
            audit.record(vec![numbered(1), numbered(2)]).await.unwrap();
        }
    }
    audit.close().await;
    // A restart forgets nothing of a minute that goes on.
    let audit = place.open_at(clock.clone());
    audit.record(vec![numbered(3)]).await.unwrap();
    let statistics = place
        .reader()
        .statistics(start, clock.now() + Duration::from_secs(1), Duration::from_secs(60))
        .unwrap();
    let buckets: Vec<_> = statistics.buckets.iter().map(|bucket| bucket.tally.allowed).collect();
    assert_eq!(buckets, [4, 4, 5]);
    assert_eq!(statistics.total.records(), 13);
    let figures = &statistics.interceptors["Plan and seats"];
    assert_eq!(
        (figures.durations.count(), figures.durations.quantile(0.5)),
        (13, Some(12))
    );
    let hours = place
        .reader()
        .statistics(start, clock.now(), Duration::from_secs(3_600))
        .unwrap();
    assert_eq!(hours.total.records(), 13);
}

async fn records_go_after_their_time_behind_an_anchor(mut place: Place) {
    place.settings.retention = "1h".parse().unwrap();
    let clock = clock();
    let audit = place.open_at(clock.clone());
    for number in 0..10 {
        audit.record(vec![numbered(number)]).await.unwrap();
    }
    clock.set(clock.now() + Duration::from_secs(7_200));
    audit.record(vec![numbered(10)]).await.unwrap();
    audit.tidy().await;
    let records = place.all();
    let kinds: Vec<_> = records.iter().map(|record| (record.seq, record.entry.kind)).collect();
    assert_eq!(kinds, [(11, Kind::Consult), (12, Kind::Anchor)]);
    let report = place.verify().remove(0);
    assert!(report.holds(), "{report}");
    assert_eq!((report.records, report.removed), (2, 10));
    audit.close().await;
    place.open_at(clock).record(vec![numbered(11)]).await.unwrap();
    place.holds();
}

async fn records_go_when_there_are_too_many(mut place: Place) {
    place.settings.max_size = Some("100 records".parse().unwrap());
    let audit = place.open();
    for number in 0..13 {
        audit
            .record((0..10).map(|n| numbered(number * 10 + n)).collect())
            .await
            .unwrap();
    }
    audit.tidy().await;
    let records = place.all();
    assert_eq!(records.len(), 96, "95 and the anchor");
    assert_eq!(records[0].seq, 36);
    place.holds();
}

async fn a_text_with_any_character_is_recorded_and_found(place: Place) {
    let audit = place.open();
    for text in ["a\0b", "é%_\\", "\u{10ffff}", "' OR 1=1; --"] {
        let entry = Entry {
            client_id: Some(text.into()),
            user_email: Some(format!("{text}@example.com")),
            ..numbered(1)
        };
        audit.record(vec![entry]).await.unwrap();
        let by_client = Query {
            client: Some(text.into()),
            ..Query::default()
        };
        let found = place.reader().page(&by_client, clock().now()).unwrap().records;
        assert_eq!(found.len(), 1, "{text:?}");
        assert_eq!(found[0].entry.client_id.as_deref(), Some(text));
    }
    place.holds();
}
