use std::{path::Path, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tollgate::{
    body::{self, Body},
    listen,
    upstream::{Settings, Upstream, UpstreamError},
};

use super::world::{DEADLINE, Proxy, Recorder, answer, ask, read_answer, serve, until_closed};

/// A folder with `tls.crt` and `tls.key` for `localhost`.
fn certificate() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    folder
}

const TLS: &str = "tls = { certificate = 'tls.crt', key = 'tls.key' }";

/// A TLS server that answers with the version, the host and the scheme it was asked by.
async fn mirror(folder: &Path) -> Proxy {
    let settings = format!("address = '127.0.0.1:0'\npublic_url = 'https://localhost'\n{TLS}");
    let settings: listen::Settings = toml::from_str(&settings).unwrap();
    serve(&settings, folder, |request: Request<Body>, _| async move {
        let authority = request.uri().authority().map(ToString::to_string);
        answer(StatusCode::OK, &format!("{:?} {authority:?}", request.version()))
    })
    .await
}

fn client(url: &str, folder: &Path) -> Upstream {
    let settings: Settings = toml::from_str(&format!("url = '{url}'\nca = 'tls.crt'")).unwrap();
    Upstream::new(&settings, folder).unwrap()
}

fn get(path: &str, host: &str) -> Request<Body> {
    Request::get(path).header("host", host).body(body::empty()).unwrap()
}

async fn shake_hands(proxy: &Proxy, folder: &Path, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(folder.join("tls.crt")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn http2_is_spoken_where_tls_agreed_on_it_on_both_sides() {
    let folder = certificate();
    let server = mirror(folder.path()).await;
    let url = format!("https://localhost:{}", server.address.port());
    let settings = format!("names = ['localhost']\n{TLS}");
    let proxy = Proxy::start_in(folder.path(), &url, &settings, "ca = 'tls.crt'").await;
    let client = client(&format!("https://localhost:{}", proxy.address.port()), folder.path());
    let response = client.call(get("/a", "id.example.com")).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.body(), "HTTP/2.0 Some(\"id.example.com\")");
}

#[tokio::test]
async fn http1_is_spoken_where_tls_agreed_on_it_and_nothing_is_sniffed() {
    let folder = certificate();
    let server = mirror(folder.path()).await;
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let mut stream = shake_hands(&server, folder.path(), alpn).await.unwrap();
        stream
            .write_all(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert!(read_answer(&mut stream).await.text.ends_with("HTTP/1.1 None"));
        let mut stream = shake_hands(&server, folder.path(), alpn).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer:?}");
    }
    let mut stream = shake_hands(&server, folder.path(), &[b"h2"]).await.unwrap();
    stream
        .write_all(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert!(!until_closed(&mut stream).await.contains("HTTP/1.1 200"));
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_and_its_authority_is_checked() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    let stream = TokioIo::new(TcpStream::connect(proxy.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    for (authority, host, status) in [
        ("id.example.com", None, 200),
        ("id.example.com", Some("id.example.com"), 200),
        ("id.example.com", Some("evil.example"), 400),
        ("evil.example", None, 400),
        ("evil.example", Some("id.example.com"), 400),
    ] {
        let mut request = Request::get(format!("https://{authority}/a"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = timeout(DEADLINE, sender.send_request(request)).await.unwrap().unwrap();
        assert_eq!(response.status(), status, "{authority} {host:?}");
        response.into_body().collect().await.unwrap();
    }
    upstream.until_seen(2).await;
    for seen in upstream.seen() {
        assert!(
            seen.starts_with("GET /a HTTP/1.1\r\n") && seen.contains("host: id.example.com\r\n"),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn an_upstream_whose_certificate_does_not_hold_gets_nothing() {
    let (theirs, ours) = (certificate(), certificate());
    let server = mirror(theirs.path()).await;
    let client = client(&format!("https://localhost:{}", server.address.port()), ours.path());
    let refused = client.call(get("/a", "localhost")).await.unwrap_err();
    assert!(
        matches!(&refused, UpstreamError::Unreachable(why) if why.contains("certificate")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_a_finding_at_its_key() {
    let (folder, other) = (certificate(), certificate());
    std::fs::copy(other.path().join("tls.key"), folder.path().join("other.key")).unwrap();
    std::fs::write(folder.path().join("empty"), "").unwrap();
    for (certificate, key, at) in [
        ("none", "tls.key", "listen.tls.certificate"),
        ("empty", "tls.key", "listen.tls.certificate"),
        ("tls.crt", "none", "listen.tls.key"),
        ("tls.crt", "tls.crt", "listen.tls.key"),
        ("tls.crt", "other.key", "listen.tls.key"),
    ] {
        let tls: listen::Tls = toml::from_str(&format!("certificate = '{certificate}'\nkey = '{key}'")).unwrap();
        let finding = tls.acceptor(folder.path()).err().unwrap();
        assert_eq!(finding.key, at, "{finding}");
        assert!(finding.hint.is_some());
    }
}

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: id.example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// An upstream for one connection: reads a head, answers, then echoes.
async fn echo(answer: &'static str) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(
            head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"),
            "{head}"
        );
        assert!(head.contains("sec-websocket-key: "), "{head}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    url
}

#[tokio::test]
async fn a_websocket_is_joined_once_the_upstream_agreed() {
    let url = echo("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\n\r\n").await;
    let proxy = Proxy::start(&url, "idle_timeout = '200ms'\nheader_timeout = '200ms'", "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let answer = read_answer(&mut client).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    assert!(answer.text.to_lowercase().contains("sec-websocket-accept: x"));
    for word in [&b"hello"[..], b"\0\xff GET / HTTP/1.1\r\n\r\n"] {
        client.write_all(word).await.unwrap();
        let mut back = vec![0; word.len()];
        timeout(DEADLINE, client.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(back, word);
    }
    client.shutdown().await.unwrap();
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn a_websocket_that_the_upstream_declines_is_an_answer_and_no_tunnel() {
    let url = echo("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let proxy = Proxy::start(&url, "", "").await;
    let smuggled = format!("{HANDSHAKE}GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(smuggled.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut client).await.status, 403);
    let url = echo("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n").await;
    let proxy = Proxy::start(&url, "", "").await;
    assert_eq!(ask(proxy.address, HANDSHAKE).await.status, 502);
}

#[tokio::test]
async fn an_upstream_that_switches_protocols_unasked_is_a_502() {
    let upstream =
        Recorder::answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    assert_eq!(
        ask(proxy.address, "GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n")
            .await
            .status,
        502
    );
}

#[tokio::test]
async fn a_few_interim_answers_are_swallowed_and_a_flood_is_a_502() {
    let few = Recorder::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let proxy = Proxy::start(&few.url, "", "").await;
    let answer = ask(proxy.address, "GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let flood = format!(
        "{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20)
    );
    let upstream = Recorder::answering(flood.leak()).await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    let answer = ask(proxy.address, "GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n").await;
    assert_eq!(answer.status, 502, "{answer:?}");
}
