use super::*;

on_both! {
    every_condition_finds_its_records_and_no_others
    pages_lead_through_all_records_in_both_directions
    a_record_is_shown_by_its_number_its_id_and_the_beginning_of_it
    an_export_has_every_record_once_oldest_first
    a_search_that_would_take_long_stops_and_goes_on_where_it_stopped
}

/// A hundred records, one a second, of ten users, two clients and five requests each.
async fn hundred(place: &Place) -> Audit {
    let clock = clock();
    let audit = place.open_at(clock.clone());
    for number in 0..100_usize {
        let entry = Entry {
            request_id: format!("req-{}", number / 5),
            user_id: Some(format!("u-{}", number % 10)),
            user_email: Some(format!("User{}@Example{}.com", number % 10, number % 3)),
            client_id: Some(if number % 2 == 0 { "web" } else { "app" }.into()),
            status: Some(if number == 17 { 500 } else { 200 }),
            decision: Some(if number % 25 == 0 { Effect::Deny } else { Effect::Allow }),
            reason: Some(format!("number {number}.")),
            ..numbered(number)
        };
        audit.record(vec![entry]).await.unwrap();
        clock.set(clock.now() + Duration::from_secs(1));
    }
    audit
}

/// What is asked, and which of the numbers from 0 it finds.
type Case = (Query, Box<dyn Fn(u64) -> bool>);

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

async fn every_condition_finds_its_records_and_no_others(place: Place) {
    let _audit = hundred(&place).await;
    let start = clock().now();
    let reader = place.reader();
    let at = |seconds| Some(Moment::At(start + Duration::from_secs(seconds)));
    let text = |text: &str| Some(text.to_owned());
    let none = Query {
        limit: Some(1_000),
        ..Query::default()
    };
    let cases: Vec<Case> = vec![
        (none.clone(), Box::new(|_| true)),
        (
            Query {
                client: text("web"),
                ..none.clone()
            },
            Box::new(|n| n % 2 == 0),
        ),
        (
            Query {
                user: text("u-3"),
                ..none.clone()
            },
            Box::new(|n| n % 10 == 3),
        ),
        (
            Query {
                user: text("user3@example0.com"),
                ..none.clone()
            },
            Box::new(|n| n % 10 == 3 && n % 3 == 0),
        ),
        (
            Query {
                user: text("uSer3@*"),
                ..none.clone()
            },
            Box::new(|n| n % 10 == 3),
        ),
        (
            Query {
                user: text("u-*"),
                ..none.clone()
            },
            Box::new(|_| true),
        ),
        (
            Query {
                user: text("@example1.com"),
                ..none.clone()
            },
            Box::new(|n| n % 3 == 1),
        ),
        (
            Query {
                status: Some(500),
                ..none.clone()
            },
            Box::new(|n| n == 17),
        ),
        (
            Query {
                decision: Some(Effect::Deny),
                client: text("web"),
                ..none.clone()
            },
            Box::new(|n| n % 50 == 0),
        ),
        (
            Query {
                request: text("req-4"),
                ..none.clone()
            },
            Box::new(|n| n / 5 == 4),
        ),
        (
            Query {
                text: text("NUMBER 42."),
                ..none.clone()
            },
            Box::new(|n| n == 42),
        ),
        (
            Query {
                text: text("number 4_."),
                ..none.clone()
            },
            Box::new(|_| false),
        ),
        (
            Query {
                since: at(90),
                ..none.clone()
            },
            Box::new(|n| n >= 90),
        ),
        (
            Query {
                until: at(10),
                ..none.clone()
            },
            Box::new(|n| n < 10),
        ),
        (
            Query {
                since: at(10),
                until: at(20),
                client: text("app"),
                ..none.clone()
            },
            Box::new(|n| (10..20).contains(&n) && n % 2 == 1),
        ),
        (
            Query {
                since: at(1_000),
                ..none.clone()
            },
            Box::new(|_| false),
        ),
        (
            Query {
                interceptor: text("nobody"),
                ..none.clone()
            },
            Box::new(|_| false),
        ),
        (
            Query {
                decided_by: text("endpoint"),
                trigger: Some(Trigger::PreSessionCreation),
                ..none.clone()
            },
            Box::new(|_| true),
        ),
    ];
    for (query, holds) in cases {
        let expected: Vec<u64> = (0..100).rev().filter(|n| holds(*n)).map(|n| n + 1).collect();
        let found = reader.page(&query, start).unwrap();
        assert_eq!(numbers(&found.records), expected, "{query:?}");
        assert_eq!(numbers(&reader.records(&query, start).unwrap()), expected, "{query:?}");
    }
}

