use super::*;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

/// A store with one record of each kind, ten minutes apart.
async fn story(dir: &Path) -> Audit {
    let clock = clock();
    let audit = Audit::open(&settings(), dir, clock.clone()).unwrap();
    let denied = Consultation {
        effect: Effect::Deny,
        decided_by: DecidedBy::OnFailure,
        failure: Some(crate::verdict::Failure {
            kind: crate::verdict::FailureKind::Down,
            detail: "no answer within 3s".into(),
        }),
        additions: Additions::default(),
        annotations: serde_json::Map::new(),
        warnings: Vec::new(),
        answer: None,
        status: None,
        reason: None,
        ..consultation()
    };
    let mut later = event();
    later.context.request_id = "req-2".into();
    later.context.user_email = Some("Bob@Example.com".into());
    later.context.user_id = Some("u-2".into());
    for entries in [
        vec![Entry::of_consult(&event(), &consultation())],
        vec![
            Entry::of_consult(&later, &denied),
            Entry::of_revocation(&later, "refresh_token", Ok(())),
        ],
        vec![
            Entry::of_refusal("duplicate_parameter", "`email` occurs twice").within(&Context {
                request_id: "req-3".into(),
                ..Context::default()
            }),
        ],
        vec![Entry::of_failure("unverified_token", "the ID token's `at_hash` is wrong").about(&later)],
    ] {
        audit.record(entries).await.unwrap();
        clock.set(clock.now() + std::time::Duration::from_secs(600));
    }
    audit
}

#[tokio::test]
async fn the_list_is_a_table_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let _audit = story(dir.path()).await;
    let table = text(|out| {
        assert_eq!(
            reader(dir.path()).list(&Query::default(), clock().now(), out).unwrap(),
            5
        )
    });
    let expected = "\
SEQ  TIME                      TRIGGER                          DECISION  BY                   INTERCEPTOR     USER             CLIENT   MS  NOTE
  5  2026-11-23T10:45:00.123Z  failure PRE_SESSION_CREATION                                                    Bob@Example.com  web-app      unverified_token: the ID token's `at_ha…
  4  2026-11-23T10:35:00.123Z  refused                          DENY      duplicate_parameter                                                `email` occurs twice
  3  2026-11-23T10:25:00.123Z  revocation PRE_SESSION_CREATION                                                 Bob@Example.com  web-app      refresh_token revoked
  2  2026-11-23T10:25:00.123Z  PRE_SESSION_CREATION             DENY      on_failure           Plan and seats  Bob@Example.com  web-app  12  down: no answer within 3s
  1  2026-11-23T10:15:00.123Z  PRE_SESSION_CREATION             ALLOW     endpoint             Plan and seats  ada@example.com  web-app  12  paid until May
";
    assert_eq!(table, expected);
}

