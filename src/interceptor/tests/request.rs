//! What goes to the endpoint, and when it goes twice.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{
    World, denied,
    hook::{Hook, Received, Step, json_answer},
    session,
};
use crate::{
    event::Trigger,
    interceptor::sample,
    verdict::{DecidedBy, FailureKind},
};

/// RFC 2104, written out: nothing of ours is trusted to check ours.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = digest(&SHA256, &[&block.map(|b| b ^ 0x36), text].concat());
    let outer = digest(&SHA256, &[&block.map(|b| b ^ 0x5c), inner.as_ref()].concat());
    outer.as_ref().to_vec()
}

fn expected_signature(request: &Received, key: &str) -> String {
    let head = format!(
        "{}.{}.",
        request.header("webhook-id"),
        request.header("webhook-timestamp")
    );
    let signed = [head.as_bytes(), &request.body].concat();
    let key = STANDARD.decode(key).unwrap();
    format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &signed)))
}

#[tokio::test]
async fn a_request_is_signed_with_both_secrets_in_both_header_sets() {
    let hook = Hook::saying(json!({"decision": "ALLOW"})).await;
    let world = World::of([json!({"endpoint": hook.url(), "previous_secret": {"file": "old"}})]);
    assert!(!denied(&world.session().await));
    let request = &hook.requests()[0];
    let current = expected_signature(request, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let previous = expected_signature(request, "b2xkLW9sZC1vbGQtb2xkLW9sZC0=");
    assert_eq!(request.header("webhook-signature"), format!("{current} {previous}"));
    for name in ["id", "timestamp", "signature"] {
        let (ours, standard) = (format!("interceptor-{name}"), format!("webhook-{name}"));
        assert_eq!(request.header(&ours), request.header(&standard));
    }
    assert_eq!(request.header("interceptor-timestamp"), "1700000000");
}

#[tokio::test]
async fn a_request_says_who_asks_what_and_how_long_there_is() {
    let hook = Hook::saying(json!({"decision": "ALLOW"})).await;
    let world = World::of([json!({"endpoint": hook.url(), "name": "Plan and seats"})]);
    let verdict = world.session().await;
    let request = &hook.requests()[0];
    assert!(
        request.head.starts_with("POST /hook?tenant=a HTTP/1.1\r\n"),
        "{}",
        request.head
    );
    assert_eq!(request.header("host"), hook.address.to_string());
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("accept-encoding"), "identity");
    assert_eq!(
        request.header("user-agent"),
        concat!("tollgate/", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(request.header("interceptor-id"), verdict.consultations[0].id);
    assert_eq!(request.header("interceptor-attempt"), "1");
    let left: u64 = request.header("interceptor-deadline-ms").parse().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
    let traceparent: Vec<_> = request.header("traceparent").split('-').collect();
    assert_eq!(traceparent[..2], ["00", "4bf92f3577b34da6a3ce929d0e0e4736"]);
    assert_eq!((traceparent[2].len(), traceparent[3]), (16, "01"));

    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let (event, _) = session();
    assert_eq!(body["display_name"], "Plan and seats");
    assert_eq!(body["trigger_point"], "PRE_SESSION_CREATION");
    assert_eq!(
        body["interceptor_context"],
        serde_json::to_value(&event.context).unwrap()
    );
    assert_eq!(body["data"], Value::Object(event.data));
}

#[tokio::test]
async fn a_trace_id_that_is_none_is_replaced() {
    let hook = Hook::saying(json!({"decision": "ALLOW"})).await;
    let world = World::of([json!({"endpoint": hook.url()})]);
    let (mut event, existing) = session();
    event.context.trace_id = Some("x\r\ny: z".into());
    world.interceptors.consult(&event, &existing).await;
    let requests = hook.requests();
    let trace_id = requests[0].header("traceparent").split('-').nth(1).unwrap();
    assert!(trace_id.len() == 32 && trace_id.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[tokio::test]
async fn authentication_is_sent_and_not_shown() {
    let hook = Hook::saying(json!({"decision": "ALLOW"})).await;
    let world = World::of([json!({"endpoint": hook.url(), "authentication": {"bearer": {"file": "old"}}})]);
    let (event, existing) = session();
    let trial = world.interceptors.consult_one("hook", &event, &existing).await.unwrap();
    let secret = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC0=";
    assert_eq!(hook.requests()[0].header("authorization"), format!("Bearer {secret}"));
    let shown = &trial.exchanges[0].request.headers;
    assert!(shown.contains(&("authorization".into(), "***".into())));
    assert!(!format!("{trial:?} {:?}", world.interceptors).contains(secret));
}

#[tokio::test]
async fn a_trial_shows_exactly_what_went_over_the_wire() {
    let answer = json_answer("{\"decision\":\"ALLOW\"}");
    let hook = Hook::answering(&answer).await;
    let world = World::of([json!({"endpoint": hook.url(), "enabled": false, "when": {"realms": ["other"]}})]);
    let (event, existing) = session();
    assert!(!world.interceptors.applies(&event));
    let trial = world.interceptors.consult_one("hook", &event, &existing).await.unwrap();
    assert_eq!(trial.consultation.decided_by, DecidedBy::Endpoint);
    let [exchange] = &trial.exchanges[..] else {
        panic!("{trial:?}")
    };
    let seen = &hook.requests()[0];
    assert_eq!(exchange.request.body, seen.body);
    assert_eq!(exchange.request.url, hook.url());
    for (name, value) in &exchange.request.headers {
        assert_eq!(seen.header(name), value);
    }
    let body = String::from_utf8(seen.body.clone()).unwrap();
    assert_eq!(
        exchange.request.signed,
        format!("{}.1700000000.{body}", trial.consultation.id)
    );
    let raw = exchange.answer.as_ref().unwrap();
    assert_eq!((raw.status, &raw.body[..]), (200, &b"{\"decision\":\"ALLOW\"}"[..]));
    assert!(
        raw.headers
            .contains(&("content-type".into(), "application/json".into()))
    );
    assert!(
        world
            .interceptors
            .consult_one("nobody", &event, &existing)
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_trial_shows_an_answer_that_cannot_be_taken_too() {
    let hook =
        Hook::answering("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{x}").await;
    let world = World::of([json!({"endpoint": hook.url()})]);
    let (event, existing) = session();
    let trial = world.interceptors.consult_one("hook", &event, &existing).await.unwrap();
    assert_eq!(trial.consultation.decided_by, DecidedBy::OnInvalid);
    assert_eq!(&trial.exchanges[0].answer.as_ref().unwrap().body[..], b"{x}");
}

#[tokio::test]
async fn a_retry_keeps_the_id_and_counts_the_attempt() {
    let unavailable = |status: &str| vec![Step::send(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"))];
    let allow = vec![Step::send(&json_answer("{\"decision\":\"ALLOW\"}"))];
    for first in [
        unavailable("502"),
        unavailable("503"),
        unavailable("504"),
        vec![Step::Reset],
        vec![],
    ] {
        let hook = Hook::scripted([first, allow.clone()]).await;
        let verdict = World::of([json!({"endpoint": hook.url(), "retries": 1})])
            .session()
            .await;
        assert!(!denied(&verdict), "{verdict:?}");
        assert_eq!(verdict.consultations[0].calls(), 2);
        let requests = hook.requests();
        assert_eq!(
            requests[0].header("interceptor-id"),
            requests[1].header("interceptor-id")
        );
        assert_eq!(requests[0].body, requests[1].body);
        assert_eq!(requests[1].header("interceptor-attempt"), "2");
    }
}

#[tokio::test]
async fn what_may_have_been_acted_on_is_not_repeated() {
    let status = |status: &str| vec![Step::send(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"))];
    let begun = vec![Step::send("HTTP/1.1 200 O")];
    let begun_and_reset = vec![Step::send("HTTP/1.1 200 O"), Step::Reset];
    let in_the_body = vec![Step::send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    )];
    for first in [
        status("500"),
        status("429"),
        status("404"),
        in_the_body,
        begun,
        begun_and_reset,
    ] {
        let hook = Hook::scripted([
            first.clone(),
            vec![Step::send(&json_answer("{\"decision\":\"ALLOW\"}"))],
        ])
        .await;
        let verdict = World::of([json!({"endpoint": hook.url(), "retries": 1})])
            .session()
            .await;
        // A reset may overtake the bytes before it; then nothing was received, and the second attempt is right.
        let overtaken = matches!(first.last(), Some(Step::Reset)) && hook.requests().len() == 2;
        assert!(
            overtaken || verdict.consultations[0].calls() == 1,
            "{first:?}: {verdict:?}"
        );
    }
}

#[tokio::test]
async fn there_is_one_retry_at_most_and_none_by_default() {
    for (retries, attempts) in [(0, 1), (1, 2)] {
        let hook = Hook::answering("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").await;
        let verdict = World::of([json!({"endpoint": hook.url(), "retries": retries})])
            .session()
            .await;
        assert_eq!(hook.requests().len(), attempts);
        assert_eq!(verdict.consultations[0].calls() as usize, attempts);
        assert_eq!(verdict.consultations[0].status, Some(503));
    }
    let refused = World::of([json!({"endpoint": Hook::refusing().await, "retries": 1})])
        .session()
        .await;
    assert_eq!(refused.consultations[0].calls(), 2);
}

#[tokio::test]
async fn a_retry_has_to_fit_into_the_timeout() {
    let hook = Hook::scripted([
        vec![Step::send("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")],
        vec![Step::Hang],
    ])
    .await;
    let world = World::of([json!({"endpoint": hook.url(), "retries": 1, "timeout": "400ms"})]);
    let verdict = world.session().await;
    let consultation = &verdict.consultations[0];
    assert_eq!(consultation.failure.as_ref().unwrap().kind, FailureKind::Down);
    assert!(consultation.duration.as_secs() < 10, "{consultation:?}");
}

#[tokio::test]
async fn an_event_that_is_too_large_is_denied_without_a_call() {
    let hook = Hook::saying(json!({"decision": "ALLOW"})).await;
    let world = World::of([json!({"endpoint": hook.url(), "trigger": "PRE_SIGNUP", "on_failure": "allow"})]);
    let (mut event, existing) = sample(Trigger::PreSignup, jiff::Timestamp::UNIX_EPOCH);
    event.data.insert("x".into(), "x".repeat(300_000).into());
    assert!(denied(&world.interceptors.consult(&event, &existing).await));
    assert!(hook.requests().is_empty());
}
