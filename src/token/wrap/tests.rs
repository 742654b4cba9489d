use proptest::prelude::*;
use serde_json::{Number, json};

use super::*;
use crate::{
    secret::Secret,
    token::{AlgorithmChoice, KeyRing, Reissuer, SealingPart, TimedSecret, Unissued, Unrestorable},
};

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn sealer(byte: u8) -> Sealer {
    Sealer::new(&Secret::new(vec![byte; 32]), None).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn access() -> Wrap {
    Wrap::Access(AccessWrap {
        original: "opaque-1".into(),
        added: object(json!({"plan": "gold"})),
        told: object(json!({"plan": "gold", "seats": 4})),
        claims: object(json!({"sub": "u-1"})),
    })
}

/// What opens of an access token that was sealed for this purpose and with this around it.
fn sealed_as(purpose: Purpose, around: &str) -> Result<Wrap, Shut> {
    let sealer = sealer(b'a');
    let contents = sealer.seal_bytes(purpose, access().encode(), around.as_bytes(), now());
    sealer.unwrap(&format!("{PREFIX}{ACCESS}{}", contents.unwrap()))
}

fn refresh() -> Wrap {
    Wrap::Refresh(RefreshWrap {
        original: "refresh-1".into(),
        memory: Memory {
            issuer: "https://id.example.com".into(),
            client_id: Some("web".into()),
            subject: None,
            verdicts: vec![Remembered {
                interceptor: "Plan".into(),
                claims: Claims {
                    both: object(json!({"plan": "gold"})),
                    ..Claims::default()
                },
            }],
        },
    })
}

#[test]
fn what_is_sealed_says_nothing_and_is_never_the_same_twice() {
    let sealer = sealer(b'a');
    for wrap in [access(), refresh()] {
        let (one, other) = (sealer.wrap(&wrap, now()).unwrap(), sealer.wrap(&wrap, now()).unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), other.len());
        assert!(!format!("{wrap:?}").contains("-1"), "{wrap:?}");
    }
    let of = |token: &str| {
        sealer
            .wrap(
                &Wrap::Access(AccessWrap {
                    original: token.into(),
                    ..AccessWrap::default()
                }),
                now(),
            )
            .unwrap()
            .len()
    };
    assert_eq!(of("x"), of("a token of forty characters, more or less"), "padded");
}

#[test]
fn what_was_sealed_as_another_form_or_kind_does_not_open() {
    assert_eq!(sealed_as(Purpose::Wrap, "tg1.a"), Ok(access()));
    for other in ["", PREFIX, "tg2.a", "tg1.r"] {
        assert_eq!(sealed_as(Purpose::Wrap, other), Err(Shut), "{other}");
    }
}

#[test]
fn a_wrap_that_was_touched_anywhere_does_not_open() {
    let sealer = sealer(b'a');
    for wrap in [access(), refresh()] {
        let raw = sealer.wrap(&wrap, now()).unwrap();
        assert_eq!(sealer.unwrap(&raw), Ok(wrap));
        for at in 0..raw.len() {
            assert_eq!(sealer.unwrap(&raw[..at]), Err(Shut), "cut at {at}");
            let mut bytes = raw.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(sealer.unwrap(std::str::from_utf8(&bytes).unwrap()), Err(Shut), "{at}");
        }
        for more in ["A", "AA", "=", ".", " "] {
            assert_eq!(sealer.unwrap(&format!("{raw}{more}")), Err(Shut));
        }
    }
}

#[test]
fn a_wrap_of_one_kind_is_none_of_the_other() {
    let sealer = sealer(b'a');
    for (wrap, from, to) in [(access(), "tg1.a", "tg1.r"), (refresh(), "tg1.r", "tg1.a")] {
        let raw = sealer.wrap(&wrap, now()).unwrap();
        assert!(raw.starts_with(from), "{raw}");
        assert_eq!(sealer.unwrap(&raw.replacen(from, to, 1)), Err(Shut));
    }
}

#[test]
fn halves_of_two_wraps_make_no_third() {
    let sealer = sealer(b'a');
    let (one, other) = (
        sealer.wrap(&refresh(), now()).unwrap(),
        sealer.wrap(&refresh(), now()).unwrap(),
    );
    for at in 6..one.len() {
        let joined = format!("{}{}", &one[..at], &other[at..]);
        if joined != one && joined != other {
            assert_eq!(sealer.unwrap(&joined), Err(Shut), "at {at}");
        }
    }
}

