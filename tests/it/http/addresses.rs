//! An upstream at several addresses, and what is sent again.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use http::{HeaderMap, Request, StatusCode};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tollgate::{
    body::{self, Body},
    listen::{self, ClientCertificate},
    upstream::{Settings, State, Upstream, UpstreamError},
};

use super::world::{Answer, Proxy, Recorder, answer, ask, serve};
use crate::world::{proxy::free_address, until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n";
const POST: &str = "POST /token HTTP/1.1\r\nHost: id.example.com\r\nContent-Length: 3\r\n\r\nabc";

fn at(addresses: &[SocketAddr], more: &str) -> String {
    let addresses: Vec<String> = addresses.iter().map(|address| format!("'{address}'")).collect();
    format!("addresses = [{}]\n{more}", addresses.join(", "))
}

fn of(recorder: &Recorder) -> SocketAddr {
    recorder.url.strip_prefix("http://").unwrap().parse().unwrap()
}

fn upstream(base: &Path, url: &str, more: &str) -> Upstream {
    let settings: Settings = toml::from_str(&format!("url = '{url}'\n{more}")).unwrap();
    Upstream::new(&settings, base).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "id.example.com")
        .body(body::empty())
        .unwrap()
}

#[tokio::test]
async fn requests_are_spread_over_all_addresses() {
    let (one, other) = (Recorder::start().await, Recorder::start().await);
    let settings = at(&[of(&one), of(&other)], "");
    let proxy = Proxy::start("http://nobody-connects-here.invalid", "", &settings).await;
    for _ in 0..10 {
        assert_eq!(ask(proxy.address, GET).await.status, 200);
    }
    assert_eq!((one.seen().len(), other.seen().len()), (5, 5));
}

#[tokio::test]
async fn an_address_that_cannot_be_reached_costs_no_request_not_even_one_that_may_be_sent_once() {
    let alive = Recorder::start().await;
    let dead = free_address();
    let settings = at(&[dead, of(&alive)], "");
    let upstream = upstream(Path::new("."), "http://id.example.com", &settings);
    for _ in 0..6 {
        let request = Request::post("/token")
            .header("host", "id.example.com")
            .body(body::full("grant_type=authorization_code&code=1"))
            .unwrap();
        assert_eq!(upstream.call(request).await.unwrap().status(), 200);
    }
    assert_eq!(alive.seen().len(), 6);
    assert!(
        alive.seen().iter().all(|seen| seen.ends_with("&code=1")),
        "the body is whole"
    );
    let states: Vec<State> = upstream.addresses().iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Ejected, State::Healthy]);
    assert!(upstream.addresses().iter().all(|one| one.in_flight == 0));
}

#[tokio::test]
async fn when_no_address_is_well_all_are_tried() {
    let (one, other) = (free_address(), free_address());
    let proxy = Proxy::start("http://id.example.com", "", &at(&[one, other], "")).await;
    assert_eq!(ask(proxy.address, GET).await.status, 502);
    // Both are ejected now. One comes back, and is found without waiting.
    let socket = TcpListener::bind(other).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let mut head = [0; 1024];
            _ = stream.read(&mut head).await;
            _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    assert_eq!(ask(proxy.address, GET).await.status, 200);
}

