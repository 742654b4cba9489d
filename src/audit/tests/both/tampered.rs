use super::*;

on_both! {
    every_change_is_found_and_the_first_bad_record_named
    a_cut_end_is_found_by_its_head
}

async fn every_change_is_found_and_the_first_bad_record_named(place: Place) {
    let audit = place.open();
    for number in 0..10 {
        audit.record(vec![numbered(number)]).await.unwrap();
    }
    audit.close().await;
    for (change, seq, undo) in [
        (
            "UPDATE record SET body = replace(body, 'req-4', 'req-x') WHERE seq = 5",
            5,
            "UPDATE record SET body = replace(body, 'req-x', 'req-4') WHERE seq = 5",
        ),
        ("UPDATE record SET hash = prev_hash WHERE seq = 3", 3, ""),
    ] {
        let before = place.all();
        place.tamper(change);
        let report = place.verify().remove(0);
        assert_eq!(
            report.flaw.as_ref().map(|flaw| flaw.seq),
            Some(seq),
            "{change}: {report}"
        );
        if !undo.is_empty() {
            place.tamper(undo);
            assert_eq!(place.all().len(), before.len());
            place.holds();
        }
    }
    place.tamper("DELETE FROM record WHERE seq = 2");
    let flaw = place.verify().remove(0).flaw.unwrap();
    assert_eq!((flaw.seq, flaw.kind), (2, FlawKind::Missing { next: 3 }));
}

async fn a_cut_end_is_found_by_its_head(place: Place) {
    let audit = place.open();
    for number in 0..10 {
        audit.record(vec![numbered(number)]).await.unwrap();
    }
    let head = audit.health().head;
    audit.close().await;
    assert!(
        place
            .reader()
            .verify(&Heads::one(head))
            .unwrap()
            .iter()
            .all(Report::holds)
    );
    let gone = Head { seq: 11, ..head };
    let reports = place.reader().verify(&Heads::one(gone)).unwrap();
    assert_eq!(reports[0].flaw.as_ref().unwrap().kind, FlawKind::HeadGone);
    let elsewhere = Head { chain: 9, ..head };
    if place.cluster.is_some() {
        let reports = place.reader().verify(&Heads::one(elsewhere)).unwrap();
        assert!(reports.iter().any(|report| report.chain == 9 && !report.holds()));
        // Without any head, the row of the chain still knows.
        place.tamper("DELETE FROM record WHERE seq > 8");
        assert!(!place.verify()[0].holds());
    }
}
