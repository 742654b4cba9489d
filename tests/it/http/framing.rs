use super::world::{Proxy, Recorder, ask};

const HEAD: &str = "Host: id.example.com\r\n";

/// Framing that a front and a back could read in two ways: none of it reaches the upstream.
#[tokio::test]
async fn ambiguous_framing_is_refused_and_never_reaches_the_upstream() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: id.example.com\r\n\r\n";
    let post = |headers: &str, body: &str| format!("POST /a HTTP/1.1\r\n{HEAD}{headers}\r\n{body}");
    let chunks = format!("0\r\n\r\n{smuggled}");
    let cases = [
        post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", &chunks),
        post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", &chunks),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n", &chunks),
        post("Transfer-Encoding: chunked, chunked\r\n", &chunks),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &chunks),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", &chunks),
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", &chunks),
        post("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"),
        post("Transfer-Encoding: chunked, identity\r\n", &chunks),
        post("Transfer-Encoding: xchunked\r\n", &chunks),
        post("Transfer-Encoding: chunked;q=1\r\n", &chunks),
        post("Transfer-Encoding: \"chunked\"\r\n", &chunks),
        post("Transfer-Encoding:\x0bchunked\r\n", &chunks),
        post("Transfer-Encoding: chun\x00ked\r\n", &chunks),
        post("Transfer-Encoding:\r\n chunked\r\n", &chunks),
        post("Transfer-Encoding : chunked\r\n", &chunks),
        post(" Transfer-Encoding: chunked\r\n", &chunks),
        post("X: y\r\n folded\r\n", ""),
        post("X: y\nTransfer-Encoding: chunked\r\n", &chunks),
        post("X: y\nContent-Length: 50\r\n", smuggled),
        post("X: y\rContent-Length: 50\r\n", smuggled),
        post("X: \0y\r\n", ""),
        post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"),
        post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
        post("Content-Length: 3, 3\r\n", "abc"),
        post("Content-Length: +3\r\n", "abc"),
        post("Content-Length: -3\r\n", "abc"),
        post("Content-Length: 0x3\r\n", "abc"),
        post("Content-Length: 3 3\r\n", "abc"),
        post("Content-Length: \r\n", "abc"),
        post("Content-Length : 3\r\n", "abc"),
        post("Content-Length: 99999999999999999999\r\n", "abc"),
        post("Host: id.example.com\r\n", ""),
        post("Host: evil.example\r\n", ""),
        post("Connection: Authorization\r\nAuthorization: Bearer x\r\n", ""),
        post("Connection: close, Cookie\r\nCookie: a=b\r\n", ""),
        post("Connection: Content-Type\r\n", ""),
        post("Connection: X-Forwarded-For\r\n", ""),
        post("Expect: 200-ok\r\n", ""),
        format!("POST /a HTTP/1.0\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}"),
        format!("POST /a HTTP/1.1\n{HEAD}\r\n"),
        format!("GET /a HTTP/1.1\r\n{HEAD}\n"),
        "GET /a HTTP/1.1\r\n\r\n".into(),
        "GET /a HTTP/1.0\r\n\r\n".into(),
        "GET /a HTTP/1.1\r\nHost:\r\n\r\n".into(),
        "GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n".into(),
        "GET /a HTTP/1.1\r\nHost: id.example.com@evil.example\r\n\r\n".into(),
        "GET /a HTTP/1.1\r\nHost: id.example.com:8443\r\n\r\n".into(),
        "GET /a\r\n".into(),
        format!("GET /a HTTP/0.9\r\n{HEAD}\r\n"),
        format!("GET /a HTTP/2.0\r\n{HEAD}\r\n"),
        format!("GET  /a HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET /a  HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET /a b HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET\t/a\tHTTP/1.1\r\n{HEAD}\r\n"),
        format!("get /a HTTP/1.1\r\n{HEAD}\r\n"),
        format!("TRACE /a HTTP/1.1\r\n{HEAD}\r\n"),
        format!("CONNECT id.example.com:443 HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET * HTTP/1.1\r\n{HEAD}\r\n"),
        format!("OPTIONS * HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET a HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET /a#b HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET /a%2fb HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET /a\\b HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET /a?b=\u{e9} HTTP/1.1\r\n{HEAD}\r\n"),
        format!("GET /a HTTP/1.1\r\n{HEAD}na me: x\r\n\r\n"),
        format!("GET /a HTTP/1.1\r\n{HEAD}: x\r\n\r\n"),
        format!("GET /a HTTP/1.1\r\n{HEAD}noco\r\n\r\n"),
    ];
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    for case in &cases {
        // The rest of a request that is not refused at once never comes.
        let answer = ask(proxy.address, case).await;
        assert!(matches!(answer.status, 0 | 400..=599), "{case:?} {answer:?}");
        let seen = upstream.seen();
        assert!(
            seen.iter().all(|seen| seen.starts_with("(broken off)")),
            "{case:?} {seen:?}"
        );
        assert!(!seen.iter().any(|seen| seen.contains("smuggled")), "{case:?} {seen:?}");
    }
}

#[tokio::test]
async fn chunks_that_are_none_end_the_request_upstream_too() {
    for chunks in [
        "5;\r\nabc",
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "-1\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "10000000000000000\r\nabc",
    ] {
        let upstream = Recorder::start().await;
        let proxy = Proxy::start(&upstream.url, "body_timeout = '200ms'", "").await;
        let answer = ask(
            proxy.address,
            format!("POST /a HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}"),
        )
        .await;
        assert!(matches!(answer.status, 0 | 400 | 408), "{chunks:?} {answer:?}");
        let seen = upstream.seen();
        assert!(
            seen.iter().all(|seen| seen.starts_with("(broken off)")),
            "{chunks:?} {seen:?}"
        );
    }
}

