//! The keys: ours, those of capsules, and what is known of the provider's.

use askama::Template;
use axum::{Extension, extract::State, response::Response};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    access::Visitor,
    console::Shared,
    escape::filters,
    frame::{Frame, Section, moment, show, span},
};
use crate::{
    gate::preview::KnownKeys,
    token::{Family, Listed, SealingKey, SealingPart, State as KeyState},
};

#[derive(Template)]
#[template(path = "keys.html")]
struct Page {
    frame: Frame,
    rotation: String,
    keys: Vec<Line>,
    capsules: Vec<(String, String)>,
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
    show(&Page {
        frame: Frame::new(&console, &visitor, Section::Keys, "Keys"),
        rotation: rotation(&keys, now),
        keys: keys.iter().map(|key| Line::of(key, now)).collect(),
        capsules: console.gate.capsule_keys().iter().map(capsule).collect(),
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
        None => {
            let old = keys.iter().filter(|key| key.state == KeyState::Old);
            match old.filter_map(|key| key.published_until).min() {
                Some(until) => format!(
                    "The next change is at {} UTC, in {}: an old key is not published any more.",
                    moment(until),
                    span(until.as_second() - now.as_second())
                ),
                None => "No rotation is under way.".into(),
            }
        }
    }
}

/// What a capsule's key does, and its id.
fn capsule(key: &SealingKey) -> (String, String) {
    let part = match (key.part, key.seals_from) {
        (SealingPart::Seals, _) => "Seals and opens".into(),
        (SealingPart::Next, Some(from)) => format!("Opens, and seals from {} UTC", moment(from)),
        (SealingPart::Next | SealingPart::Opens, _) => "Opens only, until its file is deleted".into(),
    };
    (part, key.id.clone())
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
            KeyState::Old => {
                let until = key.published_until.map(moment).unwrap_or_default();
                (
                    "off",
                    "Old",
                    format!("published until {until} for the tokens that it signed"),
                )
            }
            KeyState::Retired => {
                let text = "not published any more; `tollgate keys prune` deletes its file";
                ("off", "Retired", text.into())
            }
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
