//! The keys: ours, those of capsules, and what is known of the provider's.

use askama::Template;
use axum::{Extension, extract::State, response::Response};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    access::Visitor,
    console::Shared,
    frame::{Frame, Section, moment, show, span},
};
use crate::{
    gate::preview::KnownKeys,
    token::{Family, Listed, State as KeyState},
};

#[derive(Template)]
#[template(path = "keys.html")]
struct Page {
    frame: Frame,
    rotation: String,
    keys: Vec<Line>,
    capsules: Vec<(&'static str, String)>,
    sets: Vec<Set>,
}

/// A key of ours.
struct Line {
    icon: &'static str,
    state: &'static str,
    meaning: String,
    kind: &'static str,
    kid: String,
    signs_from: String,
    created: String,
    file: String,
}

/// A key set of the provider.
struct Set {
    icon: &'static str,
    state: &'static str,
    path: String,
    age: String,
    keys: Vec<String>,
}

pub(super) async fn page(State(console): State<Shared>, Extension(visitor): Extension<Visitor>) -> Response {
    let now = console.clock.now();
    let keys = console.gate.ring().list(now);
    let names = ["Seals and opens", "Opens only, until it is taken out"];
    show(&Page {
        frame: Frame::new(&console, &visitor, Section::Keys, "Keys"),
        rotation: rotation(&keys, now),
        keys: keys.iter().map(|key| Line::of(key, now)).collect(),
        capsules: names.into_iter().zip(console.gate.capsule_keys()).collect(),
        sets: console.gate.upstream_keys().iter().map(Set::of).collect(),
    })
}

/// When the next key begins to sign, in a sentence.
fn rotation(keys: &[Listed], now: Timestamp) -> String {
    let next = keys
        .iter()
        .filter(|key| key.state == KeyState::Next)
        .filter_map(|key| key.signs_from)
        .min();
    match next {
        Some(at) => format!(
            "The next rotation is at {} UTC, in {}.",
            moment(at),
            span(at.as_second() - now.as_second())
        ),
        None => "No rotation is under way.".into(),
    }
}

impl Line {
    fn of(key: &Listed, now: Timestamp) -> Self {
        let (icon, state, meaning) = match key.state {
            KeyState::Signing => ("ok", "Signs", String::new()),
            KeyState::Next => {
                let left = key
                    .signs_from
                    .map(|at| span(at.as_second() - now.as_second()))
                    .unwrap_or_default();
                ("info", "Next", format!("published, signs in {left}"))
            }
            KeyState::Old => ("off", "Retired", "published for the tokens that it signed".into()),
        };
        let file = key.file.file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            icon,
            state,
            meaning,
            kind: match key.family {
                Family::Rsa => "RSA",
                Family::P256 => "P-256",
                Family::P384 => "P-384",
                Family::Ed25519 => "Ed25519",
            },
            kid: key.kid.clone(),
            signs_from: key.signs_from.map_or_else(|| "the beginning".into(), moment),
            created: moment(key.created),
            file: file.unwrap_or_default(),
        }
    }
}

impl Set {
    fn of(known: &KnownKeys) -> Self {
        let (icon, state) = if known.stale {
            ("warn", "Stale")
        } else {
            ("ok", "Fresh")
        };
        let text = |jwk: &Value, name: &str| jwk.get(name).and_then(Value::as_str).map(str::to_owned);
        let name = |jwk: &Value| {
            let kind = text(jwk, "alg").or(text(jwk, "kty")).unwrap_or_default();
            let kid = text(jwk, "kid").unwrap_or_else(|| "without a key id".into());
            format!("{kind} {kid}")
        };
        Self {
            icon,
            state,
            path: known.path.clone(),
            age: span(i64::try_from(known.age.as_secs()).unwrap_or(i64::MAX)),
            keys: known.keys.verification_keys().map(name).collect(),
        }
    }
}