#[tokio::test]
async fn what_is_clear_arrives_in_its_one_canonical_form() {
    for (request, line, contains) in [
        (format!("GET /a?b=c HTTP/1.1\r\n{HEAD}\r\n"), "get /a?b=c http/1.1", ""),
        (
            format!("GET http://id.example.com/a HTTP/1.1\r\n{HEAD}\r\n"),
            "get /a http/1.1",
            "host: id.example.com\r\n",
        ),
        (
            format!("GET http://evil.example/a? HTTP/1.1\r\n{HEAD}\r\n"),
            "get /a http/1.1",
            "host: id.example.com\r\n",
        ),
        (
            format!("GET /%c3%a9/ HTTP/1.1\r\n{HEAD}\r\n"),
            "get /%c3%a9/ http/1.1",
            "",
        ),
        (
            "GET /a HTTP/1.0\r\nhOST: ID.example.com:443\r\n\r\n".into(),
            "get /a http/1.1",
            "host: id.example.com\r\n",
        ),
        (
            format!("POST /a HTTP/1.1\r\n{HEAD}Content-Length: 3\r\n\r\nabc"),
            "post /a http/1.1",
            "content-length: 3\r\n",
        ),
        (
            format!("POST /a HTTP/1.1\r\n{HEAD}Transfer-Encoding: CHUNKED\r\n\r\n3;ext=1\r\nabc\r\n0\r\n\r\n"),
            "post /a http/1.1",
            "\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            format!("POST /a HTTP/1.1\r\n{HEAD}Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"),
            "post /a http/1.1",
            "abc",
        ),
    ] {
        let upstream = Recorder::start().await;
        let proxy = Proxy::start(&upstream.url, "", "").await;
        let answer = ask(proxy.address, &request).await;
        assert!(matches!(answer.status, 100 | 200), "{request:?} {answer:?}");
        upstream.until_seen(1).await;
        let seen = upstream.one();
        assert!(seen.starts_with(line), "{request:?} {seen:?}");
        assert!(seen.contains(contains), "{request:?} {seen:?}");
        assert!(
            !(seen.contains("content-length") && seen.contains("transfer-encoding")),
            "{seen:?}"
        );
        assert!(!seen.contains("expect"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_request_behind_another_is_a_request_of_its_own() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    let both = format!(
        "POST /a HTTP/1.1\r\n{HEAD}Content-Length: 5\r\n\r\nGET /GET /b HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n"
    );
    assert_eq!(ask(proxy.address, both).await.status, 200);
    upstream.until_seen(2).await;
    let seen = upstream.seen();
    assert!(
        seen[0].starts_with("POST /a ") && seen[0].ends_with("GET /"),
        "{seen:?}"
    );
    assert!(seen[1].starts_with("GET /b "), "{seen:?}");
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_replaced() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    let forged = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: evil.example\r\n\
        X_Forwarded_For: 1.1.1.1\r\nX-Forwarded-Prefix: /x\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\n\
        X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-HTTP-Method-Override: DELETE\r\nX-Tollgate-Request-Id: 1\r\n\
        Proxy-Authorization: Basic eA==\r\nKeep-Alive: timeout=1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\
        Connection: Upgrade, HTTP2-Settings, My-Hop\r\nMy-Hop: 1\r\nCookie: a=b\r\nAuthorization: Bearer t\r\n";
    let answer = ask(proxy.address, format!("GET /a HTTP/1.1\r\n{HEAD}{forged}\r\n")).await;
    assert_eq!(answer.status, 200);
    let seen = upstream.one();
    for gone in [
        "1.1.1.1",
        "evil",
        "x_forwarded",
        "prefix",
        "\r\nforwarded",
        "x-real",
        "x-original",
        "x-rewrite",
        "override",
        "tollgate",
        "proxy-",
        "keep-alive",
        "upgrade",
        "http2-settings",
        "my-hop",
    ] {
        assert!(!seen.contains(gone), "{gone} {seen}");
    }
    for there in [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
        "x-forwarded-host: id.example.com\r\n",
        "x-forwarded-port: 443\r\n",
        "cookie: a=b\r\n",
        "authorization: bearer t\r\n",
        "traceparent: 00-",
    ] {
        assert_eq!(seen.matches(there).count(), 1, "{there} {seen}");
    }
}

#[tokio::test]
async fn a_trusted_proxys_word_for_the_client_counts() {
    let upstream = Recorder::start().await;
    let proxy = Proxy::start(&upstream.url, "trusted_proxies = ['127.0.0.0/8', '10.0.0.0/8']", "").await;
    let chain = "X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.1.2.3\r\nX-Forwarded-Proto: http\r\n";
    ask(proxy.address, format!("GET /a HTTP/1.1\r\n{HEAD}{chain}\r\n")).await;
    let seen = upstream.one();
    assert!(seen.contains("x-forwarded-for: 203.0.113.9\r\n"), "{seen}");
    assert!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_answer_end_here() {
    let upstream = Recorder::answering(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n\
         Upgrade: h2c\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let proxy = Proxy::start(&upstream.url, "", "").await;
    let text = ask(proxy.address, format!("GET /a HTTP/1.1\r\n{HEAD}\r\n"))
        .await
        .text
        .to_lowercase();
    assert!(text.contains("x-stays: 1"), "{text}");
    for gone in ["x-hop", "keep-alive", "proxy-", "upgrade"] {
        assert!(!text.contains(gone), "{gone} {text}");
    }
}
