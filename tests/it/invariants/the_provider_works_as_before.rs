//! Invariant 6: Everything that is not recognised streams through unchanged, in both directions, with bounded memory.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response, routing::any};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Channel};
use serde_json::json;
use tokio::net::TcpListener;

use crate::world::{CALLBACK, Fate, Hook, Idp, Proxy, Setup, World, challenge, stub};

/// A proxy in front of an upstream that sends back what it gets, while it gets it.
async fn echo() -> (Proxy, Hook) {
    async fn same(request: Request) -> Response {
        let content_type = request.headers().get("content-type").cloned();
        let mut response = Response::new(Body::new(request.into_body()));
        if let Some(value) = content_type {
            response.headers_mut().insert("content-type", value);
        }
        response
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(same))).await });
    let hook = Hook::start().await;
    (Proxy::start(&Setup::keycloak(), &url, &hook).await, hook)
}

#[tokio::test]
async fn a_user_logs_in_by_the_providers_own_pages() {
    let world = World::start("").await;
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", "spa"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("state", "xyz"),
            ("code_challenge", &challenge()),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let page = world.get(&format!("/authorize?{query}")).send().await;
    assert_eq!(page.status, 200);
    let text = page.text();
    let (_, rest) = text.split_once("name=\"request\" value=\"").unwrap();
    let login = [
        ("request", rest.split('"').next().unwrap()),
        ("email", "ada@example.com"),
        ("password", "correct-horse"),
    ];
    let back = world.post("/login").form(&login).send().await;
    assert_eq!(back.status, 303);
    assert!(back.header("location").unwrap().starts_with(CALLBACK));
    assert_eq!(back.location_parameter("state").as_deref(), Some("xyz"));
    assert_eq!(back.location_parameter("iss").as_deref(), Some(&*world.url));
    let cookie = back.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));

    // The session of the provider's cookie: no second login.
    let pair = cookie.split(';').next().unwrap();
    let again = world
        .get(&format!("/authorize?{query}"))
        .header("cookie", pair)
        .send()
        .await;
    assert!(again.location_parameter("code").is_some(), "{again:?}");
}

#[tokio::test]
async fn what_nobody_recognises_arrives_as_it_was_sent_and_comes_back_as_it_was_answered() {
    let idp = Idp::keycloak().await;
    let answer = Fate::by(|_| {
        let mut response = stub::reply(418, "text/plain; charset=latin1", vec![0xe9, 0, 255]);
        let headers = response.headers_mut();
        for (name, value) in [
            ("set-cookie", "a=1; Path=/; Secure"),
            ("set-cookie", "b=2; HttpOnly"),
            ("set-cookie", "c=3; Expires=Wed, 21 Oct 2026 07:28:00 GMT"),
            ("x-frame-options", "SAMEORIGIN"),
            ("location", "../elsewhere?x=1#y"),
            ("etag", "W/\"1\""),
            ("www-authenticate", "Negotiate"),
            ("www-authenticate", "Basic realm=\"x\""),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        response
    });
    idp.stub.fate("/some/page", answer);
    let body = [0u8, 255, 13, 10, 38, 61].repeat(100);
    let answer = idp
        .call("PROPFIND", "/some/page?a=1&a=2&b=%41&c")
        .header("content-type", "application/octet-stream")
        .header("x-anything", "one")
        .header("x-anything", "two")
        .header("cookie", "KEYCLOAK_IDENTITY=abc; x=y")
        .header("accept-language", "de")
        .bytes(body.clone())
        .send()
        .await;

    let seen = idp.stub.at("/some/page").pop().unwrap();
    assert_eq!(seen.method, "PROPFIND");
    assert_eq!(seen.target, "/some/page?a=1&a=2&b=%41&c");
    assert_eq!(seen.body, body);
    assert_eq!(seen.header("content-type"), Some("application/octet-stream"));
    let both: Vec<_> = seen.headers.get_all("x-anything").iter().collect();
    assert_eq!(both, ["one", "two"]);
    assert_eq!(seen.header("cookie"), Some("KEYCLOAK_IDENTITY=abc; x=y"));

    assert_eq!(answer.status, 418);
    assert_eq!(answer.body, vec![0xe9, 0, 255]);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=latin1"));
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(
        cookies,
        [
            "a=1; Path=/; Secure",
            "b=2; HttpOnly",
            "c=3; Expires=Wed, 21 Oct 2026 07:28:00 GMT"
        ]
    );
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 2);
    assert_eq!(answer.header("location"), Some("../elsewhere?x=1#y"));
    assert_eq!(answer.header("etag"), Some("W/\"1\""));
    assert!(idp.audit().is_empty());
    assert!(idp.hook.all().is_empty());
}

