//! A million records: what is asked for is found in steps that do not grow with their number.

use super::{query::Way, sqlite::seek, *};

const MILLION: u64 = 1_000_000;

/// The records' rows as this version would write them, indexes made at the end; the texts are short and unchained.
fn fill(dir: &Path) {
    let store = raw(dir);
    let mut select = store
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'facet'")
        .unwrap();
    let indexes: Vec<(String, String)> = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    drop(select);
    let mut script = String::from("BEGIN;");
    for (name, _) in &indexes {
        script += &format!("DROP INDEX {name};");
    }
    script += &format!(
        "CREATE TEMP TABLE n (n INTEGER PRIMARY KEY, email TEXT, id TEXT);
         WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < {MILLION})
         INSERT INTO n SELECT n, printf('user%d@customer%d.example', n % 100000, n % 997), printf('00000000-0000-7000-8000-%012d', n) FROM count;
         INSERT INTO facet (seq, time_ms, kind, trigger, decision, decided_by, interceptor, client_id, request_id, user_email, email_domain)
         SELECT n, 1795000000000 + n * 1000, 'consult', iif(n % 10, 'PRE_SESSION_CREATION', 'PRE_SIGNUP'), iif(n % 50, 'allow', 'deny'),
             iif(n % 5000, 'endpoint', 'on_failure'), iif(n < 900000, 'old', 'new'), 'client-' || (n % 40), 'req-' || (n / 2), email,
             substr(email, instr(email, '@') + 1) FROM n;
         INSERT INTO record (seq, id, prev_hash, hash, body)
         SELECT n, id, zeroblob(32), zeroblob(32),
             printf('{{\"id\":\"%s\",\"kind\":\"consult\",\"seq\":%d,\"time\":\"2026-11-23T10:15:00.123Z\",\"user_email\":\"%s\"}}', id, n, email) FROM n;
         INSERT INTO span SELECT (1795000000000 + n * 1000) / 60000, min(n), max(n) FROM n GROUP BY 1;",
    );
    for (_, sql) in &indexes {
        script += &format!("{sql};");
    }
    store.execute_batch(&(script + "COMMIT;")).unwrap();
}

#[tokio::test]
async fn a_million_records_are_searched_in_steps_of_an_index() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    fill(dir.path());

    let store = raw(dir.path());
    let plan = |sql: &str| -> String {
        let sql = sql.replace("?1", "1").replace("?2", "'x'");
        let mut select = store.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = select.query_map([], |row| row.get::<_, String>(3)).unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
    };
    for name in facets::NAMES.into_iter().filter(|name| *name != "time_ms") {
        let index = format!("USING COVERING INDEX facet_{name} ({name}=? AND rowid");
        for way in [Way::Back, Way::Forth] {
            let plan = plan(&seek(name, way));
            assert!(
                plan.starts_with("SEARCH facet ") && plan.contains(&index) && !plan.contains(';'),
                "{plan}"
            );
        }
    }

    let reader = reader(dir.path());
    let any = Query::default;
    let own = |text: &str| Some(text.to_owned());
    for (effort, expected, query) in [
        (200, 50, any()),
        (
            10,
            1,
            Query {
                user: own("USER77@customer77.example"),
                ..any()
            },
        ),
        (
            100,
            10,
            Query {
                user: own("user77@*"),
                ..any()
            },
        ),
        (
            10,
            0,
            Query {
                user: own("nobody@example.com"),
                ..any()
            },
        ),
        (
            200,
            50,
            Query {
                user: own("@CUSTOMER7.example"),
                ..any()
            },
        ),
        (
            200,
            50,
            Query {
                user: own("user7777*"),
                ..any()
            },
        ),
        (
            10,
            2,
            Query {
                request: own("req-400"),
                ..any()
            },
        ),
        (
            200,
            50,
            Query {
                decision: Some(Effect::Deny),
                ..any()
            },
        ),
        // Signups are each tenth, denials each fiftieth.
        (
            1_000,
            50,
            Query {
                decision: Some(Effect::Deny),
                trigger: Some(Trigger::PreSignup),
                ..any()
            },
        ),
        // All of them lie behind 100,000 others.
        (
            1_000,
            50,
            Query {
                interceptor: own("old"),
                decision: Some(Effect::Deny),
                ..any()
            },
        ),
        (
            1_000,
            0,
            Query {
                interceptor: own("new"),
                before: Some(900_000.into()),
                decision: Some(Effect::Deny),
                ..any()
            },
        ),
        (
            1_000,
            50,
            Query {
                decided_by: own("on_failure"),
                interceptor: own("old"),
                decision: Some(Effect::Deny),
                ..any()
            },
        ),
        (
            500,
            50,
            Query {
                until: Some(Moment::At(
                    jiff::Timestamp::from_millisecond(1_795_300_000_000).unwrap(),
                )),
                ..any()
            },
        ),
    ] {
        let page = reader.page_within(&query, clock().now(), effort).unwrap();
        assert_eq!(page.records.len(), expected, "{query:?}");
        assert_eq!(page.looked_to, None, "more than {effort} steps: {query:?}");
    }
}