#[tokio::test]
async fn each_filter_finds_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let _audit = story(dir.path()).await;
    let reader = reader(dir.path());
    let now = "2026-11-23T10:50:00Z".parse().unwrap();
    let any = Query::default;
    for (query, expected) in [
        (any(), vec![5, 4, 3, 2, 1]),
        (
            Query {
                limit: Some(2),
                ..any()
            },
            vec![5, 4],
        ),
        (
            Query {
                since: Some("20m".parse().unwrap()),
                ..any()
            },
            vec![5, 4],
        ),
        (
            Query {
                since: Some("2026-11-23T10:25:00.123Z".parse().unwrap()),
                until: Some("10m".parse().unwrap()),
                ..any()
            },
            vec![4, 3, 2],
        ),
        (
            Query {
                trigger: Some(Trigger::PreSessionCreation),
                ..any()
            },
            vec![5, 3, 2, 1],
        ),
        (
            Query {
                trigger: Some(Trigger::PreSignup),
                ..any()
            },
            vec![],
        ),
        (
            Query {
                decision: Some(Effect::Deny),
                ..any()
            },
            vec![4, 2],
        ),
        (
            Query {
                interceptor: Some("Plan and seats".into()),
                ..any()
            },
            vec![2, 1],
        ),
        (
            Query {
                client: Some("web-app".into()),
                ..any()
            },
            vec![5, 3, 2, 1],
        ),
        (
            Query {
                user: Some("bob@example.com".into()),
                ..any()
            },
            vec![5, 3, 2],
        ),
        (
            Query {
                user: Some("u-1".into()),
                ..any()
            },
            vec![1],
        ),
        (
            Query {
                request: Some("req-2".into()),
                ..any()
            },
            vec![5, 3, 2],
        ),
        (
            Query {
                kind: Some(Kind::Revocation),
                ..any()
            },
            vec![3],
        ),
        (
            Query {
                text: Some("AT_HASH` is".into()),
                ..any()
            },
            vec![5],
        ),
        (
            Query {
                text: Some("%".into()),
                ..any()
            },
            vec![],
        ),
        (
            Query {
                decision: Some(Effect::Deny),
                kind: Some(Kind::Consult),
                ..any()
            },
            vec![2],
        ),
        (
            Query {
                user: Some("' OR 1=1 --".into()),
                ..any()
            },
            vec![],
        ),
    ] {
        let found: Vec<_> = reader.records(&query, now).unwrap().iter().map(|r| r.seq).collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

#[tokio::test]
async fn a_query_is_read_from_arguments() {
    use clap::{Args, FromArgMatches};

    let line =
        "list --since 24h --until 2026-11-24 --trigger PRE_SIGNUP --decision DENY --kind refused --user ada --limit 5";
    let matches = Query::augment_args(clap::Command::new("list"))
        .try_get_matches_from(line.split(' '))
        .unwrap();
    let query = Query::from_arg_matches(&matches).unwrap();
    assert_eq!(query.decision, Some(Effect::Deny));
    assert_eq!(query.kind, Some(Kind::Refused));
    assert_eq!(query.trigger, Some(Trigger::PreSignup));
    assert_eq!(query.limit, Some(5));
    for wrong in [
        "list --decision maybe",
        "list --kind x",
        "list --since soon",
        "list --trigger LOGIN",
    ] {
        assert!(
            Query::augment_args(clap::Command::new("list"))
                .try_get_matches_from(wrong.split(' '))
                .is_err(),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_record_is_shown_in_sections() {
    let dir = tempfile::tempdir().unwrap();
    let _audit = story(dir.path()).await;
    let record = all(dir.path())[0].clone();
    let shown = text(|out| reader(dir.path()).show("1", out).unwrap());
    let expected = format!(
        "\
Record 1
  id            {id}
  time          2026-11-23T10:15:00.123Z
  kind          consult
  request id    req-1

Decision
  decision      allow
  decided by    endpoint
  reason        paid until May
  claims        access_token: +seats ~plan; id_token: +plan
  warnings      close to the seat limit

Circumstances
  trigger       PRE_SESSION_CREATION
  operation     token
  realm         customers
  client id     web-app
  user id       u-1
  user email    ada@example.com
  ip address    203.0.113.9
  interceptor   Plan and seats
  consult id    msg_1
  status        200
  attempts      1
  calls         2026-11-23T10:15:00.123Z 200 in 11 ms, ok
  duration ms   12

Chain
  prev hash     {genesis}
  hash          {hash}

Event
  {{
",
        id = record.id,
        genesis = Hash::genesis(),
        hash = record.hash
    );
    assert!(shown.starts_with(&expected), "{shown}");
    assert!(
        shown.contains("Answer\n  {\n    \"decision\": \"ALLOW\"")
            && shown.ends_with("Annotations\n  {\n    \"rule\": 7\n  }\n"),
        "{shown}"
    );
    let denied = text(|out| reader(dir.path()).show("2", out).unwrap());
    assert!(
        denied.contains("  failure       down: no answer within 3s\n"),
        "{denied}"
    );
}

#[tokio::test]
async fn a_record_is_found_by_number_id_prefix_and_request() {
    let dir = tempfile::tempdir().unwrap();
    let audit = story(dir.path()).await;
    let reader = reader(dir.path());
    let records = all(dir.path());
    let seqs = |name: &str| {
        let shown = text(|out| reader.show_json(name, out).unwrap());
        match serde_json::from_str(&shown).unwrap() {
            serde_json::Value::Array(records) => records.iter().map(|r| r["seq"].as_u64().unwrap()).collect(),
            record => vec![record["seq"].as_u64().unwrap()],
        }
    };
    let id = records[3].id.to_string();
    assert_eq!(seqs("4"), [4]);
    assert_eq!(seqs(&id), [4]);
    assert_eq!(seqs(&id.to_uppercase()), [4]);
    assert_eq!(seqs(&id[..30]), [4]);
    assert_eq!(seqs("req-2"), [2, 3, 5]);
    assert!(matches!(
        reader.show(&id[..3], &mut Vec::new()),
        Err(ReadError::Ambiguous { count: 5, .. })
    ));
    for unknown in ["99", "req-9", "", "' OR 1=1 --", "%"] {
        assert!(
            matches!(reader.show(unknown, &mut Vec::new()), Err(ReadError::Unknown(_))),
            "{unknown}"
        );
    }
    audit.close().await;
}

#[tokio::test]
async fn json_lines_carry_the_record_and_its_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let _audit = story(dir.path()).await;
    let lines = text(|out| {
        assert_eq!(
            reader(dir.path())
                .list_json(&Query::default(), clock().now(), out)
                .unwrap(),
            5
        )
    });
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines.iter().map(|r| r["seq"].as_u64().unwrap()).collect::<Vec<_>>(),
        [5, 4, 3, 2, 1]
    );
    assert_eq!(
        lines[4]["claims"],
        json!({"access_token": {"added": ["seats"], "replaced": ["plan"]}, "id_token": {"added": ["plan"]}})
    );
    assert_eq!(lines[3]["prev_hash"], lines[4]["hash"]);
    assert_eq!(lines[1]["decided_by"], "duplicate_parameter");
}

#[tokio::test]
async fn an_export_is_oldest_first_in_each_format() {
    let dir = tempfile::tempdir().unwrap();
    let _audit = story(dir.path()).await;
    let export = |format| {
        let query = Query::default();
        let lines = text(|out| {
            assert_eq!(
                reader(dir.path()).export(&query, format, clock().now(), out).unwrap(),
                5
            )
        });
        lines.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let parsed = |lines: &[String]| -> Vec<serde_json::Value> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let records = parsed(&export(Format::Ndjson));
    assert_eq!(
        records.iter().map(|r| r["seq"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    let events = parsed(&export(Format::CloudEvents));
    for (event, record) in events.iter().zip(&records) {
        assert_eq!(event["data"], *record);
        assert_eq!(
            (&event["specversion"], &event["id"], &event["time"]),
            (&json!("1.0"), &record["id"], &record["time"])
        );
    }
    assert_eq!(events[2]["type"], "tollgate.audit.revocation");
    assert_eq!(events[2]["sequence"], "00000000000000000003");
    let csv = export(Format::Csv);
    assert_eq!(csv.len(), 6);
    assert!(csv[0].starts_with("seq,time,id,kind,"), "{}", csv[0]);
    assert!(
        csv[4].starts_with("4,2026-11-23T10:35:00.123Z,") && csv[4].contains(",refused,,deny,\"duplicate_parameter\","),
        "{}",
        csv[4]
    );
}

#[tokio::test]
async fn the_store_is_read_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let writing = tokio::spawn({
        let audit = audit.clone();
        async move {
            for number in 0..100 {
                audit.record(vec![numbered(number)]).await.unwrap();
            }
        }
    });
    let mut before = 0;
    while before < 100 {
        let reader = reader(dir.path());
        let report = reader.only_chain(None).unwrap();
        assert!(report.holds() && report.records >= before, "{report}");
        assert!(reader.records(&Query::default(), clock().now()).unwrap().len() as u64 >= report.records.min(50));
        before = report.records;
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    assert!(audit.health().failing.is_none());
}

#[tokio::test]
async fn a_missing_store_is_named_and_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let error = Reader::open(&settings(), dir.path()).unwrap_err();
    assert!(error.to_string().contains("there is no audit at"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // One that was made and never written to is not missing.
    open(dir.path()).close().await;
    let report = reader(dir.path()).only_chain(Some(Head::genesis())).unwrap();
    assert!(report.holds(), "{report}");
    assert_eq!(
        text(|out| assert_eq!(
            reader(dir.path()).list(&Query::default(), clock().now(), out).unwrap(),
            0
        )),
        "no records\n"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_copy_on_a_read_only_disk_can_be_checked() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    story(dir.path()).await.close().await;
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&dir.path().join("audit.db"), 0o400);
    mode(dir.path(), 0o500);
    let report = reader(dir.path()).only_chain(None);
    mode(dir.path(), 0o700);
    assert!(report.unwrap().holds());
}

#[tokio::test]
async fn a_record_that_was_made_unreadable_is_named_and_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let _audit = story(dir.path()).await;
    raw(dir.path())
        .execute("UPDATE record SET body = CAST(x'ff00' AS TEXT) WHERE seq = 2", [])
        .unwrap();
    let reader = reader(dir.path());
    let table = text(|out| assert_eq!(reader.list(&Query::default(), clock().now(), out).unwrap(), 5));
    assert!(
        table.contains("  2  ") && table.contains("`tollgate audit verify` says why"),
        "{table}"
    );
    let lines = text(|out| assert_eq!(reader.list_json(&Query::default(), clock().now(), out).unwrap(), 5));
    assert!(lines.contains(r#"{"seq":2,"unreadable""#), "{lines}");
    assert!(text(|out| reader.show("2", out).unwrap()).contains("cannot be read"));
    assert_eq!(reader.only_chain(None).unwrap().flaw.unwrap().seq, 2);
}
