//! Every way in which an endpoint is away or wrong, under every policy.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

use super::{
    World, denied,
    hook::{Hook, Step, json_answer},
};
use crate::verdict::{Decision, FailureKind};
use FailureKind::{Down, Invalid};

/// What is done to a request, what that is taken for, and a piece of the sentence that says so.
struct Bad(&'static str, Vec<Step>, FailureKind, &'static str);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_answer_ends_as_the_policy_for_its_kind_says() {
    let cases: Vec<_> = [transport(), heads(), bodies(), decisions(), claims()]
        .into_iter()
        .flatten()
        .collect();
    assert!(cases.len() >= 49, "{}", cases.len());
    join_all(cases.iter().map(|case| under_every_policy(case, "30s"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_never_gets_done_is_down_when_the_timeout_is_over() {
    let cases = endless();
    join_all(cases.iter().map(|case| under_every_policy(case, "2s"))).await;
}

#[tokio::test]
async fn a_refused_connection_is_down() {
    for (on_failure, denies) in [("deny", true), ("allow", false)] {
        let world = World::of([json!({"endpoint": Hook::refusing().await, "on_failure": on_failure})]);
        let verdict = world.session().await;
        assert_eq!(denied(&verdict), denies);
        let failure = verdict.consultations[0].failure.as_ref().unwrap();
        assert_eq!(
            (failure.kind, failure.detail.as_str()),
            (Down, "the connection was refused")
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_never_accepted_is_down_when_the_timeout_is_over() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // They fill the queue of connections that wait to be accepted.
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
    let world = World::of([json!({"endpoint": format!("http://{address}"), "timeout": "300ms"})]);
    let verdict = world.session().await;
    assert!(denied(&verdict));
    let failure = verdict.consultations[0].failure.as_ref().unwrap();
    assert!(failure.detail.starts_with("timed out after"), "{failure:?}");
    waiting.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn a_tls_handshake_that_hangs_is_down_while_connecting() {
    let hook = Hook::scripted([vec![Step::Deaf, Step::Hang]]).await;
    let endpoint = format!("https://{}", hook.address);
    // With a root of its own, the test does not need those of the system.
    let root = tempfile::NamedTempFile::new().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .unwrap()
        .cert;
    std::fs::write(root.path(), certificate.pem()).unwrap();
    let world = World::of([json!({"endpoint": endpoint, "timeout": "300ms", "ca": root.path()})]);
    let verdict = world.session().await;
    let failure = verdict.consultations[0].failure.as_ref().unwrap();
    assert_eq!(failure.kind, Down);
    assert!(failure.detail.ends_with("while connecting"), "{failure:?}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_down() {
    let world = World::of([json!({"endpoint": "http://nobody.invalid/hook"})]);
    let failure = world.session().await.consultations.remove(0).failure.unwrap();
    assert_eq!(failure.kind, Down);
    assert!(failure.detail.contains("cannot be resolved"), "{failure:?}");
}

async fn under_every_policy(Bad(name, script, kind, detail): &Bad, timeout: &str) {
    for on_failure in ["deny", "allow"] {
        for on_invalid in ["deny", "allow"] {
            let hook = Hook::scripted([script.clone()]).await;
            let world = World::of([
                json!({"endpoint": hook.url(), "timeout": timeout, "on_failure": on_failure,
                "on_invalid": on_invalid}),
            ]);
            let started = Instant::now();
            let verdict = world.session().await;
            let limit = timeout.parse::<crate::clock::Period>().unwrap().0 + Duration::from_secs(10);
            assert!(started.elapsed() < limit, "{name}: took {:?}", started.elapsed());

            let consultation = &verdict.consultations[0];
            let failure = consultation
                .failure
                .as_ref()
                .unwrap_or_else(|| panic!("{name}: taken for an answer"));
            assert_eq!(failure.kind, *kind, "{name}: {failure:?}");
            assert!(failure.detail.contains(detail), "{name}: {failure:?}");
            let policy = if *kind == Down { on_failure } else { on_invalid };
            assert_eq!(denied(&verdict), policy == "deny", "{name}: {on_failure} {on_invalid}");
            match &verdict.decision {
                Decision::Allow(additions) => assert!(additions.is_empty(), "{name}"),
                Decision::Deny { message } => assert!(message.is_none(), "{name}"),
            }
            assert_eq!(consultation.calls(), 1, "{name}");
        }
    }
}

fn transport() -> Vec<Bad> {
    let sent = |text: &str| vec![Step::send(text)];
    let half = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"decision\"";
    vec![
        Bad("reset before the request", vec![Step::Deaf, Step::Reset], Down, ""),
        Bad(
            "reset before the head",
            vec![Step::Reset],
            Down,
            "closed before an answer",
        ),
        Bad("closed before the head", vec![], Down, "closed before an answer"),
        Bad(
            "closed in the head",
            sent("HTTP/1.1 200 OK\r\nContent-Ty"),
            Down,
            "closed before an answer",
        ),
        Bad("closed in the body", sent(half), Down, "in the middle of the answer"),
        Bad("garbage", sent("\x16\x03\x01 what?\r\n\r\n"), Invalid, "not HTTP"),
        Bad(
            "a status line of another protocol",
            sent("SIP/2.0 200 OK\r\n\r\n"),
            Invalid,
            "not HTTP",
        ),
        Bad(
            "a status that is no number",
            sent("HTTP/1.1 OK 200\r\n\r\n"),
            Invalid,
            "not HTTP",
        ),
        Bad(
            "a head without end",
            vec![Step::send("HTTP/1.1 200 OK\r\n"), Step::Forever(b"a: b\r\n".to_vec())],
            Invalid,
            "not HTTP",
        ),
        Bad(
            "a Content-Length that is no number",
            sent("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: many\r\n\r\n{}"),
            Invalid,
            "not HTTP",
        ),
        Bad(
            "a chunk size that is no number",
            sent("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
            Invalid,
            "not HTTP",
        ),
        // The reset may overtake what was sent before it.
        Bad("reset in the body", vec![Step::send(half), Step::Reset], Down, ""),
    ]
}

fn heads() -> Vec<Bad> {
    let status = |name, line: &str, kind, detail| {
        let body = r#"{"decision":"ALLOW"}"#;
        let answer = format!(
            "HTTP/1.1 {line}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Bad(name, vec![Step::send(&answer)], kind, detail)
    };
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /allow\r\nContent-Length: 0\r\n\r\n";
    let typed = |name, content_type: &str, detail| {
        let body = r#"{"decision":"ALLOW"}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Bad(name, vec![Step::send(&answer)], Invalid, detail)
    };
    vec![
        status("201", "201 Created", Invalid, "answered 201"),
        status("202", "202 Accepted", Invalid, "answered 202"),
        status("206", "206 Partial Content", Invalid, "answered 206"),
        status("301", "301 Moved Permanently", Invalid, "redirects are not followed"),
        Bad("302", vec![Step::send(redirect)], Invalid, "redirects are not followed"),
        status("304", "304 Not Modified", Invalid, "answered 304"),
        status("307", "307 Temporary Redirect", Invalid, "redirects are not followed"),
        status("308", "308 Permanent Redirect", Invalid, "redirects are not followed"),
        status("400", "400 Bad Request", Invalid, "answered 400"),
        status("401", "401 Unauthorized", Invalid, "answered 401"),
        status("404", "404 Not Found", Invalid, "answered 404"),
        status("413", "413 Content Too Large", Invalid, "answered 413"),
        status("429", "429 Too Many Requests", Down, "answered 429"),
        status("500", "500 Internal Server Error", Down, "answered 500"),
        status("502", "502 Bad Gateway", Down, "answered 502"),
        status("503", "503 Service Unavailable", Down, "answered 503"),
        status("504", "504 Gateway Timeout", Down, "answered 504"),
        status("599", "599 What", Down, "answered 599"),
        typed(
            "HTML",
            "Content-Type: text/html\r\n",
            "Content-Type is not application/json",
        ),
        typed(
            "plain text",
            "Content-Type: text/plain\r\n",
            "Content-Type is not application/json",
        ),
        typed(
            "UTF-16",
            "Content-Type: application/json; charset=utf-16\r\n",
            "in UTF-8",
        ),
        typed("no content type", "", "no Content-Type"),
        typed(
            "two content types",
            "Content-Type: application/json\r\nContent-Type: text/html\r\n",
            "more than one",
        ),
        typed(
            "gzip",
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
            "Content-Encoding",
        ),
        typed(
            "brotli",
            "Content-Type: application/json\r\nContent-Encoding: identity, br\r\n",
            "Content-Encoding",
        ),
    ]
}

fn bodies() -> Vec<Bad> {
    let body = |name, body: &str, detail| Bad(name, vec![Step::send(&json_answer(body))], Invalid, detail);
    let utf16: Vec<u8> = "{\"decision\":\"ALLOW\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut utf16_answer = json_answer(&" ".repeat(utf16.len()))
        .trim_end_matches(' ')
        .as_bytes()
        .to_vec();
    utf16_answer.extend(utf16);
    let short =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{\"decision\":\"ALLOW\"}";
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = vec![
        Step::send(chunked),
        Step::Forever(format!("100\r\n{}\r\n", " ".repeat(256)).repeat(100).into_bytes()),
    ];
    let until_close = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let padded = format!("{{\"decision\":\"ALLOW\"}}{}", " ".repeat(256 * 1024));
    vec![
        body("empty", "", "not one JSON document"),
        body("HTML called JSON", "<html>ALLOW</html>", "not one JSON document"),
        body("half a document", "{\"decision\":\"ALL", "not one JSON document"),
        body(
            "two documents",
            "{\"decision\":\"ALLOW\"}{\"decision\":\"DENY\"}",
            "not one JSON document",
        ),
        body(
            "a byte-order mark",
            "\u{feff}{\"decision\":\"ALLOW\"}",
            "not one JSON document",
        ),
        body("a comment", "/* */{\"decision\":\"ALLOW\"}", "not one JSON document"),
        body(
            "the decision twice",
            "{\"decision\":\"DENY\",\"decision\":\"ALLOW\"}",
            "occurs twice",
        ),
        body(
            "the decision twice, once escaped",
            "{\"decision\":\"DENY\",\"\\u0064ecision\":\"ALLOW\"}",
            "occurs twice",
        ),
        body(
            "a claim twice",
            "{\"decision\":\"ALLOW\",\"response\":{\"claims\":{\"a\":1,\"a\":2}}}",
            "occurs twice",
        ),
        body(
            "very deep",
            &format!("{{\"decision\":\"ALLOW\",\"x\":{}{}}}", "[".repeat(99), "]".repeat(99)),
            "levels deep",
        ),
        Bad(
            "UTF-16 without saying so",
            vec![Step::Send(utf16_answer)],
            Invalid,
            "not one JSON document",
        ),
        Bad(
            "a Content-Length that is too small",
            vec![Step::send(short)],
            Invalid,
            "not one JSON document",
        ),
        Bad("chunks without end", endless, Invalid, "larger than 256 KiB"),
        Bad(
            "a body without end",
            vec![Step::send(until_close), Step::Forever(vec![b' '; 10_000])],
            Invalid,
            "larger than",
        ),
        body("one byte more than the cap", &padded, "larger than 256 KiB"),
        body("10 MB", &" ".repeat(10_000_000), "larger than 256 KiB"),
    ]
}

fn decisions() -> Vec<Bad> {
    let says = |name, body: &str, detail| Bad(name, vec![Step::send(&json_answer(body))], Invalid, detail);
    vec![
        says("a string", "\"ALLOW\"", "not a JSON object"),
        says("an array", "[{\"decision\":\"ALLOW\"}]", "not a JSON object"),
        says("null", "null", "not a JSON object"),
        says("no decision", "{}", "no `decision`"),
        says(
            "the decision in another case",
            "{\"Decision\":\"ALLOW\"}",
            "no `decision`",
        ),
        says("lower case", "{\"decision\":\"allow\"}", "neither"),
        says("a space", "{\"decision\":\"ALLOW \"}", "neither"),
        says("an unknown decision", "{\"decision\":\"MAYBE\"}", "neither"),
        says("true", "{\"decision\":true}", "neither"),
        says("a decision of null", "{\"decision\":null}", "neither"),
        says("a list of decisions", "{\"decision\":[\"ALLOW\"]}", "neither"),
        says(
            "an error that is text",
            "{\"decision\":\"DENY\",\"error\":\"no\"}",
            "`error` is not an object",
        ),
        says(
            "a message that is a number",
            "{\"decision\":\"DENY\",\"error\":{\"message\":1}}",
            "`error.message`",
        ),
        says(
            "a response that is a list",
            "{\"decision\":\"ALLOW\",\"response\":[]}",
            "`response` is not an object",
        ),
    ]
}

fn claims() -> Vec<Bad> {
    let claims = |name, claims: &str, detail| {
        let body = format!("{{\"decision\":\"ALLOW\",\"response\":{{\"claims\":{claims}}}}}");
        Bad(name, vec![Step::send(&json_answer(&body))], Invalid, detail)
    };
    let mut cases = vec![
        claims("claims that are a list", "[]", "`response.claims` is not an object"),
        claims("claims that are text", "\"plan\"", "`response.claims` is not an object"),
        claims("claims that are null", "null", "`response.claims` is not an object"),
        claims(
            "a claim of the upstream",
            "{\"email\":\"root@example.com\"}",
            "`may_override` does not list it",
        ),
        claims(
            "oversized claims",
            &format!("{{\"a\":\"{}\"}}", "x".repeat(17_000)),
            "at most 16384 fit",
        ),
    ];
    for name in [
        "iss",
        "sub",
        "exp",
        "nbf",
        "iat",
        "jti",
        "azp",
        "client_id",
        "nonce",
        "at_hash",
        "c_hash",
        "s_hash",
        "auth_time",
        "acr",
        "amr",
        "sid",
        "cnf",
        "act",
        "may_act",
        "typ",
        "tgc",
        "aud",
        "scope",
    ] {
        cases.push(claims(name, &format!("{{\"{name}\":\"x\"}}"), "may"));
    }
    cases
}

fn endless() -> Vec<Bad> {
    // Long enough that a trickle of it outlasts the timeout.
    let answer = json_answer(&format!("{{\"decision\":\"ALLOW\"{}}}", " ".repeat(400)));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = format!("{head}\r\n\r\n");
    vec![
        Bad(
            "hangs before the head",
            vec![Step::Hang],
            Down,
            "while waiting for the answer",
        ),
        Bad("never reads", vec![Step::Deaf, Step::Hang], Down, "timed out"),
        Bad(
            "hangs in the head",
            vec![Step::send("HTTP/1.1 200 OK\r\nConte"), Step::Hang],
            Down,
            "while waiting",
        ),
        Bad(
            "hangs in the body",
            vec![Step::send(&head), Step::send(&body[..9]), Step::Hang],
            Down,
            "while reading",
        ),
        Bad(
            "trickles the head",
            vec![Step::Trickle(answer.clone().into_bytes())],
            Down,
            "while waiting",
        ),
        Bad(
            "trickles the body",
            vec![Step::send(&head), Step::Trickle(body.into())],
            Down,
            "while reading",
        ),
        Bad(
            "floods with interim answers",
            vec![Step::Forever(
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100),
            )],
            Down,
            "while waiting",
        ),
    ]
}
