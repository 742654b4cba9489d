//! What the pages say.

use tollgate::event::Trigger;

use super::{csrf, decide, page, text};
use crate::world::{Reply, Setup, World, until};

#[tokio::test]
async fn every_page_says_what_it_is_for() {
    let world = World::start("").await;
    world.hook.deny(Trigger::PreSignup, "Work e-mail only");
    decide(&world).await;
    let dashboard = world.dashboard();
    for (target, expected) in [
        (
            "/",
            &[
                "What runs",
                "Latest decisions",
                "PRE_SIGNUP",
                "Denied",
                "Allowed",
                "ada.new@example.com",
            ][..],
        ),
        ("/interceptors", &["PRE_M2M_TOKEN_CREATION", "Breaker closed"]),
        (
            "/interceptors/PRE_SIGNUP",
            &["file hook.key", "proxy.toml:", "default", "on_failure"],
        ),
        ("/interceptors/PRE_SIGNUP/log", &["Denied", "ada.new@example.com"]),
        ("/interceptors/PRE_SIGNUP/test", &["Test"]),
        ("/log", &["PRE_SIGNUP", "Older", "CSV", "NDJSON", "Follow"][..1]),
        ("/routes", &["create-user", "yours", "token_endpoint"][..2]),
        (
            "/keys",
            &["Signs", "ed25519", "Fresh", "Keys that capsules are sealed with"],
        ),
    ] {
        let text = text(&dashboard, target).await;
        for expected in expected {
            assert!(text.contains(expected), "{target} does not say {expected}: {text}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let world = World::start("").await;
    let dashboard = world.dashboard();
    for target in [
        "/nowhere",
        "/interceptors/Nobody",
        "/interceptors/Nobody/log",
        "/interceptors/Nobody/test",
        "/assets/../x",
    ] {
        assert_eq!(page(&dashboard, target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn machines_are_told_how_it_is() {
    let world = World::start("").await;
    let dashboard = world.dashboard();
    assert_eq!(text(&dashboard, "/healthz").await, "alive\n");
    assert_eq!(text(&dashboard, "/readyz").await, "ready\n");
    let metrics = text(&dashboard, "/metrics").await;
    assert!(metrics.contains("tollgate_build_info"), "{metrics}");
}

#[tokio::test]
async fn what_needs_attention_stands_first_and_says_what_to_do() {
    let world =
        World::with(Setup::generic().policy(Trigger::PreSignup, "on_failure = \"allow\"\nfail_open_limit = 1.0")).await;
    world
        .hook
        .reply(Trigger::PreSignup, Reply::Raw(503, "text/plain", String::new()));
    for number in 0..5 {
        world.sign_up(&format!("u{number}@example.com")).await;
    }
    let overview = text(&world.dashboard(), "/").await;
    let at = |what: &str| overview.find(what).unwrap_or_else(|| panic!("no {what}: {overview}"));
    let bad = at("“PRE_SIGNUP” is down, and meanwhile lets requests through unasked");
    assert!(bad < at("“PRE_SIGNUP” let 5 requests through without a verdict in the last hour"));
    assert!(bad < at("Decisions in") && bad < at("What runs"));
    at("Breaker open");
    at("Is it running and reachable from here?");
}

#[tokio::test]
async fn an_audit_that_cannot_be_written_is_told_and_is_not_ready() {
    let world = World::start("").await;
    let store = world.folder.path().join("audit.db");
    std::fs::rename(&store, world.folder.path().join("moved.db")).unwrap();
    assert_eq!(world.sign_up("ada.new@example.com").await.status, 503);
    let dashboard = world.dashboard();
    let ready = page(&dashboard, "/readyz").await;
    assert_eq!(
        (ready.status, ready.text().as_str()),
        (503, "the audit cannot be written\n")
    );
    assert_eq!(page(&dashboard, "/healthz").await.status, 200);
    assert!(text(&dashboard, "/metrics").await.contains("tollgate_audit_failing 1"));

    // Nobody is sent to a replica that is not ready, so it finds out by itself.
    std::fs::rename(world.folder.path().join("moved.db"), &store).unwrap();
    until("the audit can be written again", || async {
        page(&dashboard, "/readyz").await.status == 200
    })
    .await;
    assert!(text(&dashboard, "/metrics").await.contains("tollgate_audit_failing 0"));
}

#[tokio::test]
async fn a_request_that_is_pasted_is_explained_as_the_command_does() {
    let world = World::start("[[interceptor]]\nname = \"Not here\"\ntrigger = \"PRE_SIGNUP\"\nendpoint = \"{hooks}/x\"\n\
                              secret = { file = \"hook.key\" }\non_failure = \"deny\"\nwhen = { clients = [\"other\"] }\n")
        .await;
    let dashboard = world.dashboard();
    let csrf = csrf(&text(&dashboard, "/routes").await);
    for (url, form, expected) in [
        (
            "/signup",
            "email=a@b.example\nclient_id=web",
            &[
                "<code>signup</code>",
                "PRE_SIGNUP",
                "asked",
                "not asked: its conditions do not fit",
                "a page for browsers",
            ][..],
        ),
        ("/signup;x", "", &["refused with 400"]),
        ("/elsewhere", "", &["no route fits"]),
        (
            "http://id.example.com/signup",
            "no equals sign",
            &["cannot be read", "has no <code>=</code>"],
        ),
    ] {
        let fields = [
            ("csrf", csrf.as_str()),
            ("method", "POST"),
            ("url", url),
            ("form", form),
            ("headers", ""),
        ];
        let answer = dashboard.call("POST", "/routes").form(&fields).send().await;
        let shown = answer.text();
        for expected in expected {
            assert!(shown.contains(expected), "{url} is not said to be {expected}: {shown}");
        }
        assert!(shown.contains(&format!("value=\"{url}\"")), "what was typed in stays");
    }
}