/// Counts requests and resets the connection that the `n`th of it came by, for every `n` from `first` on.
async fn resetting(first: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let mut of_this = 0;
                while stream.read(&mut bytes).await.unwrap_or(0) > 0 {
                    of_this += 1;
                    count.fetch_add(1, Ordering::SeqCst);
                    if of_this >= first {
                        return stream.set_zero_linger().unwrap();
                    }
                    _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        .await;
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_request_that_may_have_been_sent_is_never_sent_again() {
    let ((one, first), (other, second)) = (resetting(1).await, resetting(1).await);
    let proxy = Proxy::start("http://id.example.com", "", &at(&[one, other], "")).await;
    for (sent, request) in [POST, GET].into_iter().enumerate() {
        assert_eq!(ask(proxy.address, request).await.status, 502);
        let seen = first.load(Ordering::SeqCst) + second.load(Ordering::SeqCst);
        assert_eq!(seen, sent + 1, "{request}");
    }
}

#[tokio::test]
async fn a_get_whose_old_connection_is_reset_is_sent_once_more_and_a_post_is_not() {
    for (request, status, sent) in [(GET, 200, 3), (POST, 502, 2)] {
        let (address, seen) = resetting(2).await;
        let proxy = Proxy::start(&format!("http://{address}"), "", "").await;
        assert_eq!(ask(proxy.address, GET).await.status, 200);
        let answer: Answer = ask(proxy.address, request).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(seen.load(Ordering::SeqCst), sent);
    }
}

#[tokio::test]
async fn an_address_that_fails_its_health_check_gets_no_requests_until_it_passes() {
    let sick = Arc::new(AtomicBool::new(false));
    let patient = {
        let sick = Arc::clone(&sick);
        super::world::upstream(move |request| {
            let well = !sick.load(Ordering::SeqCst) || request.uri().path() != "/health";
            let status = if well {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            async move { answer(status, "patient") }
        })
        .await
    };
    let other = super::world::upstream(|_| async { answer(StatusCode::OK, "other") }).await;
    let addresses = [&patient, &other].map(|url| url.strip_prefix("http://").unwrap().parse().unwrap());
    let check = "health_check = { path = '/health', interval = '100ms', unhealthy_after = 2, healthy_after = 2 }";
    let upstream = upstream(Path::new("."), "http://id.example.com", &at(&addresses, check));
    upstream.watch_health("/never-asked", &HeaderMap::new());
    let is = |state| upstream.addresses()[0].state == state;

    sick.store(true, Ordering::SeqCst);
    until("the check fails", || async { is(State::Unhealthy) }).await;
    for _ in 0..4 {
        assert_eq!(upstream.call(get("/a")).await.unwrap().body(), "other");
    }
    sick.store(false, Ordering::SeqCst);
    until("the check passes", || async { is(State::Healthy) }).await;
    let mut answers = [
        upstream.call(get("/a")).await.unwrap(),
        upstream.call(get("/a")).await.unwrap(),
    ]
    .map(|answer| answer.into_body());
    answers.sort();
    assert_eq!(answers, ["other", "patient"]);
}

/// Authority and certificates in one folder: `ca.crt`, `tls.crt` and `tls.key` for `localhost`, `client.crt` and `client.key`.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let client = rcgen::generate_simple_self_signed(["tollgate".to_owned()]).unwrap();
    std::fs::write(folder.path().join("client.crt"), client.cert.pem()).unwrap();
    std::fs::write(folder.path().join("client.key"), client.signing_key.serialize_pem()).unwrap();
    folder
}

/// Answers with the version of HTTP and whether there was a client's certificate.
async fn mirror(folder: &Path, tls: &str) -> SocketAddr {
    let settings = format!("address = '127.0.0.1:0'\npublic_url = 'https://localhost'\n{tls}");
    let settings: listen::Settings = toml::from_str(&settings).unwrap();
    let server = serve(&settings, folder, |request: Request<Body>, _| async move {
        let shown = request.extensions().get::<ClientCertificate>().is_some();
        answer(StatusCode::OK, &format!("{:?} {shown}", request.version()))
    });
    server.await.address
}

#[tokio::test]
async fn the_upstream_is_shown_a_certificate_and_is_spoken_to_as_configured() {
    let folder = certificates();
    let tls = "tls = { certificate = 'tls.crt', key = 'tls.key', client_certificates = 'any' }";
    let (secure, plain) = (mirror(folder.path(), tls).await, mirror(folder.path(), "").await);
    let own = "ca = 'tls.crt'\nclient_certificate = 'client.crt'\nclient_key = 'client.key'\n";
    let there = at(&[secure], own);
    for (url, settings, expected) in [
        ("https://localhost", format!("{there}http = 'auto'"), "HTTP/2.0 true"),
        ("https://localhost", format!("{there}http = '1'"), "HTTP/1.1 true"),
        ("https://localhost", format!("{there}http = '2'"), "HTTP/2.0 true"),
        ("https://localhost", at(&[secure], "ca = 'tls.crt'"), "HTTP/2.0 false"),
        ("http://localhost", at(&[plain], "http = 'auto'"), "HTTP/1.1 false"),
        ("http://localhost", at(&[plain], "http = '2'"), "HTTP/2.0 false"),
    ] {
        let upstream = upstream(folder.path(), url, &settings);
        assert_eq!(upstream.call(get("/")).await.unwrap().body(), expected, "{settings}");
    }
    let nobody = upstream(folder.path(), "https://elsewhere.example", &there);
    let wrong = nobody.call(get("/")).await.unwrap_err();
    assert!(
        matches!(wrong, UpstreamError::Unreachable(_)),
        "the certificate is for `localhost`: {wrong}"
    );
}

#[test]
fn settings_that_cannot_work_say_which_and_how_to_mend_it() {
    let folder = certificates();
    for (url, settings, key) in [
        (
            "http://a",
            "addresses = ['http://10.0.0.1:8080']",
            "upstream.addresses.0",
        ),
        (
            "http://a",
            "addresses = ['10.0.0.1:80', '10.0.0.2']",
            "upstream.addresses.1",
        ),
        (
            "http://a",
            "addresses = ['10.0.0.1:80', '10.0.0.1:80']",
            "upstream.addresses.1",
        ),
        (
            "http://a",
            "health_check = { path = 'health' }",
            "upstream.health_check.path",
        ),
        (
            "http://a",
            "health_check = { interval = '1ms' }",
            "upstream.health_check.interval",
        ),
        (
            "http://a",
            "health_check = { healthy_after = 0 }",
            "upstream.health_check.healthy_after",
        ),
        (
            "https://a",
            "client_certificate = 'client.crt'",
            "upstream.client_certificate",
        ),
        ("https://a", "client_key = 'client.key'", "upstream.client_key"),
        (
            "http://a",
            "client_certificate = 'client.crt'\nclient_key = 'client.key'",
            "upstream.client_certificate",
        ),
        (
            "https://a",
            "client_certificate = 'client.crt'\nclient_key = 'tls.crt'",
            "upstream.client_key",
        ),
        (
            "https://a",
            "client_certificate = 'client.crt'\nclient_key = 'tls.key'",
            "upstream.client_key",
        ),
    ] {
        let parsed: Settings = toml::from_str(&format!("url = '{url}'\n{settings}")).unwrap();
        let wrong = Upstream::new(&parsed, folder.path()).unwrap_err();
        assert_eq!(wrong.key, key, "{settings}");
        assert!(wrong.hint.is_some(), "{settings}");
    }
}
