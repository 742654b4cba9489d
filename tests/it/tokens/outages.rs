//! The upstream is down, slow, or answers rubbish: 502 or 504 in the caller's format, and what it published before stays.

use std::time::Duration;

use tokio::{io::AsyncReadExt, net::TcpListener};
use tollgate::event::Trigger;

use crate::world::{Fate, Hook, Idp, Proxy, Setup, until};

#[tokio::test]
async fn discovery_and_keys_are_served_from_the_last_good_copy_while_the_upstream_is_away() {
    let idp = Idp::generic(Setup::generic()).await;
    let discovery = idp.get("/.well-known/openid-configuration").send().await;
    let jwks = idp.get("/jwks").send().await;
    idp.stub.go_away().await;
    let later = idp.get("/.well-known/openid-configuration").send().await;
    assert_eq!((later.status, later.json()), (200, discovery.json()));
    let later = idp.get("/jwks").send().await;
    assert_eq!((later.status, later.json()), (200, jwks.json()));
}

#[tokio::test]
async fn while_the_upstream_is_down_a_token_request_is_502_in_oauths_form() {
    let idp = Idp::generic(Setup::generic()).await;
    idp.hands_out(idp.good_tokens());
    assert_eq!(idp.redeem().await.status, 200);
    idp.stub.go_away().await;
    let answer = idp.redeem().await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.json()["error"], "server_error");
    let text = answer.json()["error_description"].as_str().unwrap().to_owned();
    assert!(text.contains(answer.header("x-request-id").unwrap()), "{text}");
    assert!(!text.contains(&idp.stub.address.to_string()), "{text}");
}

#[tokio::test]
async fn while_the_upstream_is_down_a_browser_reads_a_page() {
    let idp = Idp::generic(Setup::generic()).await;
    assert_eq!(idp.get("/home").send().await.status, 200);
    idp.stub.go_away().await;
    let answer = idp.get("/home").header("accept", "text/html").send().await;
    assert_eq!(answer.status, 502);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    assert!(answer.text().contains(answer.header("x-request-id").unwrap()));
}

#[tokio::test]
async fn a_proxy_that_never_saw_discovery_lets_nothing_pass_and_recovers_by_itself() {
    let address = crate::world::proxy::free_address();
    let hook = Hook::start().await;
    let proxy = Proxy::start(&Setup::generic(), &format!("http://{address}"), &hook).await;
    let answer = proxy.post("/token").form(&[("grant_type", "password")]).send().await;
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");

    let _upstream = Idp::behind(&proxy, address).await;
    until("it found discovery", || async {
        let answer = proxy.get("/.well-known/openid-configuration").send().await;
        answer.status == 200
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_is_too_slow_is_504() {
    let setup = Setup::generic().section("upstream", "response_timeout = \"200ms\"");
    let idp = Idp::generic(setup).await;
    idp.hands_out(idp.good_tokens());
    assert_eq!(idp.redeem().await.status, 200);
    idp.stub.fate("/token", Fate::Hang);
    let answer = idp.redeem().await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    assert_eq!(idp.hook.asked(Trigger::PreSessionCreation).len(), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_502_and_never_a_half_token() {
    // One that serves discovery, so that the line is walked, and breaks off in the middle of the token response.
    let idp = Idp::generic(Setup::generic()).await;
    idp.hands_out(idp.good_tokens());
    assert_eq!(idp.redeem().await.status, 200);
    let good = idp.good_tokens().to_string();
    idp.stub.fate("/token", Fate::BreakOff(good));
    let answer = idp.redeem().await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(!answer.text().contains("eyJ"));
}

#[tokio::test]
async fn an_upstream_that_speaks_no_http_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            _ = stream.read(&mut head).await;
            _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.9\r\n").await;
        }
    });
    let hook = Hook::start().await;
    let proxy = Proxy::start(&Setup::keycloak(), &format!("http://{address}"), &hook).await;
    for path in ["/realms/tg/protocol/openid-connect/token", "/anything"] {
        let answer = proxy.post(path).form(&[("grant_type", "password")]).send().await;
        assert_eq!(answer.status, 502, "{path}: {answer:?}");
        assert!(!answer.text().contains("SSH"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_key_set_that_is_rubbish_is_502_before_the_code_is_spent() {
    for rubbish in [
        "<html>",
        "{\"keys\": 1}",
        &format!("{{\"keys\": [], \"x\": \"{}\"}}", "y".repeat(300_000)),
    ] {
        let idp = Idp::generic(Setup::generic()).await;
        idp.hands_out(idp.good_tokens());
        idp.stub
            .fate("/jwks", Fate::Answer(200, "application/json", rubbish.to_owned()));
        let answer = idp.redeem().await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(idp.stub.at("/token").is_empty(), "the code was spent for nothing");
    }
}

#[tokio::test]
async fn a_slow_upstream_does_not_keep_others_waiting() {
    let setup = Setup::generic().section("upstream", "response_timeout = \"10s\"");
    let idp = Idp::generic(setup).await;
    idp.hands_out(idp.good_tokens());
    assert_eq!(idp.redeem().await.status, 200);
    idp.stub.fate("/slow", Fate::Hang);
    let slow = idp.get("/slow").open();
    tokio::pin!(slow);
    let quick = async { idp.get("/quick").send().await };
    tokio::select! {
        _ = &mut slow => panic!("it answered"),
        answer = quick => assert_eq!(answer.status, 200),
        () = tokio::time::sleep(Duration::from_secs(5)) => panic!("the quick one waits for the slow one"),
    }
}
