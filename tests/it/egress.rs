//! The net below: a token that the upstream signed for clients and that comes out where no route expects one.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use serde_json::json;
use tollgate::audit::{Decider, Kind};

use crate::world::{Fate, Idp, Setup, log, stub};

/// A request that no route knows.
const PAGE: &str = "/realms/tg/some/page";

async fn idp() -> (Idp, String) {
    with(Setup::keycloak()).await
}

async fn with(setup: Setup) -> (Idp, String) {
    let idp = Idp::keycloak_with(setup).await;
    let native = idp.key.sign(&idp.access_claims());
    (idp, native)
}

/// An answer with this content type, body and header.
fn answers(idp: &Idp, path: &str, content_type: &'static str, body: &str, header: Option<(&'static str, String)>) {
    let body = body.to_owned();
    let fate = Fate::by(move |_| {
        let mut answer = stub::reply(200, content_type, body.clone());
        if let Some((name, value)) = &header {
            answer.headers_mut().append(*name, value.parse().unwrap());
        }
        answer
    });
    idp.stub.fate(path, fate);
}

#[tokio::test]
async fn a_native_token_leaves_in_no_body() {
    let (idp, native) = idp().await;
    for (content_type, body) in [
        ("application/json", json!({"a": [{"token": native}]}).to_string()),
        (
            "application/x-www-form-urlencoded",
            format!("state=x&id_token={native}"),
        ),
        ("application/jwt", native.clone()),
        (
            "text/html;charset=utf-8",
            format!("<form><input type=\"hidden\" name=\"access_token\" value=\"{native}\"></form>"),
        ),
        ("text/plain", format!("your token: {native}\n")),
        ("text/javascript", format!("const token = '{native}'")),
        ("application/octet-stream", native.clone()),
    ] {
        answers(&idp, PAGE, content_type, &body, None);
        let answer = idp.get(PAGE).header("accept", "*/*").send().await;
        assert_eq!(answer.status, 502, "{content_type}: {answer:?}");
        assert!(!format!("{answer:?}").contains("eyJ"), "{content_type}: {answer:?}");
        assert_eq!(answer.json()["error"], "server_error");
    }
    let page = idp.get(PAGE).header("accept", "text/html").send().await;
    assert!(
        page.header("content-type").unwrap().starts_with("text/html"),
        "{page:?}"
    );
}

