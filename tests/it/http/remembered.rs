use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Request, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tollgate::{
    body::{self, Body},
    upstream::{Document, Lifetime, MAX_ANSWER, Remembered, Upstream, UpstreamError},
};

use super::world::{Recorder, answer, upstream};

fn client(url: &str) -> Upstream {
    Upstream::new(&toml::from_str(&format!("url = '{url}'")).unwrap(), Path::new(".")).unwrap()
}

fn post(text: &'static str) -> Request<Body> {
    Request::post("/token")
        .header("host", "id.example.com")
        .header("accept-encoding", "gzip, br")
        .header("content-length", "99")
        .body(body::full(text))
        .unwrap()
}

/// A document whose text is how often it was fetched, while `there` is not zero.
async fn counting(there: &Arc<AtomicUsize>, fetched: &Arc<AtomicUsize>) -> String {
    let (there, fetched) = (Arc::clone(there), Arc::clone(fetched));
    upstream(move |_| {
        let count = fetched.fetch_add(1, Ordering::SeqCst) + 1;
        let status = match there.load(Ordering::SeqCst) {
            0 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        async move { answer(status, &count.to_string()) }
    })
    .await
}

fn number(bytes: &[u8]) -> Result<usize, String> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "is no number".into())
}

fn remembered(url: &str, fresh: u64, stale: Duration) -> Arc<Remembered<usize>> {
    let lifetime = Lifetime {
        fresh: Duration::from_secs(fresh),
        stale,
    };
    Arc::new(Remembered::new(
        client(url),
        Document::Keys,
        "/keys",
        HeaderMap::new(),
        lifetime,
        number,
    ))
}

#[tokio::test]
async fn many_who_need_a_document_cause_one_fetch() {
    let (there, fetched) = (Arc::new(AtomicUsize::new(1)), Arc::default());
    let document = remembered(&counting(&there, &fetched).await, 3600, Duration::MAX);
    let all: Vec<_> = (0..50)
        .map(|_| {
            let document = Arc::clone(&document);
            tokio::spawn(async move { *document.get().await.unwrap() })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), 1);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn ten_thousand_unknown_keys_cause_one_fetch_more() {
    let (there, fetched) = (Arc::new(AtomicUsize::new(1)), Arc::default());
    let document = remembered(&counting(&there, &fetched).await, 3600, Duration::MAX);
    assert_eq!(*document.get().await.unwrap(), 1);
    for _ in 0..10_000 {
        assert_eq!(*document.refetch().await.unwrap(), 2);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_last_good_copy_is_used_while_the_upstream_is_away() {
    let (there, fetched) = (Arc::new(AtomicUsize::new(1)), Arc::default());
    let document = remembered(&counting(&there, &fetched).await, 0, Duration::from_secs(3600));
    assert_eq!(*document.get().await.unwrap(), 1);
    there.store(0, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(*document.get().await.unwrap(), 1);
        assert_eq!(*document.refetch().await.unwrap(), 1);
    }
    // One by `get`, one by `refetch`; after a failure nobody hurries.
    assert!(fetched.load(Ordering::SeqCst) <= 3, "{fetched:?}");
}

#[tokio::test]
async fn a_copy_that_is_too_old_is_not_used() {
    let (there, fetched) = (Arc::new(AtomicUsize::new(1)), Arc::default());
    let document = remembered(&counting(&there, &fetched).await, 0, Duration::ZERO);
    assert_eq!(*document.get().await.unwrap(), 1);
    there.store(0, Ordering::SeqCst);
    let error = document.get().await.unwrap_err();
    assert!(
        matches!(error, UpstreamError::Status(StatusCode::SERVICE_UNAVAILABLE)),
        "{error}"
    );
}

#[tokio::test]
async fn a_document_that_is_none_is_an_error_that_says_so() {
    let rubbish = upstream(|_| async { answer(StatusCode::OK, "<html>") }).await;
    let error = remembered(&rubbish, 1, Duration::MAX).get().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the upstream's answer is unusable: `/keys` is no number"
    );
    let large = upstream(|_| async { answer(StatusCode::OK, &"1".repeat(256 * 1024 + 1)) }).await;
    let error = remembered(&large, 1, Duration::MAX).get().await.unwrap_err();
    assert!(error.to_string().contains("longer than 262144 bytes"), "{error}");
    let elsewhere = upstream(|_| async { answer(StatusCode::FOUND, "") }).await;
    let error = remembered(&elsewhere, 1, Duration::MAX).get().await.unwrap_err();
    assert!(matches!(error, UpstreamError::Status(StatusCode::FOUND)), "{error}");
}

#[tokio::test]
async fn a_called_answer_is_whole_plain_and_bounded() {
    let upstream_ = Recorder::start().await;
    let answered = client(&upstream_.url).call(post("a=b")).await.unwrap();
    assert_eq!(answered.body(), "ok");
    assert!(!answered.headers().contains_key("content-length"));
    let seen = upstream_.one();
    assert!(
        seen.contains("accept-encoding: identity\r\n") && seen.ends_with("a=b"),
        "{seen}"
    );
    assert_eq!(seen.matches("content-length: ").count(), 1, "{seen}");
    assert!(seen.contains("content-length: 3\r\n"), "{seen}");

    let gzip = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok").await;
    let error = client(&gzip.url).call(post("")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Broken(_)), "{error}");

    let exact = upstream(|_| async { answer(StatusCode::OK, &"x".repeat(MAX_ANSWER)) }).await;
    assert_eq!(client(&exact).call(post("")).await.unwrap().body().len(), MAX_ANSWER);
    let large = upstream(|_| async { answer(StatusCode::OK, &"x".repeat(MAX_ANSWER + 1)) }).await;
    let error = client(&large).call(post("")).await.unwrap_err();
    assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
}

/// Codes and assertions count once: a request that may have been seen is never sent again.
#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_twice() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        // Every connection answers its first request and breaks off at its second.
        while let Ok((mut stream, _)) = socket.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                for turn in 0..2 {
                    let mut request = Vec::new();
                    while !request.ends_with(b"code=x") {
                        match stream.read_u8().await {
                            Ok(byte) => request.push(byte),
                            Err(_) => return,
                        }
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    if turn == 0 {
                        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        stream.write_all(ok).await.unwrap();
                    }
                }
            });
        }
    });
    let client = client(&url);
    assert!(client.call(post("code=x")).await.is_ok());
    let mut sent = 1;
    // The pool hands the used connection out again once its end is noticed to be free; then the request fails, unrepeated.
    loop {
        let answered = client.call(post("code=x")).await;
        sent += 1;
        assert_eq!(seen.load(Ordering::SeqCst), sent);
        if let Err(error) = answered {
            assert!(matches!(error, UpstreamError::Broken(_)), "{error}");
            break;
        }
    }
}
