//! The request target. What is accepted has one reading, whichever kind of server reads it; what some kind of server would take for an endpoint
//! that tokens or accounts come from is recognised as that, or refused.
//!
//! Input: a path, and after a `?` the query.

use std::{path::Path, sync::OnceLock};

use percent_encoding::percent_decode_str;
use tollgate::{exchange::Target, preset::Preset};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let read = Target::parse(path, query).ok();
    if let Some(target) = &read {
        reads_itself_alike(target);
        for server in SERVERS {
            let ours: Vec<_> = segments(target.decoded_path()).collect();
            assert_eq!(server(path), ours, "a server reads {path:?} otherwise");
            assert_eq!(
                server(target.path()),
                ours,
                "a server reads what is forwarded for {path:?} otherwise"
            );
        }
    }
    for server in SERVERS {
        let seen = server(path);
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.is(&seen)) {
            let passes = read.as_ref().is_some_and(|target| !endpoint.is_recognised(target));
            assert!(!passes, "{path:?} reaches {} unrecognised", endpoint.route);
        }
    }
}

fn reads_itself_alike(target: &Target) {
    assert_eq!(Target::read(&target.to_uri()).as_ref(), Ok(target));
    assert_eq!(Target::parse(target.path(), target.query()).as_ref(), Ok(target));
    let (matched, decoded) = (segments(target.match_path()), segments(target.decoded_path()));
    assert_eq!(matched.count(), decoded.count());
}

/// How kinds of servers see a path: the decoded segments that they choose a handler by.
const SERVERS: [fn(&str) -> Vec<String>; 4] = [jax_rs, koa, serve_mux, lenient];

/// Keycloak's: matrix parameters are no part of a segment, dots are resolved, each segment is decoded by itself (JAX-RS 3.7.2).
fn jax_rs(path: &str) -> Vec<String> {
    let bare = path
        .split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default());
    resolve(bare.map(decode))
}

/// node-oidc-provider's: a pattern over the encoded path, what it takes decoded afterwards; empty segments count.
fn koa(path: &str) -> Vec<String> {
    segments(path.strip_suffix('/').unwrap_or(path))
        .map(|segment| decode(&segment))
        .collect()
}

/// Go's: decoded as a whole, so that an encoded slash separates, then cleaned.
fn serve_mux(path: &str) -> Vec<String> {
    resolve(decode(path).split('/').map(str::to_owned))
}

/// One that does everything that any server was ever seen to do: decodes until nothing changes, takes backslashes for slashes, drops parameters and
/// control characters.
fn lenient(path: &str) -> Vec<String> {
    let mut text = path.to_owned();
    while text.contains('%') {
        let decoded = decode(&text);
        if decoded == text {
            break;
        }
        text = decoded;
    }
    let text: String = text.replace('\\', "/").chars().filter(|c| !c.is_control()).collect();
    let bare = text
        .split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default());
    resolve(bare.map(str::to_owned))
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn segments(path: &str) -> impl Iterator<Item = String> + '_ {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').filter(move |_| !path.is_empty()).map(str::to_owned)
}

/// Without empty segments, dots gone (RFC 3986 §5.2.4).
fn resolve(parts: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    for part in parts {
        match part.as_str() {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(part),
        }
    }
    kept
}

/// A way to tokens or accounts of Keycloak; `*` is any one segment.
struct Endpoint {
    route: &'static str,
    method: &'static str,
    segments: &'static [&'static str],
}

impl Endpoint {
    fn is(&self, seen: &[String]) -> bool {
        seen.len() == self.segments.len()
            && self
                .segments
                .iter()
                .zip(seen)
                .all(|(own, seen)| *own == "*" || own.eq_ignore_ascii_case(seen))
    }

    fn is_recognised(&self, target: &Target) -> bool {
        static KEYCLOAK: OnceLock<Preset> = OnceLock::new();
        let keycloak =
            KEYCLOAK.get_or_init(|| Preset::load("keycloak", Path::new("."), &[]).expect("a built-in preset"));
        let candidates = keycloak.candidates(self.method, target.path());
        candidates.iter().any(|candidate| candidate.route.name == self.route)
    }
}

const ENDPOINTS: [Endpoint; 5] = [
    Endpoint {
        route: "token",
        method: "POST",
        segments: &["realms", "*", "protocol", "openid-connect", "token"],
    },
    Endpoint {
        route: "registration",
        method: "POST",
        segments: &["realms", "*", "login-actions", "registration"],
    },
    Endpoint {
        route: "create-user",
        method: "POST",
        segments: &["admin", "realms", "*", "users"],
    },
    Endpoint {
        route: "register-client",
        method: "POST",
        segments: &["realms", "*", "clients-registrations", "openid-connect"],
    },
    Endpoint {
        route: "authorize",
        method: "GET",
        segments: &["realms", "*", "protocol", "openid-connect", "auth"],
    },
];