#[tokio::test]
async fn a_native_token_leaves_in_no_header() {
    let (idp, native) = idp().await;
    for (name, value) in [
        ("location", format!("https://rp.example/cb?state=x&token={native}")),
        ("location", format!("https://rp.example/cb#state=x&id={native}")),
        ("x-auth-token", native.clone()),
        ("authorization", format!("Bearer {native}")),
        ("set-cookie", format!("id={native}; Path=/; HttpOnly")),
    ] {
        answers(&idp, PAGE, "text/html", "", Some((name, value)));
        let answer = idp.get(PAGE).send().await;
        assert_eq!(answer.status, 502, "{name}: {answer:?}");
        assert!(!format!("{answer:?}").contains("eyJ"), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_caught_is_recorded_once_and_never_shown() {
    let (idp, native) = idp().await;
    answers(
        &idp,
        PAGE,
        "application/json",
        &json!({"jwt": native}).to_string(),
        None,
    );
    let answer = idp.get(PAGE).send().await;
    let id = answer.header("x-request-id").unwrap().to_owned();
    let records: Vec<_> = idp.audit();
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!(record.entry.kind, Kind::Refused);
    assert_eq!(record.entry.decided_by, Some(Decider::Rule("egress_guard".into())));
    assert_eq!(record.entry.request_id, id);
    let reason = record.entry.reason.as_deref().unwrap();
    for said in ["\"upstream-1\"", "\"JWT\"", "the body", "GET /realms/tg/some/page"] {
        assert!(reason.contains(said), "{said}: {reason}");
    }
    let signature = native.rsplit('.').next().unwrap();
    assert!(!record.to_json().contains(signature));
    assert!(!log::text().contains(signature));
    assert!(log::text().contains("a token of the upstream's own"));
}

#[tokio::test]
async fn a_recognised_request_is_watched_as_well() {
    let (idp, native) = idp().await;
    let endpoints = idp.endpoints();
    for path in [
        endpoints.authorize,
        endpoints.logout,
        endpoints.userinfo,
        endpoints.revoke,
    ] {
        answers(&idp, path, "text/html", &format!("<input value='{native}'>"), None);
        let answer = match path {
            _ if path == endpoints.revoke => idp.post(path).form(&[("token", "x")]).send().await,
            _ => {
                idp.get(&format!("{path}?client_id=web&response_type=code"))
                    .send()
                    .await
            }
        };
        assert_eq!(answer.status, 502, "{path}: {answer:?}");
        assert!(!answer.text().contains("eyJ"), "{path}: {answer:?}");
    }
    let mut tokens = idp.good_tokens();
    tokens["another_token"] = json!(native);
    idp.hands_out(tokens);
    let answer = idp.redeem().await;
    assert_eq!(answer.status, 502, "{answer:?}");
    let record = idp.audit().pop().unwrap();
    assert_eq!(record.entry.operation.as_deref(), Some("token"));
    assert_eq!(record.entry.realm.as_deref(), Some("tg"));
}

#[tokio::test]
async fn a_token_that_names_no_issuer_is_told_by_its_key() {
    let (idp, _) = idp().await;
    let bare = idp.key.sign(&json!({"sub": "u-1"}));
    answers(&idp, PAGE, "application/jwt", &bare, None);
    assert_eq!(idp.get(PAGE).send().await.status, 200, "nobody knows the key yet");
    idp.get(idp.endpoints().jwks).send().await;
    assert_eq!(idp.get(PAGE).send().await.status, 502);
    let escaped = bare.replace('.', "&#46;");
    answers(&idp, PAGE, "text/html", &escaped, None);
    assert_eq!(idp.get(PAGE).send().await.status, 502);
}

#[tokio::test]
async fn a_token_under_an_unknown_key_is_told_by_its_issuer() {
    let (idp, _) = idp().await;
    for header in [
        json!({"alg": "ES256", "kid": "FCB6:3FRX:6AXD:2YHV"}),
        json!({"alg": "ES256"}),
    ] {
        let token = idp.key.sign_as(&header, &idp.access_claims().to_string());
        answers(
            &idp,
            PAGE,
            "application/json",
            &json!({"token": token}).to_string(),
            None,
        );
        assert_eq!(idp.get(PAGE).send().await.status, 502, "{header}");
    }
}

#[tokio::test]
async fn what_is_no_token_of_the_upstreams_passes_byte_for_byte() {
    let (idp, _) = idp().await;
    idp.hands_out(idp.good_tokens());
    let ours = idp.redeem().await.json()["access_token"].as_str().unwrap().to_owned();
    let mut claims = idp.access_claims();
    let secret = idp
        .key
        .sign_as(&json!({"alg": "HS512", "kid": "upstream-1"}), &claims.to_string());
    let encrypted = idp.key.sign_as(
        &json!({"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "upstream-1"}),
        "{\"x\":1}",
    );
    claims["iss"] = json!("https://accounts.example.org");
    let others = crate::world::keys::Key::new("other").sign(&claims);
    let body = json!({"ours": ours, "others": others, "secret": secret, "encrypted": encrypted, "text": "eyJ eyJh"});
    let cookie = ("set-cookie", format!("KEYCLOAK_IDENTITY={secret}; Path=/realms/tg/"));
    answers(&idp, PAGE, "application/json", &body.to_string(), Some(cookie));
    let answer = idp.get(PAGE).send().await;
    assert_eq!((answer.status, answer.text()), (200, body.to_string()));
    assert_eq!(
        answer.header("content-length"),
        Some(body.to_string().len().to_string().as_str())
    );
    assert!(answer.header("set-cookie").unwrap().contains(&secret));
}

#[tokio::test]
async fn a_stream_is_cut_before_the_token_and_does_not_end_well() {
    let (idp, native) = idp().await;
    let text = format!("data: {native}\n\n");
    let begun = Bytes::from("data: begun\n\n");
    for size in [1, 7, 64, text.len()] {
        let (begun, text) = (begun.clone(), text.clone());
        let fate = Fate::by(move |_| {
            let token = Bytes::from(text.clone());
            let chunks = (0..token.len()).step_by(size);
            let chunks: Vec<_> = chunks.map(|at| token.slice(at..token.len().min(at + size))).collect();
            let all = stream::iter([begun.clone()])
                .chain(stream::iter(chunks).then(|chunk| async {
                    tokio::task::yield_now().await;
                    chunk
                }))
                .map(Ok::<_, std::io::Error>);
            stub::reply(200, "text/event-stream", axum::body::Body::from_stream(all))
        });
        idp.stub.fate(PAGE, fate);
        let (mut got, mut broken) = (Vec::new(), false);
        let mut body = idp.get(PAGE).open().await.into_body();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => got.extend_from_slice(frame.data_ref().unwrap()),
                Err(_) => broken = true,
            }
        }
        let got = String::from_utf8(got).unwrap();
        assert!(broken, "{size}: a clean end behind {got}");
        assert!("data: begun\n\ndata: ey".starts_with(&got), "{size}: {got}");
    }
    assert_eq!(idp.audit().len(), 4);
}

#[tokio::test]
async fn a_stream_without_tokens_is_not_held_up() {
    let (idp, _) = idp().await;
    let (more, chunks) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let chunks = std::sync::Mutex::new(Some(chunks));
    idp.stub.fate(
        PAGE,
        Fate::by(move |_| {
            let chunks = chunks.lock().unwrap().take().unwrap();
            let chunks = stream::unfold(chunks, |mut chunks| async {
                let chunk = chunks.recv().await?;
                Some((Ok::<_, std::io::Error>(chunk), chunks))
            });
            stub::reply(200, "text/event-stream", axum::body::Body::from_stream(chunks))
        }),
    );
    let mut body = idp.get(PAGE).open().await.into_body();
    for text in ["the", "e", "ey", "y", "key", " eyJ.\n"] {
        more.send(text).unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), text);
    }
    drop(more);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn an_operator_may_have_it_logged_or_not_looked_at() {
    for (setting, records) in [("log", 2), ("off", 0)] {
        let (idp, native) = with(Setup::keycloak().section("upstream", &format!("egress = \"{setting}\""))).await;
        let body = format!("<input value=\"{native}\"> and more {native}");
        answers(&idp, PAGE, "text/html", &body, None);
        let answer = idp.get(PAGE).send().await;
        assert_eq!((answer.status, answer.text()), (200, body.clone()), "{setting}");
        answers(
            &idp,
            PAGE,
            "text/html",
            "moved",
            Some(("location", format!("/#{native}"))),
        );
        assert_eq!(idp.get(PAGE).send().await.status, 200, "{setting}");
        crate::world::until("the records are there", || async { idp.audit().len() == records }).await;
        for record in idp.audit() {
            assert_eq!(record.entry.kind, Kind::Failure);
            assert_eq!(record.entry.failure.unwrap().kind, "egress_guard");
        }
    }
}

#[tokio::test]
async fn answers_are_asked_for_as_they_can_be_read() {
    let (idp, _) = idp().await;
    for (path, coding, range) in [
        (PAGE, Some("identity"), None),
        ("/realms/tg/protocol/openid-connect/logout", Some("identity"), None),
        ("/resources/x1/admin/app.js", Some("gzip, br"), Some("bytes=0-9")),
    ] {
        idp.get(path)
            .header("accept-encoding", "gzip, br")
            .header("range", "bytes=0-9")
            .send()
            .await;
        let sent = idp.stub.at(path).pop().unwrap();
        assert_eq!(
            (sent.header("accept-encoding"), sent.header("range")),
            (coding, range),
            "{path}"
        );
    }
    idp.get("/health").send().await;
    assert_eq!(idp.stub.at("/health")[0].header("accept-encoding"), None);
    let script = idp
        .get("/app")
        .header("accept-encoding", "gzip")
        .header("sec-fetch-dest", "script");
    script.send().await;
    assert_eq!(idp.stub.at("/app")[0].header("accept-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_compressed_answer_passes_only_as_an_asset() {
    let (idp, _) = idp().await;
    for (path, content_type, status) in [
        (PAGE, "text/html", 502),
        ("/resources/app.js", "text/javascript", 200),
        ("/resources/app.js", "application/json", 502),
    ] {
        answers(
            &idp,
            path,
            content_type,
            "\u{1f}zipped",
            Some(("content-encoding", "gzip".into())),
        );
        let answer = idp.get(path).header("accept-encoding", "gzip").send().await;
        assert_eq!(answer.status, status, "{path} {content_type}: {answer:?}");
    }
}
