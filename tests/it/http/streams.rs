use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    time::timeout,
};
use tollgate::body::{Body, BoxError};

use super::world::{DEADLINE, Proxy, Recorder, answer, ask, read_answer, until_closed, upstream};

const LARGE: usize = 64 << 20;
/// Generous for the kernel's buffers of two connections; what is held beyond them is a few hundred kilobytes.
const IN_FLIGHT: usize = 40 << 20;

#[tokio::test]
async fn a_large_upload_streams_and_a_slow_upstream_slows_the_client() {
    let (read, may_read) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, gate) = (Arc::clone(&read), Arc::clone(&may_read));
    let url = upstream(move |request| {
        let (count, gate) = (Arc::clone(&count), Arc::clone(&gate));
        async move {
            let _go = gate.acquire().await.unwrap();
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                count.fetch_add(frame.unwrap().into_data().unwrap().len(), Ordering::Relaxed);
            }
            answer(StatusCode::OK, "done")
        }
    })
    .await;
    let proxy = Proxy::start(&url, "", "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    let head = format!("POST /a HTTP/1.1\r\nHost: id.example.com\r\nContent-Length: {LARGE}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; 64 << 10];
    let mut sent = 0;
    // The upstream reads nothing yet, so at some point nobody takes any more.
    while let Ok(written) = timeout(Duration::from_millis(500), client.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent <= IN_FLIGHT, "{sent} bytes are held");
    }
    assert_eq!(read.load(Ordering::Relaxed), 0);
    may_read.add_permits(1);
    while sent < LARGE {
        let rest = &chunk[..chunk.len().min(LARGE - sent)];
        sent += timeout(DEADLINE, client.write(rest)).await.unwrap().unwrap();
    }
    assert_eq!(read_answer(&mut client).await.status, 200);
    assert_eq!(read.load(Ordering::Relaxed), LARGE);
}

fn endless(made: Arc<AtomicUsize>, total: usize) -> Body {
    let frames = futures_util::stream::iter((0..total / 65536).map(move |_| {
        made.fetch_add(65536, Ordering::Relaxed);
        Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 65536])))
    }));
    StreamBody::new(frames).boxed_unsync()
}

#[tokio::test]
async fn a_large_download_streams_and_a_slow_client_slows_the_upstream() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let url = upstream(move |_| {
        let response = Response::new(endless(Arc::clone(&count), LARGE));
        async move { response }
    })
    .await;
    let proxy = Proxy::start(&url, "", "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client
        .write_all(b"GET /a HTTP/1.1\r\nHost: id.example.com\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 1024];
    client.read_exact(&mut first).await.unwrap();
    let mut before = usize::MAX;
    while made.load(Ordering::Relaxed) != before {
        before = made.load(Ordering::Relaxed);
        tokio::time::timeout(Duration::from_millis(500), std::future::pending::<()>())
            .await
            .unwrap_err();
    }
    assert!(
        before <= IN_FLIGHT,
        "{before} bytes were made for a client that does not read"
    );
    let mut rest = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match timeout(DEADLINE, client.read(&mut buffer)).await.unwrap().unwrap() {
            0 => break,
            read => rest += read,
        }
    }
    assert!(rest + first.len() >= LARGE);
    assert_eq!(made.load(Ordering::Relaxed), LARGE);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let upstream = Recorder::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
    )
    .await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    let request = "POST /a HTTP/1.1\r\nHost: id.example.com\r\nTE: trailers\r\nConnection: TE, close\r\nTrailer: X-Mine\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Mine: 8\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let text = until_closed(&mut client).await.to_lowercase();
    assert!(text.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{text}");
    let seen = upstream.seen().concat().to_lowercase();
    assert!(seen.contains("te: trailers\r\n"), "{seen}");
    assert!(seen.contains("0\r\nx-mine: 8\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_through_arrives() {
    let url = upstream(|_| async { answer(StatusCode::PAYLOAD_TOO_LARGE, "no") }).await;
    let proxy = Proxy::start(&url, "", "").await;
    let answer = ask(
        proxy.address,
        "POST /a HTTP/1.1\r\nHost: id.example.com\r\nContent-Length: 1000000\r\n\r\nabc",
    )
    .await;
    assert_eq!(answer.status, 413, "{answer:?}");
}

struct Tell(Arc<Notify>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request_upstream() {
    let (began, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell_began, tell_ended) = (Arc::clone(&began), Arc::clone(&ended));
    let url = upstream(move |_| {
        let (began, ended) = (Arc::clone(&tell_began), Tell(Arc::clone(&tell_ended)));
        async move {
            let _ended = ended;
            began.notify_one();
            std::future::pending().await
        }
    })
    .await;
    let proxy = Proxy::start(&url, "", "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client
        .write_all(b"GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n")
        .await
        .unwrap();
    timeout(DEADLINE, began.notified()).await.unwrap();
    drop(client);
    timeout(DEADLINE, ended.notified()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut() {
    let ended = Arc::new(Notify::new());
    let tell = Arc::clone(&ended);
    let url = upstream(move |_| {
        let tell = Tell(Arc::clone(&tell));
        let frames = futures_util::stream::repeat_with(move || {
            let _tell = &tell;
            Ok::<_, BoxError>(Frame::data(Bytes::from_static(&[b'x'; 65536])))
        });
        async move { Response::new(StreamBody::new(frames).boxed_unsync()) }
    })
    .await;
    let proxy = Proxy::start(&url, "body_timeout = '300ms'", "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client
        .write_all(b"GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n")
        .await
        .unwrap();
    timeout(DEADLINE, ended.notified()).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_breaks_off_upstream_breaks_off_for_the_client() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await.unwrap();
        let half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        stream.write_all(half).await.unwrap();
    });
    let proxy = Proxy::start(&url, "", "").await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client
        .write_all(b"GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n")
        .await
        .unwrap();
    let text = until_closed(&mut client).await;
    assert!(text.ends_with("4\r\nhalf\r\n"), "{text}");
}

#[tokio::test]
async fn a_bodiless_answer_stays_one() {
    for (method, given) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
    ] {
        let upstream = Recorder::answering(given).await;
        let proxy = Proxy::start(&upstream.url, "", "").await;
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        let request = format!("{method} /a HTTP/1.1\r\nHost: id.example.com\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let text = until_closed(&mut client).await.to_lowercase();
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        assert_eq!(text.contains("content-length: 7"), method == "HEAD", "{text}");
        assert!(!text.contains("transfer-encoding"), "{text}");
    }
}

#[tokio::test]
async fn an_empty_body_is_no_body() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    ask(proxy.address, "GET /a HTTP/1.1\r\nHost: id.example.com\r\n\r\n").await;
    let seen = upstream.one();
    assert!(
        !seen.contains("content-length") && !seen.contains("transfer-encoding"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_post_without_a_body_says_so() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    let post = "POST /a HTTP/1.1\r\nHost: id.example.com\r\nContent-Length: 0\r\n\r\n";
    ask(proxy.address, post).await;
    let seen = upstream.one();
    assert!(seen.contains("content-length: 0\r\n"), "{seen}");
}
