//! The log: found, followed, looked into and taken away.

use serde_json::{Value, json};
use tollgate::event::Trigger;

use super::{decide, page, text};
use crate::world::{Reply, Setup, World};

/// The numbers of the records on a page, in its order.
fn shown(page: &str) -> Vec<u64> {
    let rows = page.split("<tr id=\"record-").skip(1);
    rows.map(|row| row.split('"').next().unwrap().parse().unwrap())
        .collect()
}

/// Where a link of a page leads.
fn link(page: &str, id: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("id=\"{id}\""))?;
    let (_, rest) = rest.split_once("href=\"")?;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

#[tokio::test]
async fn records_are_found_by_whatever_is_known_of_them() {
    let world = World::start("").await;
    world.hook.deny(Trigger::PreSignup, "Work e-mail only");
    decide(&world).await;
    let dashboard = world.dashboard();
    let all = shown(&text(&dashboard, "/log").await);
    assert!(all.len() >= 4 && all.is_sorted_by(|a, b| a > b), "{all:?}");
    let records = world.audit();
    for record in &records {
        let entry = &record.entry;
        let Some(trigger) = entry.trigger else { continue };
        let request = &entry.request_id;
        for condition in [
            format!("trigger={trigger}"),
            format!("interceptor={trigger}"),
            format!("request={request}"),
        ] {
            let found = shown(&text(&dashboard, &format!("/log?{condition}")).await);
            assert!(found.contains(&record.seq), "{condition} does not find {}", record.seq);
            assert!(found.len() < all.len(), "{condition} finds everything");
        }
    }
    for (conditions, count) in [
        ("decision=deny", 1),
        ("user=ada.new@example.com", 1),
        ("user=ada.new*", 1),
        ("text=WORK+e-mail", 1),
        ("client=batch", 1),
        ("trigger=PRE_SIGNUP&decision=allow", 0),
        ("decided_by=breaker", 0),
        ("status=500", 0),
        ("since=1h&kind=consult&decision=deny", 1),
        ("until=2020-01-01", 0),
    ] {
        let found = text(&dashboard, &format!("/log?{conditions}")).await;
        assert_eq!(shown(&found).len(), count, "{conditions}");
        assert_eq!(found.contains("No record fits."), count == 0, "{conditions}");
    }
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_said_beside_the_form() {
    let world = World::start("").await;
    let answer = page(&world.dashboard(), "/log?since=soon&status=many&user=ada").await;
    assert_eq!(answer.status, 400);
    let shown = answer.text();
    assert!(
        shown.contains("From: `soon` is no time") && shown.contains("Status: "),
        "{shown}"
    );
    assert!(shown.contains("value=\"ada\""), "what was typed in stays: {shown}");
}

#[tokio::test]
async fn pages_lead_to_older_records_and_back_and_keep_the_conditions() {
    let world = World::start("").await;
    for number in 0..120 {
        world.sign_up(&format!("u{number}@example.com")).await;
    }
    let dashboard = world.dashboard();
    let (mut target, mut seen) = ("/log?trigger=PRE_SIGNUP".to_owned(), Vec::new());
    loop {
        let page = text(&dashboard, &target).await;
        seen.extend(shown(&page));
        match link(&page, "older") {
            Some(older) => target = older,
            None => break,
        }
        assert!(
            target.contains("trigger=PRE_SIGNUP") && target.contains("before="),
            "{target}"
        );
    }
    assert_eq!(seen.len(), 120);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
    let last = text(&dashboard, &target).await;
    let newer = link(&last, "newer").expect("a way back");
    assert_eq!(shown(&text(&dashboard, &newer).await), seen[50..100]);
}

#[tokio::test]
async fn a_live_list_asks_for_its_rows_and_says_so_in_the_page_alone() {
    let world = World::start("").await;
    decide(&world).await;
    let dashboard = world.dashboard();
    let live = text(&dashboard, "/log?live=1&trigger=PRE_SIGNUP").await;
    assert!(
        live.contains("hx-get=\"/log/rows\" hx-include=\"#filters\" hx-trigger=\"every 2s\""),
        "{live}"
    );
    assert!(!text(&dashboard, "/log").await.contains("hx-get"));
    assert!(!text(&dashboard, "/log?live=1&before=3").await.contains("hx-get"));
    let rows = text(&dashboard, "/log/rows?trigger=PRE_SIGNUP").await;
    assert_eq!(shown(&rows).len(), 1);
    assert!(!rows.contains("<html"));
}

#[tokio::test]
async fn a_record_says_what_was_sent_what_came_back_and_what_it_changed() {
    let world = World::start("").await;
    world.hook.reply(
        Trigger::PreSessionCreation,
        Reply::Json(json!({
            "decision": "ALLOW",
            "response": {"claims": {"plan": "gold"}, "id_token": {"claims": {"seats": 40}}, "annotations": {"rule": "r7"}},
        })),
    );
    world.log_in().await;
    let record = world
        .recorded("the session", |r| r.entry.trigger == Some(Trigger::PreSessionCreation))
        .await;
    let dashboard = world.dashboard();
    for name in [record.seq.to_string(), record.id.to_string()] {
        let shown = text(&dashboard, &format!("/log/{name}")).await;
        for part in [
            "Allowed",
            "&quot;decision&quot;: &quot;ALLOW&quot;",
            "&quot;trigger_point&quot;: &quot;PRE_SESSION_CREATION&quot;",
            "&quot;gold&quot;",
            "40",
            ">added<",
            "ID token",
            "access token",
            "r7",
            "/log?user=ada%40example.com",
            &format!("/log?request={}", record.entry.request_id),
            &record.hash.to_string(),
        ] {
            assert!(shown.contains(part), "{name} does not say {part}: {shown}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_refused_is_shown_with_the_reason() {
    let world = World::start("").await;
    world
        .hook
        .claims(Trigger::PreSessionCreation, json!({"sub": "somebody else"}));
    let code = world.code("web").await;
    world.redeem(&code).await;
    let record = world.recorded("the refusal", |r| r.entry.failure.is_some()).await;
    let shown = text(&world.dashboard(), &format!("/log/{}", record.seq)).await;
    assert!(
        shown.contains("Failed closed") && shown.contains("the answer was refused"),
        "{shown}"
    );
    assert!(shown.contains("on_invalid"), "{shown}");
}

#[tokio::test]
async fn every_claim_of_a_refused_answer_is_named_with_the_reason() {
    let world = World::start("").await;
    world.hook.claims(
        Trigger::PreSessionCreation,
        json!({"sub": "somebody else", "email": "x@example.com", "plan": "gold"}),
    );
    let code = world.code("web").await;
    world.redeem(&code).await;
    let record = world.recorded("the refusal", |r| r.entry.failure.is_some()).await;
    for names in [&record.entry.claims.access_token, &record.entry.claims.id_token] {
        let refused: Vec<_> = names.refused.iter().map(|claim| claim.name.as_str()).collect();
        assert!(names.added.is_empty() && names.replaced.is_empty(), "{names:?}");
        assert!(refused.contains(&"sub") && !refused.contains(&"plan"), "{refused:?}");
    }
    let shown = text(&world.dashboard(), &format!("/log/{}", record.seq)).await;
    for (claim, why) in [
        ("sub", "may not be set by an interceptor"),
        (
            "email",
            "is already set by the upstream and <code>may_override</code> does not list it",
        ),
        ("plan", "nothing is taken of an answer that cannot be taken as a whole"),
    ] {
        let row = shown
            .split("<tr>")
            .find(|row| row.contains(&format!(">{claim}</th><td>ID token")));
        assert!(
            row.is_some_and(|row| row.contains(why) && row.contains(">refused<")),
            "{claim}: {shown}"
        );
    }
}

#[tokio::test]
async fn every_call_of_an_endpoint_is_shown_with_its_outcome() {
    let world = World::with(Setup::generic().policy(Trigger::PreSignup, "on_failure = \"deny\"\nretries = 1")).await;
    world
        .hook
        .reply(Trigger::PreSignup, Reply::Raw(503, "text/plain", "later".into()));
    world.sign_up("ada.new@example.com").await;
    let record = world.recorded("the denial", |r| r.entry.failure.is_some()).await;
    let calls = &record.entry.calls;
    assert_eq!((record.entry.attempts, calls.len()), (Some(2), 2), "{calls:?}");
    for call in calls {
        assert_eq!(call.status, Some(503));
        assert_eq!(call.failure.as_ref().unwrap().detail, "the endpoint answered 503");
    }
    assert!(calls[0].time <= calls[1].time && calls[1].time <= record.time);
    let shown = text(&world.dashboard(), &format!("/log/{}", record.seq)).await;
    assert!(shown.contains("Calls of the endpoint"), "{shown}");
    assert_eq!(
        shown.matches("the endpoint answered 503").count(),
        3,
        "both calls, and the decision"
    );

    world.hook.reply(Trigger::PreSignup, Reply::Allow);
    world.sign_up("ada.newer@example.com").await;
    let record = world.recorded("the other", |r| r.entry.failure.is_none()).await;
    let [call] = &record.entry.calls[..] else {
        panic!("{:?}", record.entry.calls)
    };
    assert_eq!((call.status, &call.failure), (Some(200), &None));
}

#[tokio::test]
async fn the_other_consults_of_a_request_are_beside_it() {
    let second = "[[interceptor]]\nname = \"Second\"\ntrigger = \"PRE_SIGNUP\"\nendpoint = \"{hooks}/PRE_SIGNUP\"\n\
                  secret = { file = \"hook.key\" }\non_failure = \"deny\"\n";
    let world = World::start(second).await;
    world.sign_up("ada.new@example.com").await;
    let shown = text(&world.dashboard(), "/log/1").await;
    assert!(
        shown.contains("Also recorded of this request") && shown.contains("/log/2"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_export_has_every_record_of_the_view() {
    let world = World::start("").await;
    for number in 0..60 {
        world.sign_up(&format!("u{number}@example.com")).await;
    }
    world.machine_token("reports:read").await;
    let dashboard = world.dashboard();
    let answer = page(&dashboard, "/log/export.ndjson?trigger=PRE_SIGNUP").await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert!(answer.header("content-disposition").unwrap().starts_with("attachment"));
    let lines: Vec<Value> = answer
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 60);
    assert!(
        lines
            .iter()
            .all(|line| line["trigger"] == "PRE_SIGNUP" && line["hash"].is_string())
    );
    let csv = text(&dashboard, "/log/export.csv").await;
    assert_eq!(csv.lines().count(), 62, "a heading and 61 records");
    let reader = tollgate::audit::Reader::open(&Default::default(), world.folder.path()).unwrap();
    let mut written = Vec::new();
    let format = tollgate::audit::Format::Csv;
    let now = jiff::Timestamp::now();
    reader.export(&Default::default(), format, now, &mut written).unwrap();
    assert_eq!(
        csv,
        String::from_utf8(written).unwrap(),
        "as the command line writes it"
    );
    assert_eq!(page(&dashboard, "/log/export.csv?since=soon").await.status, 400);
}
