//! The tab Test.

use std::fs;

use serde_json::{Value, json};
use tollgate::event::Trigger;

use super::{csrf, text};
use crate::world::{Answer, Reply, Setup, World, until};

const TAB: &str = "/interceptors/PRE_SESSION_CREATION/test";

/// The event in the editor.
fn event(page: &str) -> String {
    let (_, rest) = page.split_once("<textarea").expect("an editor");
    let text = rest.split_once(">\n").unwrap().1.split("</textarea>").next().unwrap();
    let text = text
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    text.replace("&amp;", "&")
}

/// Sends a form of the tab.
async fn post(world: &World, target: &str, fields: &[(&str, &str)]) -> Answer {
    let dashboard = world.dashboard();
    let token = csrf(&text(&dashboard, TAB).await);
    let fields = [&[("csrf", token.as_str())], fields].concat();
    dashboard.call("POST", target).form(&fields).send().await
}

async fn run(world: &World, event: &str) -> String {
    let answer = post(world, TAB, &[("action", "run"), ("event", event)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

async fn sample(world: &World) -> String {
    event(&text(&world.dashboard(), TAB).await)
}

#[tokio::test]
async fn a_trial_shows_what_was_sent_what_came_back_and_what_tokens_would_have_and_records_nothing() {
    let world = World::start("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let event = sample(&world).await.replace("ada@example.com", "eve@example.com");
    let page = run(&world, &event).await;
    let asked = world.hook.asked(Trigger::PreSessionCreation);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].event["interceptor_context"]["dry_run"], true);
    assert_eq!(asked[0].event["interceptor_context"]["user_email"], "eve@example.com");
    let header = |name: &str| asked[0].headers[name].to_str().unwrap().to_owned();
    let signed = format!(
        "{}.{}.{{&quot;display_name&quot;",
        header("interceptor-id"),
        header("interceptor-timestamp")
    );
    for part in [
        "Allowed",
        "The endpoint decided",
        "<code>plan</code> <span class=\"change added\">added</span>",
        "&quot;gold&quot;",
        &header("interceptor-signature"),
        &signed,
        "curl --silent",
        "eve@example.com",
    ] {
        assert!(page.contains(part), "{part} is missing from {page}");
    }
    assert!(world.audit().is_empty());
}

#[tokio::test]
async fn hostile_answers_are_bounded_escaped_and_shown_as_what_production_would_make_of_them() {
    let setup = Setup::generic().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"allow\"\ntimeout = \"300ms\"",
    );
    let world = World::with(setup).await;
    let event = sample(&world).await;
    let script = "<script>alert(1)</script>\u{202e}";
    for (reply, verdict, part) in [
        (
            Reply::Raw(200, "application/json", "x".repeat(900_000)),
            "Failed, and denied",
            "larger than 256 KiB",
        ),
        (
            Reply::Raw(200, "text/html", script.into()),
            "Failed, and denied",
            "Content-Type",
        ),
        (
            Reply::Raw(500, "text/html", script.into()),
            "Failed, and allowed",
            "answered 500",
        ),
        (
            Reply::Raw(200, "application/json", format!("{{\"{script}\": ")),
            "Failed, and denied",
            "EOF while parsing",
        ),
        (
            Reply::Json(json!({"decision": script})),
            "Failed, and denied",
            "<code>/decision</code> must be",
        ),
        (
            Reply::Json(json!({"decision": "ALLOW", "response": {"claims": {"sub": script, "plan": 1}}})),
            "Failed, and denied",
            "<code>/response/claims/sub</code> may not be set",
        ),
        (
            Reply::Deny(script.into()),
            "Denied",
            "&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}",
        ),
    ] {
        world.hook.reply(Trigger::PreSessionCreation, reply);
        let page = run(&world, &event).await;
        assert!(
            page.contains(verdict) && page.contains(part),
            "{verdict}, {part}: {page}"
        );
        assert!(!page.contains("<script>alert") && !page.contains('\u{202e}'), "{page}");
        assert!(page.len() < 200_000, "{} bytes", page.len());
    }
    let held = world.hook.hold(Trigger::PreSessionCreation);
    let page = run(&world, &event).await;
    assert!(
        page.contains("Failed, and allowed") && page.contains("timed out after 3"),
        "{page}"
    );
    held.release();
    assert!(world.audit().is_empty());
}

#[tokio::test]
async fn an_event_with_mistakes_is_marked_line_by_line_and_not_sent() {
    let world = World::start("").await;
    let wrong = sample(&world)
        .await
        .replace("\"Desktop\"", "7")
        .replace("\"trace_id\"", "\"trace_ic\"");
    let line = wrong.lines().position(|line| line.contains("device_type")).unwrap() + 1;
    let page = run(&world, &wrong).await;
    for part in [
        "Nothing was sent",
        &format!("data-line=\"{line}\">{line}:5</a> <code>/interceptor_context/device_type</code> must be"),
        &format!("<span class=\"fail\">{line}</span>"),
        "did you mean `trace_id`?",
    ] {
        assert!(page.contains(part), "{part} is missing from {page}");
    }
    assert_eq!(
        event(&page).trim_end(),
        wrong.trim_end(),
        "what was written is still there"
    );
    let check = format!("{TAB}/check");
    let marks = post(&world, &check, &[("event", "{\r\n\t\"data\": x")]).await.text();
    assert!(marks.starts_with("<div id=\"marks\""), "{marks}");
    assert!(
        marks.contains("data-lines=\"2:fail \"") && marks.contains("expected value"),
        "{marks}"
    );
    assert!(world.hook.all().is_empty());
}

#[tokio::test]
async fn a_past_event_is_tried_again_without_what_the_audit_does_not_keep() {
    let world = World::start("").await;
    world.log_in().await;
    let record = world
        .recorded("the login", |record| {
            record.entry.trigger == Some(Trigger::PreSessionCreation)
        })
        .await;
    let before = world.audit().len();
    let page = text(&world.dashboard(), &format!("{TAB}?record={}", record.seq)).await;
    assert!(page.contains(&format!("the event of record {}", record.seq)), "{page}");
    let past: Value = serde_json::from_str(&event(&page)).unwrap();
    assert_eq!(Some(&past), record.entry.event.as_ref());
    let by_request = text(&world.dashboard(), &format!("{TAB}?record={}", record.entry.request_id)).await;
    assert_eq!(event(&by_request), event(&page));
    run(&world, &event(&page)).await;
    let asked = world.hook.event(Trigger::PreSessionCreation);
    assert_eq!(asked["data"], past["data"]);
    assert_eq!(asked["interceptor_context"]["dry_run"], true);
    for nothing in ["999999", "nonsense", "../../etc/passwd"] {
        let page = text(&world.dashboard(), &format!("{TAB}?record={nothing}")).await;
        assert!(page.contains("role=\"alert\""), "{page}");
    }
    assert_eq!(world.audit().len(), before);
}

#[tokio::test]
async fn cases_are_kept_loaded_and_tried() {
    let world = World::start("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let event_text = sample(&world).await;
    for name in ["../evil", "a/b", "", "a.json"] {
        let fields = [("action", "save"), ("event", event_text.as_str()), ("case", name)];
        let page = post(&world, TAB, &fields).await.text();
        assert!(page.contains("Nothing was sent: a case&#39;s name is"), "{page}");
    }
    assert!(world.hook.all().is_empty());
    let fields = [
        ("action", "save"),
        ("event", event_text.as_str()),
        ("case", "gold"),
        ("note", "<b>paying</b>"),
    ];
    let page = post(&world, TAB, &fields).await.text();
    assert!(
        page.contains("Kept as the case gold") && page.contains("&lt;b&gt;paying&lt;/b&gt;"),
        "{page}"
    );
    let file = fs::read_to_string(world.folder.path().join("cases/gold.json")).unwrap();
    let case: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(case["expect"]["id_token"], json!({"plan": "gold"}));
    assert!(
        post(&world, TAB, &fields)
            .await
            .text()
            .contains("Not kept: there is a case `gold` already")
    );

    let page = text(&world.dashboard(), &format!("{TAB}?case=gold")).await;
    assert_eq!(serde_json::from_str::<Value>(&event(&page)).unwrap(), case["event"]);
    let all = format!("{TAB}/cases");
    assert!(post(&world, &all, &[]).await.text().contains("1 of 1 met"));
    world
        .hook
        .claims(Trigger::PreSessionCreation, json!({"plan": "silver"}));
    let page = post(&world, &all, &[]).await.text();
    assert!(page.contains("0 of 1 met"), "{page}");
    assert!(
        page.contains("expected `plan` to be &quot;gold&quot;, got &quot;silver&quot;"),
        "{page}"
    );
    assert!(world.audit().is_empty());
}

#[tokio::test]
async fn a_replay_shows_what_the_endpoint_says_otherwise_now() {
    let world = World::start("").await;
    world
        .hook
        .claims(Trigger::PreSessionCreation, json!({"plan": "silver"}));
    world.log_in().await;
    world
        .recorded("the login", |record| {
            record.entry.trigger == Some(Trigger::PreSessionCreation)
        })
        .await;
    let before = world.audit().len();
    let replay = format!("{TAB}/replay");
    let page = post(&world, &replay, &[("since", "24h"), ("limit", "100000")])
        .await
        .text();
    assert!(page.contains("1 replayed: 1 the same"), "{page}");
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let page = post(&world, &replay, &[]).await.text();
    assert!(page.contains("0 the same, 1 different"), "{page}");
    assert!(
        page.contains("access_token.plan") && page.contains("&quot;silver&quot;"),
        "{page}"
    );
    let page = post(&world, &replay, &[("decision", "deny")]).await.text();
    assert!(page.contains("There is no such record."), "{page}");
    assert_eq!(world.audit().len(), before);
}

#[tokio::test]
async fn trials_of_an_endpoint_that_fails_neither_open_its_breaker_nor_count_against_production() {
    let setup = Setup::generic().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"allow\"\nbreaker = { failures_in_a_row = 2 }",
    );
    let world = World::with(setup).await;
    let event = sample(&world).await;
    world.hook.reply(
        Trigger::PreSessionCreation,
        Reply::Raw(503, "text/plain", String::new()),
    );
    for _ in 0..15 {
        assert!(run(&world, &event).await.contains("Failed, and allowed"));
    }
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    world.log_in().await;
    assert_eq!(
        world.hook.event(Trigger::PreSessionCreation)["interceptor_context"]["dry_run"],
        false
    );
}

#[tokio::test]
async fn no_more_than_four_trials_are_under_way_at_once() {
    let setup = Setup::generic().policy(Trigger::PreSessionCreation, "on_failure = \"deny\"\ntimeout = \"30s\"");
    let world = World::with(setup).await;
    let event = sample(&world).await;
    let held = world.hook.hold(Trigger::PreSessionCreation);
    let four = async {
        tokio::join!(
            run(&world, &event),
            run(&world, &event),
            run(&world, &event),
            run(&world, &event)
        )
    };
    let fifth = async {
        let asked = || world.hook.asked(Trigger::PreSessionCreation).len();
        until("four are asked", || async { asked() == 4 }).await;
        let page = run(&world, &event).await;
        held.release();
        page
    };
    let (four, fifth) = tokio::join!(four, fifth);
    assert!(fifth.contains("Other trials are under way"), "{fifth}");
    for page in [four.0, four.1, four.2, four.3] {
        assert!(page.contains("Allowed"), "{page}");
    }
    assert!(run(&world, &event).await.contains("Allowed"));
}

#[tokio::test]
async fn nothing_is_sent_without_the_forms_token_or_to_an_interceptor_that_is_not_configured() {
    let world = World::start("").await;
    let event = sample(&world).await;
    for target in ["", "/check", "/cases", "/replay"] {
        let target = format!("{TAB}{target}");
        let call = world
            .dashboard()
            .call("POST", &target)
            .form(&[("event", &event)])
            .send()
            .await;
        assert_eq!(call.status, 403, "{target}");
    }
    let fields = [
        ("event", event.as_str()),
        ("endpoint", "http://127.0.0.1:1/"),
        ("action", "run"),
    ];
    let answer = post(&world, "/interceptors/http:%2F%2F127.0.0.1:1%2F/test", &fields).await;
    assert_eq!(answer.status, 404);
    assert!(world.hook.all().is_empty());
}
