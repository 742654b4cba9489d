use std::{path::Path, sync::Arc};

use http::StatusCode;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify, time::timeout};
use tollgate::listen;

use super::world::{DEADLINE, Proxy, Recorder, answer, ask, read_answer, serve, until_closed, upstream};

const GET: &str = "GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n";

#[tokio::test]
async fn a_body_that_stalls_is_cut_and_never_completes_upstream() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "body_timeout = '200ms'", "").await;
    let answer = ask(
        proxy.address,
        "POST /a HTTP/1.1\r\nHost: id.example.com\r\nContent-Length: 10\r\n\r\nabc",
    )
    .await;
    assert_eq!(answer.status, 408, "{answer:?}");
    upstream.until_seen(1).await;
    assert!(upstream.seen()[0].starts_with("(broken off)"));
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "header_timeout = '200ms'\nidle_timeout = '1h'", "").await;
    for begun in [
        "",
        "G",
        "GET /a HTTP/1.1\r\nHost: id.exam",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(begun.as_bytes()).await.unwrap();
        until_closed(&mut client).await;
    }
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client).await.status, 200);
    client.write_all(b"GET /a").await.unwrap();
    until_closed(&mut client).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "header_timeout = '1h'\nidle_timeout = '200ms'", "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client).await.status, 200);
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "max_head = 8192", "").await;
    let long = format!(
        "GET /a HTTP/1.1\r\nHost: id.example.com\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let many = format!(
        "GET /a HTTP/1.1\r\nHost: id.example.com\r\n{}\r\n",
        "X: y\r\n".repeat(101)
    );
    let target = format!("GET /{} HTTP/1.1\r\nHost: id.example.com\r\n\r\n", "x".repeat(20_000));
    for request in [long, many, target] {
        let answer = ask(proxy.address, request).await;
        assert!(matches!(answer.status, 0 | 414 | 431), "{answer:?}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "max_connections = 1", "").await;
    let mut first = TcpStream::connect(proxy.address).await.unwrap();
    first.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut first).await.status, 200);
    let second = tokio::spawn(ask(proxy.address, GET));
    first.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut first).await.status, 200);
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(timeout(DEADLINE, second).await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn more_connections_from_one_address_than_allowed_are_closed() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "max_connections_per_ip = 1", "").await;
    let mut first = TcpStream::connect(proxy.address).await.unwrap();
    first.write_all(GET.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut first).await.status, 200);
    assert_eq!(ask(proxy.address, GET).await.status, 0);
}

#[tokio::test]
async fn a_request_in_flight_finishes_while_the_listener_drains() {
    let (began, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, go) = (Arc::clone(&began), Arc::clone(&finish));
    let url = upstream(move |_| {
        let (tell, go) = (Arc::clone(&tell), Arc::clone(&go));
        async move {
            tell.notify_one();
            go.notified().await;
            answer(StatusCode::OK, "done")
        }
    })
    .await;
    let proxy = Proxy::start(&url, "", "").await;
    let mut idle = TcpStream::connect(proxy.address).await.unwrap();
    let in_flight = tokio::spawn(ask(proxy.address, GET));
    timeout(DEADLINE, began.notified()).await.unwrap();
    proxy.stop.cancel();
    // Nobody waits for a connection that does nothing.
    assert_eq!(until_closed(&mut idle).await, "");
    assert!(!proxy.serving.is_finished());
    assert!(TcpStream::connect(proxy.address).await.is_err());
    finish.notify_one();
    let answer = timeout(DEADLINE, in_flight).await.unwrap().unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text.to_lowercase().contains("connection: close"), "{answer:?}");
    timeout(DEADLINE, proxy.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let began = Arc::new(Notify::new());
    let tell = Arc::clone(&began);
    let url = upstream(move |_| {
        tell.notify_one();
        std::future::pending()
    })
    .await;
    let proxy = Proxy::start(&url, "drain_timeout = '200ms'", "").await;
    let in_flight = tokio::spawn(ask(proxy.address, GET));
    timeout(DEADLINE, began.notified()).await.unwrap();
    proxy.stop.cancel();
    timeout(DEADLINE, proxy.serving).await.unwrap().unwrap();
    assert_eq!(timeout(DEADLINE, in_flight).await.unwrap().unwrap().status, 0);
}

#[tokio::test]
async fn a_service_that_panics_costs_its_connection_alone() {
    let settings: listen::Settings =
        toml::from_str("address = '127.0.0.1:0'\npublic_url = 'http://id.example.com'").unwrap();
    let proxy = serve(&settings, Path::new("."), |request, _| async move {
        assert_ne!(request.uri().path(), "/panic");
        answer(StatusCode::OK, "well")
    })
    .await;
    assert_eq!(
        ask(proxy.address, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .status,
        0
    );
    assert_eq!(ask(proxy.address, GET).await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_is_away_or_silent_is_a_502_or_504() {
    let proxy = Proxy::start("http://127.0.0.1:1", "", "").await;
    let answer = ask(proxy.address, GET).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    let silent = upstream(|_| std::future::pending()).await;
    let proxy = Proxy::start(&silent, "", "response_timeout = '200ms'").await;
    let answer = ask(proxy.address, GET).await;
    assert_eq!(answer.status, 504, "{answer:?}");
}