#[test]
fn the_secret_before_still_opens_and_another_does_not() {
    let raw = sealer(b'a').wrap(&access(), now()).unwrap();
    let rotated = Sealer::new(&Secret::new(vec![b'b'; 32]), Some(&Secret::new(vec![b'a'; 32]))).unwrap();
    assert_eq!(rotated.unwrap(&raw), Ok(access()));
    assert_eq!(sealer(b'b').unwrap(&raw), Err(Shut));
}

#[test]
fn of_two_secrets_whose_time_comes_at_once_one_seals_and_the_other_opens() {
    let from = |byte: u8| TimedSecret {
        seals_from: Some(now()),
        secret: Secret::new(vec![byte; 32]),
    };
    let sealer = Sealer::rotating(vec![from(b'a'), from(b'b')], None).unwrap();
    let parts: Vec<_> = sealer.keys_at(now()).iter().map(|key| key.part).collect();
    assert_eq!(parts, [SealingPart::Seals, SealingPart::Opens]);
}

#[test]
fn a_capsule_is_no_wrap() {
    assert_eq!(sealed_as(Purpose::Capsule, "tg1.a"), Err(Shut));
}

#[test]
fn what_would_not_be_read_back_is_not_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let ring = KeyRing::init(folder.path(), jiff::Timestamp::UNIX_EPOCH).unwrap();
    let reissuer = Reissuer::new(ring, sealer(b'a'), AlgorithmChoice::Match).unwrap();
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let wrap = |claims: Value| {
        reissuer.wrap(
            &Wrap::Access(AccessWrap {
                added: object(claims),
                ..AccessWrap::default()
            }),
            now(),
        )
    };
    let another_when_read = json!({"$serde_json::private::Number": "1"});
    for claim in [deep, another_when_read] {
        let refused = wrap(json!({"claim": claim}));
        assert!(matches!(refused, Err(Unissued::Unreadable(_))), "{refused:?}");
    }
    assert_eq!(wrap(json!({"long": "x".repeat(300_000)})), Err(Unissued::TooLong));
    assert_eq!(reissuer.restore("tg1.").unwrap_err(), Unrestorable::Forged);
    assert_eq!(reissuer.restore("tg2.abc").unwrap_err(), Unrestorable::NotOurs);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(|n| Value::Number(Number::from(n))),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(".{0,8}", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn claims() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::hash_map(".{0,12}", value(), 0..4).prop_map(|members| members.into_iter().collect())
}

fn wrap() -> impl Strategy<Value = Wrap> {
    let access = (".{0,200}", claims(), claims(), claims()).prop_map(|(original, added, told, claims)| {
        Wrap::Access(AccessWrap {
            original,
            added,
            told,
            claims,
        })
    });
    let verdict =
        (".{0,20}", claims(), claims(), claims()).prop_map(|(interceptor, both, access_token, id_token)| Remembered {
            interceptor,
            claims: Claims {
                both,
                access_token,
                id_token,
            },
        });
    let refresh = (
        ".{0,200}",
        ".{0,40}",
        proptest::option::of(".{0,20}"),
        proptest::option::of(".{0,20}"),
        proptest::collection::vec(verdict, 0..3),
    );
    let refresh = refresh.prop_map(|(original, issuer, client_id, subject, verdicts)| {
        Wrap::Refresh(RefreshWrap {
            original,
            memory: Memory {
                issuer,
                client_id,
                subject,
                verdicts,
            },
        })
    });
    prop_oneof![access, refresh]
}

proptest! {
    #[test]
    fn what_was_sealed_is_opened_as_it_was(wrap in wrap()) {
        let sealer = sealer(b'a');
        let raw = sealer.wrap(&wrap, now()).unwrap();
        prop_assert_eq!(sealer.unwrap(&raw), Ok(wrap));
    }

    #[test]
    fn hostile_bytes_never_panic(kind in "[ar]", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Wrap::decode(kind.chars().next().unwrap(), &bytes);
    }
}
