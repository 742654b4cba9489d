//! Spans as a collector receives them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::{Value, json};
use tollgate::event::Trigger;

use crate::world::{
    Fate, Reply, Setup, World,
    stub::{self, Stub},
    until,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENTS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// An OTLP receiver: what was posted to it, decoded by OpenTelemetry's own messages.
struct Receiver(Stub);

/// A span with its attributes as JSON.
#[derive(Debug)]
struct Seen {
    span: Span,
    attributes: BTreeMap<String, Value>,
}

impl Receiver {
    async fn start() -> Self {
        Self(Stub::start(|_| stub::reply(200, "application/x-protobuf", "")).await)
    }

    fn batches(&self) -> Vec<ExportTraceServiceRequest> {
        let posted = self.0.arrivals();
        posted
            .iter()
            .map(|arrival| {
                assert_eq!((arrival.method.as_str(), arrival.path()), ("POST", "/v1/traces"));
                assert_eq!(arrival.header("content-type"), Some("application/x-protobuf"));
                ExportTraceServiceRequest::decode(arrival.body.clone()).unwrap()
            })
            .collect()
    }

    fn spans(&self) -> Vec<Seen> {
        let batches = self.batches();
        let resources = batches.into_iter().flat_map(|batch| batch.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes
            .flat_map(|scope| scope.spans)
            .map(|span| Seen {
                attributes: attributes(&span.attributes),
                span,
            })
            .collect()
    }

    /// The spans of one trace, once there are so many.
    async fn trace(&self, id: &str, spans: usize) -> Vec<Seen> {
        let of_it = || -> Vec<Seen> {
            let mut seen = self.spans();
            seen.retain(|seen| hex(&seen.span.trace_id) == id);
            seen
        };
        until("the spans arrive", || async { of_it().len() >= spans }).await;
        of_it()
    }
}

impl Seen {
    fn is(&self, name: &str, value: impl Into<Value>) {
        assert_eq!(
            self.attributes.get(name),
            Some(&value.into()),
            "{name} of {}",
            self.span.name
        );
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, Value> {
    let value = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.clone()) {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::IntValue(number)) => json!(number),
        other => panic!("an attribute of a kind that is not documented: {other:?}"),
    };
    list.iter().map(|pair| (pair.key.clone(), value(&pair.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn telemetry(endpoint: &str, more: &str) -> String {
    format!("[telemetry]\notlp = {{ endpoint = \"{endpoint}\"{more} }}\n")
}

const SECOND: &str = "[[interceptor]]\nname = \"second\"\ntrigger = \"PRE_SESSION_CREATION\"\n\
    endpoint = \"{hooks}/second\"\nsecret = { file = \"hook.key\" }\non_failure = \"allow\"\nretries = 0\n";

async fn redeem(world: &World, code: &str, traceparent: &str) {
    let answer = world
        .post("/token?also=canary-query")
        .header("traceparent", traceparent)
        .basic("web", "web-secret")
        .form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", crate::world::CALLBACK),
            ("code_verifier", crate::world::VERIFIER),
        ])
        .send()
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_login_is_one_trace_of_request_upstream_and_consults() {
    let receiver = Receiver::start().await;
    let world = World::start(&(telemetry(&receiver.0.url(), "") + SECOND)).await;
    world.hook.reply("second", Reply::Raw(503, "text/plain", String::new()));
    let code = world.code("web").await;
    redeem(&world, &code, CLIENTS).await;

    let spans = receiver.trace(TRACE, 4).await;
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let one = |name: &str| spans.iter().find(|seen| seen.span.name == name).unwrap();
    let server = one("POST /token");
    assert_eq!(server.span.kind, SpanKind::Server as i32);
    assert_eq!(hex(&server.span.parent_span_id), "00f067aa0ba902b7");
    server.is("http.request.method", "POST");
    server.is("http.route", "/token");
    server.is("http.response.status_code", 200);
    server.is("tollgate.operation", "token");
    let event = world.hook.event(Trigger::PreSessionCreation);
    server.is(
        "tollgate.request_id",
        event["interceptor_context"]["request_id"].clone(),
    );

    let upstream = one("upstream");
    upstream.is("http.response.status_code", 200);
    let consults: Vec<_> = spans
        .iter()
        .filter(|seen| seen.span.name == "consult PRE_SESSION_CREATION")
        .collect();
    assert_eq!(consults.len(), 2);
    for seen in consults.iter().chain([&upstream]) {
        assert_eq!(seen.span.kind, SpanKind::Client as i32);
        assert_eq!(seen.span.parent_span_id, server.span.span_id, "{}", seen.span.name);
        assert!(seen.span.start_time_unix_nano <= seen.span.end_time_unix_nano);
    }
    let of = |interceptor: &str| {
        let named = |seen: &&&Seen| seen.attributes["tollgate.interceptor.name"] == interceptor;
        *consults.iter().find(named).unwrap()
    };
    let (first, second) = (of("PRE_SESSION_CREATION"), of("second"));
    for (seen, by, status) in [(first, "endpoint", 200), (second, "on_failure", 503)] {
        seen.is("tollgate.trigger", "PRE_SESSION_CREATION");
        seen.is("tollgate.decision", "allow");
        seen.is("tollgate.decided_by", by);
        seen.is("tollgate.attempts", 1);
        seen.is("http.response.status_code", status);
    }
    second.is("error.type", "down");

    // Whoever was called was told the span that belongs to the call.
    let told = |span: &Seen| format!("00-{TRACE}-{}-01", hex(&span.span.span_id));
    let asked = world.hook.asked("second");
    assert_eq!(asked[0].headers["traceparent"], told(second).as_str());
    let requests = world.provider.requests();
    let at_token = requests.iter().rfind(|request| request.path == "/token").unwrap();
    assert_eq!(at_token.headers["traceparent"], told(upstream).as_str());

    let resource = receiver.batches()[0].resource_spans[0].resource.clone().unwrap();
    let resource = attributes(&resource.attributes);
    assert_eq!(resource["service.name"], "tollgate");
    assert_eq!(resource["deployment.environment.name"], "test");
}

#[tokio::test]
async fn no_span_has_a_secret_a_query_or_a_person() {
    let receiver = Receiver::start().await;
    let world = World::start(&telemetry(&receiver.0.url(), "")).await;
    let code = world.code("web").await;
    redeem(&world, &code, CLIENTS).await;
    world.hook.deny(Trigger::PreSignup, "canary-message");
    world.sign_up("canary-person@example.com").await;
    receiver.trace(TRACE, 3).await;
    until("the signup arrives", || async {
        receiver.spans().iter().any(|seen| seen.span.name == "POST /signup")
    })
    .await;
    let sent = format!("{:?}", receiver.spans());
    for canary in [
        code.as_str(),
        "canary",
        "ada@example.com",
        "web-secret",
        "correct-horse",
        crate::world::VERIFIER,
    ] {
        assert!(!sent.contains(canary), "{canary} is in a span");
    }
    let known = [
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "tollgate.operation",
        "tollgate.request_id",
        "tollgate.interceptor.name",
        "tollgate.interceptor.id",
        "tollgate.trigger",
        "tollgate.decision",
        "tollgate.decided_by",
        "tollgate.attempts",
        "error.type",
    ];
    let page = std::fs::read_to_string("docs/observability.md").unwrap();
    for name in receiver.spans().iter().flat_map(|seen| seen.attributes.keys()) {
        assert!(known.contains(&name.as_str()), "{name}");
    }
    for name in known {
        assert!(page.contains(&format!("`{name}`")), "{name} is not documented");
    }
}

#[tokio::test]
async fn headers_for_the_collector_come_from_a_file() {
    let receiver = Receiver::start().await;
    let headers = ", headers = { authorization = { file = \"hook.key\" } }";
    let world = World::start(&telemetry(&receiver.0.url(), headers)).await;
    world.sign_up("ann@example.com").await;
    until("spans arrive", || async { !receiver.0.arrivals().is_empty() }).await;
    let arrival = &receiver.0.arrivals()[0];
    assert_eq!(arrival.header("authorization"), Some(crate::world::hook::SECRET));
    let sent = || {
        world
            .metrics()
            .sum("tollgate_trace_exports_total", &[("outcome", "ok")])
    };
    until("the export is counted", || async { sent() >= 1.0 }).await;
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_leaves_no_span_and_says_so_further_on() {
    let receiver = Receiver::start().await;
    let setup = Setup::generic().more(&telemetry(&receiver.0.url(), ", sample = 0.0"));
    let world = World::with(setup).await;
    let code = world.code("web").await;
    redeem(&world, &code, CLIENTS).await;
    let asked = world.hook.asked(Trigger::PreSessionCreation);
    let traceparent = asked[0].headers["traceparent"].to_str().unwrap();
    assert!(
        traceparent.starts_with(&format!("00-{TRACE}-")) && traceparent.ends_with("-00"),
        "{traceparent}"
    );
    let arrivals = receiver.0.clone();
    world.proxy.stop().await;
    assert!(arrivals.arrivals().is_empty());
}

#[tokio::test]
async fn a_trusted_proxy_decides_what_is_recorded() {
    let receiver = Receiver::start().await;
    let setup = Setup::generic()
        .section("listen", "trusted_proxies = [\"127.0.0.0/8\"]")
        .more(&telemetry(&receiver.0.url(), ", sample = 0.0"));
    let world = World::with(setup).await;
    let code = world.code("web").await;
    redeem(&world, &code, CLIENTS).await;
    assert_eq!(receiver.trace(TRACE, 3).await.len(), 3);
}

#[tokio::test]
async fn spans_that_wait_are_sent_when_the_proxy_stops() {
    let receiver = Receiver::start().await;
    let world = World::start(&telemetry(&receiver.0.url(), "")).await;
    world.sign_up("ann@example.com").await;
    world.proxy.stop().await;
    let names: Vec<_> = receiver.spans().into_iter().map(|seen| seen.span.name).collect();
    assert!(names.contains(&"POST /signup".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_changes_nothing_for_requests() {
    let hanging = Stub::start(|_| stub::reply(200, "text/plain", "")).await;
    hanging.fate("/v1/traces", Fate::Hang);
    for endpoint in [hanging.url(), "http://127.0.0.1:9".to_owned()] {
        let world = World::start(&telemetry(&endpoint, "")).await;
        for _ in 0..3 {
            world.log_in().await;
        }
        assert_eq!(world.sign_up("ann@example.com").await.status, 201);
    }
}

#[tokio::test]
async fn spans_that_a_collector_never_gets_are_counted() {
    let receiver = Receiver::start().await;
    receiver
        .0
        .fate("/v1/traces", Fate::Answer(400, "text/plain", "no".into()));
    let world = World::start(&telemetry(&receiver.0.url(), "")).await;
    world.sign_up("ann@example.com").await;
    let lost = || {
        let reason = [("reason", "not_sent")];
        world.metrics().sum("tollgate_trace_spans_dropped_total", &reason)
    };
    until("the spans are given up", || async { lost() >= 3.0 }).await;
    let full = [("reason", "queue_full")];
    assert_eq!(world.metrics().sum("tollgate_trace_spans_dropped_total", &full), 0.0);
}

#[tokio::test]
async fn a_wrong_address_of_the_collector_is_a_finding_with_its_place() {
    for (line, says) in [
        ("endpoint = \"127.0.0.1:4318\"", "telemetry.otlp.endpoint"),
        ("endpoint = \"http://127.0.0.1:1\", sample = 2", "sample"),
        (
            "endpoint = \"http://127.0.0.1:1\", headers = { x = { env = \"NOT_SET_ANYWHERE\" } }",
            "NOT_SET_ANYWHERE",
        ),
        ("endpont = \"http://127.0.0.1:1\"", "endpoint"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let keys = crate::world::keys::shared().to_str().unwrap();
        let text = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://127.0.0.1:1\"\n[upstream]\nurl = \"http://127.0.0.1:1\"\n\
             [tokens]\nkeys = \"{keys}/signing\"\ncapsule_secret = {{ file = \"{keys}/capsule.key\" }}\n[telemetry]\notlp = {{ {line} }}\n"
        );
        let clock = tollgate::clock::Clock::system();
        let Err(errors) = crate::world::proxy::start(folder.path(), &text, clock).await else {
            panic!("{line} was taken");
        };
        let errors = errors.to_string();
        assert!(errors.contains(says) || errors.contains("proxy.toml:"), "{errors}");
        assert!(errors.contains("proxy.toml:"), "{errors}");
    }
}