#[tokio::test]
async fn the_upstream_is_told_who_asks_and_by_which_name_and_no_client_can_forge_that() {
    let idp = Idp::keycloak().await;
    idp.get("/page")
        .header("x-forwarded-for", "203.0.113.66")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "for=203.0.113.66")
        .header("x-real-ip", "203.0.113.66")
        .header("x-original-url", "/admin")
        .header("x-rewrite-url", "/admin")
        .header("x-http-method-override", "DELETE")
        .header("proxy-authorization", "Basic x")
        .header("keep-alive", "x")
        .send()
        .await;
    let seen = idp.stub.at("/page").pop().unwrap();
    let host = idp.address.to_string();
    assert_eq!(seen.header("host"), Some(&*host));
    assert_eq!(seen.header("x-forwarded-host"), Some(&*host));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    for name in [
        "forwarded",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "proxy-authorization",
        "keep-alive",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn each_half_of_a_conversation_streams_while_the_other_is_open() {
    let (proxy, _hook) = echo().await;
    let (mut send, body) = Channel::<Bytes, Infallible>::new(1);
    let call = proxy
        .post("/echo")
        .streamed(body.map_err(|never| match never {}).boxed_unsync());
    send.send_data("first".into()).await.unwrap();
    let mut answer = call.open().await.into_body();
    // The request has not ended yet, and its beginning is back already.
    assert_eq!(next(&mut answer).await, "first");
    send.send_data("second".into()).await.unwrap();
    assert_eq!(next(&mut answer).await, "second");
    drop(send);
    assert!(answer.frame().await.is_none_or(|end| end.unwrap().is_trailers()));
}

#[tokio::test]
async fn sixty_four_mebibytes_pass_both_ways() {
    let (proxy, _hook) = echo().await;
    let (mut send, body) = Channel::<Bytes, Infallible>::new(4);
    let chunk = Bytes::from((0..=255u8).cycle().take(1 << 20).collect::<Vec<u8>>());
    let sent = chunk.clone();
    tokio::spawn(async move {
        for _ in 0..64 {
            send.send_data(sent.clone()).await.unwrap();
        }
    });
    let answer = proxy
        .post("/echo")
        .streamed(body.map_err(|never| match never {}).boxed_unsync())
        .open()
        .await;
    let (mut length, mut wrong) = (0usize, 0usize);
    let mut stream = answer.into_body().into_data_stream();
    while let Some(data) = stream.next().await {
        let data = data.unwrap();
        wrong += data
            .iter()
            .enumerate()
            .filter(|(at, byte)| (length + at) % 256 != usize::from(**byte))
            .count();
        length += data.len();
    }
    assert_eq!((length, wrong), (64 << 20, 0));
}

#[tokio::test]
async fn head_options_and_empty_answers_pass() {
    let world = World::start("").await;
    assert_eq!(world.call("HEAD", "/").send().await.status, 200);
    assert_eq!(world.call("HEAD", "/signup").send().await.status, 200);
    let jwks = world.call("HEAD", "/jwks").send().await;
    assert_eq!((jwks.status, jwks.body.len()), (200, 0));
    assert_eq!(world.call("OPTIONS", "/token").send().await.status, 405);
    assert!(world.hook.all().is_empty());
}

#[tokio::test]
async fn an_operator_can_switch_a_route_of_the_preset_off() {
    let off = "[[route]]\nname = \"create-user\"\npath = \"/admin/realms/{realm}/users\"\ndoes = \"pass\"";
    let idp = Idp::keycloak_with(Setup::keycloak().more(off)).await;
    let answer = idp
        .post("/admin/realms/tg/users")
        .json(&json!({"username": "x"}))
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(idp.stub.at("/admin/realms/tg/users").len(), 1);
    assert!(idp.hook.all().is_empty());
}

async fn next(body: &mut hyper::body::Incoming) -> Bytes {
    let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await;
    frame
        .expect("it does not stream")
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap()
}
