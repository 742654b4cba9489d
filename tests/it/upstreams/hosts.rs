//! The host of a request says which upstream it is for.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use super::two;
use crate::world::{client::status, two::HOSTS};

const DISCOVERY: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn each_host_is_answered_by_its_own_provider() {
    let two = two().await;
    for (side, host) in [(&two.customers, HOSTS[0]), (&two.staff, HOSTS[1])] {
        let discovery = side.get(DISCOVERY).send().await.json();
        assert_eq!(discovery["issuer"], format!("http://{host}"), "{discovery}");
        let tokens = side.log_in().await;
        assert!(!tokens.access.is_empty());
    }
    let kids = |jwks: &Value| -> Vec<Value> {
        jwks["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["kid"].clone())
            .collect()
    };
    let (customers, staff) = (kids(&two.customers.jwks().await), kids(&two.staff.jwks().await));
    assert!(!customers.is_empty() && customers.iter().all(|kid| !staff.contains(kid)));
}

#[tokio::test]
async fn a_host_is_the_same_in_any_case_with_its_port_and_in_absolute_form() {
    let two = two().await;
    for (target, host) in [
        (DISCOVERY.to_owned(), "sso.example.com".to_owned()),
        (DISCOVERY.to_owned(), "SSO.Example.COM".to_owned()),
        (DISCOVERY.to_owned(), "sso.example.com:80".to_owned()),
        (
            format!("http://sso.example.com{DISCOVERY}"),
            "sso.example.com".to_owned(),
        ),
        // `Host` decides, as it does for one upstream (RFC 9112 section 3.2.2 has the proxy send both alike).
        (
            format!("http://login.example.com{DISCOVERY}"),
            "sso.example.com".to_owned(),
        ),
    ] {
        let head = format!("GET {target} HTTP/1.1\nHost: {host}\nConnection: close\n");
        let answer = two.proxy.raw(&head, b"").await;
        assert_eq!(status(&answer), 200, "{target} {host}: {answer}");
        assert!(answer.contains("http://sso.example.com"), "{answer}");
    }
    assert_eq!(two.customers.arrived(DISCOVERY), 0);
}

#[tokio::test]
async fn a_host_that_nobody_has_is_421_and_one_that_cannot_be_read_400() {
    let two = two().await;
    for (hosts, expected) in [
        ("Host: other.example.com\n", 421),
        ("Host: sso.example.com:8443\n", 421),
        ("Host: sso.example.com.\n", 421),
        ("", 400),
        ("Host: sso.example.com\nHost: login.example.com\n", 400),
        ("Host: sso.example.com/login.example.com\n", 400),
        ("Host: sso.example.com@login.example.com\n", 400),
    ] {
        let answer = two
            .proxy
            .raw(&format!("GET {DISCOVERY} HTTP/1.1\n{hosts}Connection: close\n"), b"")
            .await;
        assert_eq!(status(&answer), expected, "{hosts}: {answer}");
        if expected == 421 {
            assert!(
                answer.contains("no upstream behind this proxy has the `Host` of the request"),
                "{answer}"
            );
        }
    }
    assert!(two.customers.provider.requests().is_empty() && two.staff.provider.requests().is_empty());
    let metrics = two.proxy.metrics();
    assert_eq!(metrics.sum("tollgate_misdirected_requests_total", &[]), 7.0);
    assert_eq!(metrics.sum("tollgate_requests_total", &[]), 0.0, "it is nobody's");
}

#[tokio::test]
async fn over_http2_the_authority_says_it_on_one_connection_for_both() {
    let two = two().await;
    let stream = TokioIo::new(TcpStream::connect(two.proxy.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    for (authority, host, expected) in [
        ("login.example.com", None, 200),
        ("SSO.example.com", None, 200),
        ("sso.example.com:80", None, 200),
        ("sso.example.com", Some("login.example.com"), 400),
        ("other.example.com", None, 421),
    ] {
        let mut request = Request::get(format!("http://{authority}{DISCOVERY}"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = sender
            .send_request(request.body(Empty::<Bytes>::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), expected, "{authority} {host:?}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if expected == 200 {
            let name = authority.to_lowercase();
            let issuer = format!("\"http://{}\"", name.trim_end_matches(":80"));
            assert!(String::from_utf8_lossy(&body).contains(&issuer), "{authority}");
        }
    }
}

#[tokio::test]
async fn a_path_of_tollgates_own_is_each_hosts() {
    let two = two().await;
    for side in [&two.customers, &two.staff] {
        assert_eq!(side.get("/.tollgate/nothing").send().await.status, 404);
        let answer = side
            .post("/.tollgate/backchannel-logout")
            .form(&[("logout_token", "x")])
            .send()
            .await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(side.arrived("/.tollgate/backchannel-logout"), 0);
    }
}
