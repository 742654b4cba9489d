//! What only a store with several writers has.

use super::*;
use crate::secret::SecretSource;

/// A second writer of the same store.
fn other(place: &Place, clock: Clock) -> Audit {
    place.open_at(clock)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_replica_goes_on_with_its_chain_and_a_third_one_begins_another() {
    let Some(place) = Place::postgres() else { return };
    let (one, two) = (place.open(), place.open());
    one.record(vec![numbered(1)]).await.unwrap();
    two.record(vec![numbered(2)]).await.unwrap();
    let chains = [one.health().head.chain, two.health().head.chain];
    assert_eq!(chains, [1, 2]);
    two.close().await;
    let two = place.open();
    assert_eq!(two.health().head.chain, 2);
    two.record(vec![numbered(3)]).await.unwrap();
    let three = place.open();
    three.record(vec![numbered(4)]).await.unwrap();
    let reports = place.verify();
    let records: Vec<_> = reports.iter().map(|report| (report.chain, report.records)).collect();
    assert_eq!(records, [(1, 1), (2, 2), (3, 1)]);
    place.holds();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_make_the_tables_once() {
    let Some(place) = Place::postgres() else { return };
    let replicas: Vec<_> = (0..6)
        .map(|number| {
            let (settings, dir) = (place.settings.clone(), place.dir.path().to_owned());
            tokio::task::spawn_blocking(move || (number, Audit::open(&settings, &dir, clock()).unwrap()))
        })
        .collect();
    let mut chains = std::collections::BTreeSet::new();
    let mut open = Vec::new();
    for replica in replicas {
        let (number, audit) = replica.await.unwrap();
        audit.record(vec![numbered(number)]).await.unwrap();
        chains.insert(audit.health().head.chain);
        open.push(audit);
    }
    assert_eq!(chains.len(), 6);
    place.holds();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_all_chains_are_listed_by_time() {
    let Some(place) = Place::postgres() else { return };
    let clock = clock();
    let (one, two) = (place.open_at(clock.clone()), other(&place, clock.clone()));
    for number in 0..10 {
        let writer = if number % 3 == 0 { &one } else { &two };
        writer.record(vec![numbered(number)]).await.unwrap();
        clock.set(clock.now() + Duration::from_millis(1));
    }
    let requests: Vec<_> = place.all().into_iter().map(|record| record.entry.request_id).collect();
    assert_eq!(
        requests,
        (0..10).map(|number| format!("req-{number}")).collect::<Vec<_>>()
    );
    let number = Query {
        before: Some(Into::into(3)),
        ..Query::default()
    };
    assert!(matches!(
        place.reader().page(&number, clock.now()),
        Err(ReadError::Number)
    ));
    assert!(matches!(place.reader().named("1"), Err(ReadError::Number)));
    assert_eq!(place.reader().named("2.1").unwrap()[0].entry.request_id, "req-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_session_was_ended_goes_on_and_nothing_is_lost_or_doubled() {
    let Some(place) = Place::postgres() else { return };
    let audit = place.open();
    let mut written = 0;
    for round in 0..5 {
        place.tamper("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 'tollgate_audit_chain'::regclass::oid");
        // Refused until the session is open again; what is refused is not there.
        until("a record is taken again", || async {
            audit.record(vec![numbered(round)]).await.is_ok()
        })
        .await;
        written += 1;
    }
    assert_eq!(place.all().len(), written);
    place.holds();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_somebody_else_moved_is_not_written_to() {
    let Some(place) = Place::postgres() else { return };
    let audit = place.open();
    audit.record(vec![numbered(1)]).await.unwrap();
    let kept = place.all();
    place.tamper("UPDATE tollgate_audit_chain SET seq = seq + 1");
    let refused = audit.record(vec![numbered(2)]).await.unwrap_err();
    assert!(refused.to_string().contains("another Tollgate"), "{refused}");
    assert_eq!(place.all().len(), kept.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_chain_that_nobody_writes_go_after_their_time() {
    let Some(mut place) = Place::postgres() else { return };
    place.settings.retention = "1h".parse().unwrap();
    let clock = clock();
    let (one, two) = (place.open_at(clock.clone()), other(&place, clock.clone()));
    one.record(vec![numbered(1)]).await.unwrap();
    two.record(vec![numbered(2), numbered(3)]).await.unwrap();
    two.close().await;
    clock.set(clock.now() + Duration::from_secs(7_200));
    one.record(vec![numbered(4)]).await.unwrap();
    one.tidy().await;
    one.tidy().await;
    let records = place.all();
    let left: Vec<_> = records
        .iter()
        .map(|record| (record.place(), record.entry.kind))
        .collect();
    assert_eq!(
        left,
        [
            ("1.2".into(), Kind::Consult),
            ("1.3".into(), Kind::Anchor),
            ("2.3".into(), Kind::Anchor)
        ]
    );
    place.holds();
    // Whoever comes next goes on with it.
    let two = place.open_at(clock);
    assert_eq!(two.health().head.chain, 2);
    two.record(vec![numbered(5)]).await.unwrap();
    place.holds();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_by_e_mail_goes_along_its_index() {
    let Some(place) = Place::postgres() else { return };
    let audit = place.open();
    for thousand in 0..5 {
        let entries = (0..1_000).map(|number| Entry {
            user_email: Some(format!("User{}@example.com", thousand * 1_000 + number)),
            ..numbered(number)
        });
        audit.record(entries.collect()).await.unwrap();
    }
    let cluster = place.cluster.unwrap();
    let schema = place.settings.store.rsplit("%3D").next().unwrap();
    let plan = cluster.run(&format!(
        "SET search_path = {schema}; ANALYZE tollgate_audit_record; EXPLAIN SELECT id FROM tollgate_audit_record \
         WHERE id <= 'ffffffff-ffff-ffff-ffff-ffffffffffff' AND lower(user_email) = 'user77@example.com' ORDER BY id DESC LIMIT 256"
    ));
    assert!(plan.contains("tollgate_audit_record_user_email"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
    let query = Query {
        user: Some("user77@EXAMPLE.com".into()),
        ..Query::default()
    };
    assert_eq!(place.reader().page(&query, clock().now()).unwrap().records.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_newer_version_are_left_alone() {
    let Some(place) = Place::postgres() else { return };
    place.open().close().await;
    place.tamper("UPDATE tollgate_audit SET version = 99");
    let refused = Audit::open(&place.settings, place.dir.path(), clock()).unwrap_err();
    assert!(refused.message.contains("schema 99"), "{refused}");
    let refused = Reader::open(&place.settings, place.dir.path()).unwrap_err();
    assert!(refused.to_string().contains("schema 99"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sinks_go_on_where_the_chain_was_left() {
    let Some(mut place) = Place::postgres() else { return };
    let lines = place.dir.path().join("out.ndjson");
    let sink = toml::from_str(&format!(
        "name = \"out\"\nto = {{ file = \"{}\" }}\nfrom = \"beginning\"",
        lines.display()
    ));
    place.settings.sinks = vec![sink.unwrap()];
    for round in 0..3 {
        let audit = place.open();
        audit.record(vec![numbered(round)]).await.unwrap();
        audit.close().await;
    }
    let text = std::fs::read_to_string(&lines).unwrap();
    let requests: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["data"]["request_id"].clone())
        .collect();
    assert_eq!(requests, ["req-0", "req-1", "req-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_verified_and_a_password_is_never_shown() {
    let Some(cluster) = Postgres::start() else { return };
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("other.pem"), other.cert.pem()).unwrap();
    std::fs::write(dir.path().join("password"), "correct-canary").unwrap();
    std::fs::write(dir.path().join("wrong"), "wrong-canary").unwrap();
    cluster.secure(&made.cert.pem(), &made.signing_key.serialize_pem());
    cluster.run("CREATE ROLE secret LOGIN PASSWORD 'correct-canary'; CREATE SCHEMA secret AUTHORIZATION secret");
    let open = |query: &str, password: &str| {
        let settings = Settings {
            store: format!("postgres://secret@127.0.0.1:{}/postgres?{query}", cluster.port()),
            store_password: Some(SecretSource::File { file: password.into() }),
            on_failure: OnFailure::Spool,
            ..settings()
        };
        Audit::open(&settings, dir.path(), clock())
    };
    let refused = open("sslmode=disable", "wrong").unwrap_err().to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");
    assert!(!refused.contains("canary"), "{refused}");

    let audit = open("sslmode=verify-full&sslrootcert=ca.pem", "password").unwrap();
    audit.record(vec![numbered(1)]).await.unwrap();
    assert!(audit.health().spooled.is_none());
    let encrypted = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'secret'";
    assert_eq!(cluster.run(encrypted), "t");
    audit.close().await;
    drop(audit);

    // Somebody else's certificate is nobody's: records stay here.
    let audit = open("sslmode=verify-full&sslrootcert=other.pem", "password").unwrap();
    audit.record(vec![numbered(2)]).await.unwrap();
    assert_eq!(audit.health().spooled.unwrap().records, 1);
    audit.close().await;
}
