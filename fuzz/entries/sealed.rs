//! Capsules and wraps. Nothing opens but what was sealed, to the bit, and what opens is what was sealed.
//!
//! Input: any token; or, behind a `!`, bytes that are laid over a token of ours.

use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tollgate::{
    secret::SecretSource,
    token::{AccessWrap, KeyRing, Reissuer, Settings, Wrap, init_capsule_secret},
};

pub(crate) fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'!', changes)) => altered(changes),
        _ => anything(bytes),
    }
}

fn anything(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(ours().restore(text).is_err(), "it was never sealed");
    let wrap = Wrap::Access(AccessWrap {
        original: text.to_owned(),
        added: Map::from_iter([("plan".to_owned(), Value::from(text))]),
        ..AccessWrap::default()
    });
    let Ok(sealed) = ours().wrap(&wrap, now()) else { return };
    let restored = ours().restore(&sealed).expect("what was sealed opens");
    assert_eq!(restored.original, text);
    assert_eq!(restored.added.get("plan").and_then(Value::as_str), Some(text));
}

fn altered(changes: &[u8]) {
    for sealed in sealed() {
        let over = changes.iter().copied().chain(std::iter::repeat(0));
        let bytes: Vec<u8> = sealed.bytes().zip(over).map(|(byte, change)| byte ^ change).collect();
        let Ok(token) = String::from_utf8(bytes) else { continue };
        let restored = ours().restore(&token);
        if token == *sealed {
            assert!(restored.is_ok(), "what was sealed opens");
        } else {
            assert!(restored.is_err(), "an altered token opens");
        }
    }
}

/// One token of each form.
fn sealed() -> &'static [String] {
    static SEALED: OnceLock<Vec<String>> = OnceLock::new();
    SEALED.get_or_init(|| {
        let claims = Map::from_iter([
            ("sub".to_owned(), Value::from("ada")),
            ("exp".to_owned(), Value::from(4_102_444_800_u64)),
        ]);
        let wrap = Wrap::Access(AccessWrap {
            original: "opaque".to_owned(),
            claims: claims.clone(),
            ..AccessWrap::default()
        });
        let jwt = ours().opaque_token("opaque", claims, &Map::new(), None, now());
        vec![
            ours().wrap(&wrap, now()).expect("a wrap"),
            jwt.expect("a JWT with a capsule"),
        ]
    })
}

/// When every key signs.
fn now() -> Timestamp {
    Timestamp::from_second(4_000_000_000).expect("a time")
}

fn ours() -> &'static Reissuer {
    static OURS: OnceLock<Reissuer> = OnceLock::new();
    OURS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        KeyRing::init(&folder.path().join("signing"), Timestamp::UNIX_EPOCH).expect("keys");
        init_capsule_secret(&folder.path().join("capsule.key")).expect("a secret");
        let settings = Settings {
            keys: "signing".into(),
            capsule_secret: SecretSource::File {
                file: "capsule.key".into(),
            },
            ..Settings::default()
        };
        settings.reissuer(folder.path()).expect("a reissuer")
    })
}
