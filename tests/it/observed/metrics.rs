//! Metrics after requests that are known.

use std::collections::BTreeSet;

use serde_json::json;
use tollgate::{
    event::Trigger,
    metrics::{Known, Metrics},
    preset::Preset,
};

use crate::world::{Reply, Setup, World, scrape::Scrape, until};

const SESSION: (&str, &str) = ("trigger", "PRE_SESSION_CREATION");
const SIGNUP: (&str, &str) = ("trigger", "PRE_SIGNUP");
const MACHINE: (&str, &str) = ("trigger", "PRE_M2M_TOKEN_CREATION");

#[tokio::test]
async fn a_scrape_has_the_numbers_of_what_happened() {
    let policy = "on_failure = \"allow\"\nretries = 0";
    let world = World::with(Setup::generic().policy(Trigger::PreM2mTokenCreation, policy)).await;
    let before = world.metrics();
    assert_eq!(before.sum("tollgate_consults_total", &[]), 0.0);

    world.log_in().await;
    world.log_in().await;
    world.hook.deny(Trigger::PreSignup, "No");
    assert_eq!(world.sign_up("ann@example.com").await.status, 403);
    world.hook.reply(
        Trigger::PreM2mTokenCreation,
        Reply::Raw(503, "text/plain", String::new()),
    );
    assert_eq!(world.machine_token("").await.status, 200);
    let native = world.provider.issued().first().cloned().unwrap();
    assert_eq!(world.get("/userinfo").bearer(&native).send().await.status, 401);
    assert_eq!(world.get("/a%2fb").send().await.status, 400);
    world.get("/somewhere").send().await;

    let after = world.metrics();
    let is = |name: &str, labels: &[(&str, &str)], value: f64| {
        assert_eq!(after.sum(name, labels), value, "{name} {labels:?}");
    };
    let consults = "tollgate_consults_total";
    let by_endpoint = ("decided_by", "endpoint");
    is(consults, &[SESSION, ("decision", "allow"), by_endpoint], 2.0);
    is(consults, &[SIGNUP, ("decision", "deny"), by_endpoint], 1.0);
    is(
        consults,
        &[MACHINE, ("decision", "allow"), ("decided_by", "on_failure")],
        1.0,
    );
    is(consults, &[], 4.0);
    is("tollgate_consult_duration_seconds_count", &[SESSION], 2.0);
    is("tollgate_consult_attempts_total", &[MACHINE], 1.0);
    is("tollgate_fail_open_total", &[], 1.0);
    is("tollgate_fail_open_total", &[MACHINE], 1.0);
    is("tollgate_denials_total", &[SIGNUP, by_endpoint], 1.0);
    is("tollgate_denials_total", &[], 1.0);
    let requests = "tollgate_requests_total";
    is(requests, &[("operation", "token"), ("status_class", "2xx")], 3.0);
    is(requests, &[("operation", "signup"), ("status_class", "4xx")], 1.0);
    is(requests, &[("operation", "userinfo"), ("status_class", "4xx")], 1.0);
    is(requests, &[("operation", "unreadable"), ("status_class", "4xx")], 1.0);
    is(requests, &[("operation", "unrecognised"), ("status_class", "4xx")], 1.0);
    is(
        "tollgate_request_duration_seconds_count",
        &[("operation", "token")],
        3.0,
    );
    is("tollgate_refusals_total", &[("fault", "denied")], 1.0);
    is("tollgate_refusals_total", &[("fault", "client")], 2.0);
    is("tollgate_tokens_reissued_total", &[("token", "access_token")], 3.0);
    is("tollgate_tokens_reissued_total", &[("token", "id_token")], 2.0);
    is("tollgate_tokens_unverified_total", &[], 0.0);
    is("tollgate_native_tokens_total", &[("outcome", "refused")], 1.0);
    is("tollgate_upstream_errors_total", &[], 0.0);
    is(
        "tollgate_upstream_document_fetches_total",
        &[("document", "keys"), ("outcome", "ok")],
        1.0,
    );
    is("tollgate_audit_records_total", &[], 4.0);
    is("tollgate_audit_queue_depth", &[], 0.0);
    is("tollgate_audit_failing", &[], 0.0);
    is("tollgate_requests_in_flight", &[], 0.0);
    is("tollgate_requests_paused", &[], 0.0);
    is("tollgate_config_info", &[("revision", &world.config.revision)], 1.0);
    is("tollgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    // The keys of the tests sign from 1970 on.
    is(
        "tollgate_signing_key_since_timestamp_seconds",
        &[("family", "rsa")],
        0.0,
    );
    is("tollgate_signing_key_next_timestamp_seconds", &[("family", "rsa")], 0.0);
    assert!(after.sum("tollgate_upstream_request_duration_seconds_count", &[]) >= 6.0);
    assert!(after.sum("tollgate_connections_total", &[("outcome", "accepted")]) >= 1.0);
}

#[tokio::test]
async fn a_request_that_waits_for_an_interceptor_is_paused_and_in_flight() {
    let world = World::start("").await;
    let code = world.code("web").await;
    let held = world.hook.hold(Trigger::PreSessionCreation);
    let redeemed = world.redeem(&code);
    tokio::pin!(redeemed);
    tokio::select! {
        answer = &mut redeemed => panic!("{answer:?}"),
        () = world.hook.was_asked(Trigger::PreSessionCreation) => {}
    }
    let during = world.metrics();
    assert_eq!(during.sum("tollgate_requests_paused", &[SESSION]), 1.0);
    assert_eq!(during.sum("tollgate_requests_in_flight", &[]), 1.0);
    held.release();
    assert_eq!(redeemed.await.status, 200);
    assert_eq!(world.metrics().sum("tollgate_requests_paused", &[]), 0.0);
}

#[tokio::test]
async fn a_breaker_that_opens_is_seen() {
    let policy = "on_failure = \"deny\"\nretries = 0\nbreaker = { failures_in_a_row = 1 }";
    let world = World::with(Setup::generic().policy(Trigger::PreM2mTokenCreation, policy)).await;
    let state = |world: &World| world.metrics().sum("tollgate_interceptor_breaker_state", &[MACHINE]);
    assert_eq!(state(&world), 0.0);
    world.hook.reply(
        Trigger::PreM2mTokenCreation,
        Reply::Raw(500, "text/plain", String::new()),
    );
    world.machine_token("").await;
    assert_eq!(state(&world), 2.0);
    world.machine_token("").await;
    let by = [("decided_by", "breaker")];
    assert_eq!(world.metrics().sum("tollgate_denials_total", &by), 1.0);
}

#[tokio::test]
async fn an_audit_that_cannot_be_written_is_seen() {
    let world = World::start("").await;
    let store = world.folder.path().join("audit.db");
    std::fs::remove_file(&store).unwrap();
    assert_eq!(world.sign_up("ann@example.com").await.status, 503);
    let scrape = world.metrics();
    assert_eq!(scrape.sum("tollgate_audit_failures_total", &[]), 1.0);
    assert_eq!(scrape.sum("tollgate_audit_failing", &[]), 1.0);
    assert_eq!(scrape.sum("tollgate_refusals_total", &[("fault", "ourselves")]), 1.0);
}

#[tokio::test]
async fn an_upstream_that_is_away_is_seen() {
    let world = World::start("").await;
    world.log_in().await;
    let url = world.proxy.url.clone();
    drop(world.provider);
    until("the provider is gone", || async {
        world.proxy.get("/somewhere").send().await.status == 502
    })
    .await;
    let errors = world.proxy.metrics().sum("tollgate_upstream_errors_total", &[]);
    assert!(errors >= 1.0, "{url}: {errors}");
}

#[tokio::test]
async fn no_request_makes_a_series_whatever_it_names() {
    let world = World::start("").await;
    let names = |world: &World| -> BTreeSet<String> { world.metrics().series().map(str::to_owned).collect() };
    let before = names(&world);
    for n in 0..20 {
        let hostile = format!("x{n}\"}} 1\ntollgate_forged_total{{a=\"");
        let encoded: String = form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
        world
            .post("/token")
            .header("user-agent", &format!("agent-{n}\"}} 1"))
            .form(&[
                ("grant_type", &hostile),
                ("client_id", &hostile),
                ("client_secret", "x"),
            ])
            .send()
            .await;
        world.get(&format!("/path-{n}/{encoded}?{encoded}=1")).send().await;
        world.call(&format!("VERB{n}"), "/token").send().await;
        world.get("/userinfo").bearer(&format!("e30.e30{n}.c2ln")).send().await;
        world
            .post("/signup")
            .form(&[("email", &format!("a{n}@example.com")), ("name", &hostile)])
            .send()
            .await;
        world.hook.reply(
            Trigger::PreSignup,
            Reply::Json(json!({"decision": hostile, "error": {"message": hostile}})),
        );
    }
    assert_eq!(before, names(&world));
    assert!(world.metrics().sum("tollgate_requests_total", &[]) >= 100.0);
}

#[test]
fn a_scrape_has_as_many_series_as_the_page_says() {
    let preset = Preset::load("keycloak", std::path::Path::new("."), &[]).unwrap();
    let known = Known {
        interceptors: vec![("one", Trigger::PreSignup), ("two", Trigger::PreSessionCreation)],
        operations: preset.routes.iter().map(|route| route.name.as_str()).collect(),
        addresses: vec!["127.0.0.1:8080"],
        sinks: Vec::new(),
    };
    let series = Scrape::of(&Metrics::new(&known).render()).series().count();
    assert!((1100..1300).contains(&series), "{series}");
}

#[tokio::test]
async fn a_name_of_the_configuration_is_escaped() {
    let odd = "a \\\"name\\\" \\\\ with {braces}";
    let world = World::start(&format!(
        "[[interceptor]]\nname = \"{odd}\"\ntrigger = \"PRE_SIGNUP\"\nendpoint = \"{{hooks}}/odd\"\nsecret = {{ file = \"hook.key\" }}\n"
    ))
    .await;
    assert_eq!(world.sign_up("ann@example.com").await.status, 201);
    let labels = [("interceptor", odd), ("decision", "allow")];
    assert_eq!(world.metrics().sum("tollgate_consults_total", &labels), 1.0);
}