async fn pages_lead_through_all_records_in_both_directions(place: Place) {
    let _audit = hundred(&place).await;
    let reader = place.reader();
    let query = |before, after| Query {
        client: Some("web".into()),
        limit: Some(7),
        before,
        after,
        ..Query::default()
    };
    let mut page = reader.page(&query(None, None), clock().now()).unwrap();
    assert_eq!(page.newer, None);
    let mut back = numbers(&page.records);
    while let Some(older) = page.older {
        page = reader.page(&query(Some(older), None), clock().now()).unwrap();
        back.extend(numbers(&page.records));
    }
    let expected: Vec<u64> = (0..50).map(|n| 99 - 2 * n).collect();
    assert_eq!(back, expected);
    let mut forth = Vec::new();
    while let Some(newer) = page.newer {
        page = reader.page(&query(None, Some(newer)), clock().now()).unwrap();
        forth.extend(numbers(&page.records).into_iter().rev());
    }
    let expected: Vec<u64> = (0..50).map(|n| 1 + 2 * n).filter(|n| *n > 1).collect();
    assert_eq!(forth, expected);
}

async fn a_record_is_shown_by_its_number_its_id_and_the_beginning_of_it(place: Place) {
    let audit = hundred(&place).await;
    let reader = place.reader();
    let record = place.all()[41].clone();
    assert_eq!(record.chain, audit.health().head.chain);
    let id = record.id.to_string();
    for name in [
        record.place(),
        "42".into(),
        id.clone(),
        id.to_uppercase(),
        id[..30].to_owned(),
    ] {
        let named = reader.named(&name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(numbers(&named).contains(&42), "{name}");
    }
    assert_eq!(reader.record(&record.place()).unwrap().unwrap().id, record.id);
    assert_eq!(numbers(&reader.request("req-8").unwrap()), [41, 42, 43, 44, 45]);
    assert!(matches!(reader.named("01"), Err(ReadError::Ambiguous { .. })));
    assert!(matches!(reader.named("req-x"), Err(ReadError::Unknown(_))));
}

async fn an_export_has_every_record_once_oldest_first(place: Place) {
    let _audit = hundred(&place).await;
    let mut out = Vec::new();
    let count = place
        .reader()
        .export(&Query::default(), Format::Ndjson, clock().now(), &mut out)
        .unwrap();
    assert_eq!(count, 100);
    let seqs = String::from_utf8(out).unwrap();
    let seqs = seqs.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"]
            .as_u64()
            .unwrap()
    });
    assert_eq!(seqs.collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
}

async fn a_search_that_would_take_long_stops_and_goes_on_where_it_stopped(place: Place) {
    let audit = hundred(&place).await;
    for number in 0..20 {
        audit
            .record((0..100).map(|n| numbered(number * 100 + n)).collect())
            .await
            .unwrap();
    }
    let mut query = Query {
        text: Some("number 5.".into()),
        ..Query::default()
    };
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = place.reader().page_within(&query, clock().now(), 50).unwrap();
        found.extend(numbers(&page.records));
        pages += 1;
        let Some(older) = page.older else { break };
        assert!(page.looked_to.is_some());
        query.before = Some(older);
    }
    assert_eq!(found, [6]);
    assert!(pages > 1, "{pages}");
}
