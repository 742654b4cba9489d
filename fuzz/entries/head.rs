//! A request's head: who the client is and what goes on to the upstream. Nobody but a trusted proxy speaks for a client, and nothing that a client
//! writes stands where we say something.
//!
//! Input: header lines, `Name: value`; the first byte says whether a trusted proxy sent them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::OnceLock,
    time::Instant,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use jiff::Timestamp;
use tollgate::exchange::{Arrival, Exchange, Outside};
use uuid::Uuid;

pub(crate) fn run(bytes: &[u8]) {
    let Some((first, lines)) = bytes.split_first() else {
        return;
    };
    let trusted = first % 2 == 0;
    let peer: SocketAddr = if trusted { TRUSTED } else { STRANGER }.parse().expect("an address");
    let mut parts = Request::post("/realms/a/protocol/openid-connect/token")
        .body(())
        .expect("a request")
        .into_parts()
        .0;
    parts.headers.insert("host", HeaderValue::from_static("id.example.com"));
    for (name, value) in lines.split(|byte| *byte == b'\n').filter_map(header) {
        parts.headers.append(name, value);
    }
    let arrival = Arrival::new(Uuid::nil(), Timestamp::UNIX_EPOCH, Instant::now(), peer, &parts.headers);
    let sent = parts.headers.clone();
    let Ok(exchange) = Exchange::read(arrival, parts, outside()) else {
        return;
    };
    let client = if trusted { furthest(peer.ip(), &sent) } else { peer.ip() };
    assert_eq!(exchange.client_ip, client);
    let upstream = exchange.to_upstream(()).into_parts().0;
    says(&upstream.headers, "x-forwarded-for", &client.to_string());
    says(&upstream.headers, "x-forwarded-host", "id.example.com");
    says(&upstream.headers, "x-forwarded-proto", "https");
    says(&upstream.headers, "host", "id.example.com");
    for gone in ["forwarded", "x-real-ip", "x-http-method-override", "x-original-url"] {
        assert!(!upstream.headers.contains_key(gone), "`{gone}` goes on");
    }
    assert!(upstream.headers.keys().all(|name| !name.as_str().contains('_')));
    if let Ok(Some(content)) = exchange.content() {
        assert_eq!(content.essence.split('/').count(), 2);
    }
    let _ = (
        exchange.wants_html(),
        exchange.wants_websocket(),
        exchange.device_type(),
    );
}

/// The address that is nearest and no trusted proxy's, read from the left as a chain of hops.
fn furthest(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let lines = headers.get_all("x-forwarded-for").iter();
    let lines: Vec<_> = lines
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    let written = lines.join(",");
    let chain: Vec<Option<IpAddr>> = written.split(',').map(|hop| hop.trim().parse().ok()).collect();
    let mut client = peer;
    for hop in chain.into_iter().rev() {
        match hop {
            Some(ip) if outside().trusts(client) => client = ip.to_canonical(),
            _ => break,
        }
    }
    client
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(at);
    let value = value.get(1..)?.trim_ascii();
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

fn says(headers: &HeaderMap, name: &str, value: &str) {
    let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(values, [value.as_bytes()], "`{name}`");
}

fn outside() -> &'static Outside {
    static OUTSIDE: OnceLock<Outside> = OnceLock::new();
    OUTSIDE.get_or_init(|| {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        Outside::new("https://id.example.com", &[], &networks).expect("a public address")
    })
}

const TRUSTED: &str = "10.0.0.1:1";
const STRANGER: &str = "203.0.113.7:1";
