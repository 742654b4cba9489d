//! The law: `restore(reissue(t)) == t`, byte for byte, whatever a token looks like.

use std::collections::HashSet;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_reissued_token_is_restored_byte_for_byte(
        header in header_text(),
        payload in payload_text(),
        added in added_claims(),
        algorithm in select(vec![Algorithm::RS256, Algorithm::ES256]),
    ) {
        let world = world();
        let kid = world.upstream.signing_kid(algorithm, now()).unwrap();
        let header = header.replace("ALG", algorithm.name()).replace("KID", kid);
        let raw = sign(&world.upstream, algorithm, header.as_bytes(), payload.as_bytes());
        let token = verified_access(&raw);

        let reissued = world.tollgate.access_token(&token, &added, now()).unwrap();
        // Sound for relying parties too, with our keys instead of the upstream's.
        let read = verify(&reissued, &keys_of(world.tollgate.ring()), &EXPECTED_ACCESS, now()).unwrap();
        prop_assert_eq!(read.claims().keys().next_back().map(String::as_str), Some("tgc"));
        for (name, value) in &added {
            prop_assert_eq!(&read.claims()[name], value);
        }

        let restored = world.tollgate.restore(&reissued).unwrap();
        prop_assert_eq!(restored.original, raw);
        prop_assert_eq!(&restored.claims, token.claims());
        prop_assert_eq!(restored.added, added);
    }

    #[test]
    fn any_splice_can_be_taken_back(text in payload_text(), added in added_claims()) {
        let edits = added.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let spliced = splice(&text, edits).unwrap();
        prop_assert_eq!(undo(&spliced.text, &spliced.inverse).unwrap(), text.clone());
        let mut expected = object(serde_json::from_str(&text).unwrap());
        expected.extend(added);
        prop_assert_eq!(object(serde_json::from_str(&spliced.text).unwrap()), expected);
    }

    #[test]
    fn a_reissued_id_token_is_restored_byte_for_byte(
        payload in payload_text(),
        code in "[a-z0-9]{1,40}",
        algorithm in select(vec![Algorithm::RS256, Algorithm::ES256]),
    ) {
        let world = world();
        let hashes = [
            ("at_hash", algorithm.half_hash(ACCESS_TOKEN).into()),
            ("c_hash", algorithm.half_hash(&code).into()),
            ("sub", "u-1".into()),
            ("aud", CLIENT.into()),
            ("iat", NOW.into()),
        ];
        let payload = splice(&payload, hashes).unwrap().text;
        let raw = sign(&world.upstream, algorithm, &bytes(&header(&world.upstream, algorithm)), payload.as_bytes());
        let kind = Kind::IdToken { client_id: Some(CLIENT), nonce: None, access_token: Some(ACCESS_TOKEN), code: Some(&code), state: None };
        let token = verify(&raw, &world.upstream_keys, &Expected { issuer: ISSUER, kind }, now()).unwrap();
        let bound = Bound { access_token: Some("another"), code: Some(&code), state: None };
        let reissued = world.tollgate.id_token(&token, &object(json!({"plan": "gold"})), &bound, now()).unwrap();
        let restored = world.tollgate.restore(&reissued).unwrap();
        prop_assert_eq!(restored.original, raw);
        prop_assert_eq!(restored.added, object(json!({"plan": "gold"})));
    }
}

fn space() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "", " ", "\n", "\t", "\r\n", "   "])
}

/// A JSON string's text with its quotes: escapes, other scripts, and what looks like JSON.
fn string_text() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "a",
        "exp",
        "iss",
        "tgc",
        "\\u0065xp",
        "\\u0000",
        "\\\"",
        "\\\\",
        "\\/",
        "/",
        "\\n",
        "ü",
        "\\u00fc",
        "日本",
        "😀",
        "\\ud83d\\ude00",
        "{",
        "}",
        "[",
        ",",
        ":",
        "\\\"exp\\\":1",
        " ",
        "\u{2028}",
        "\u{202e}",
        "=",
        "",
    ]);
    vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number_text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "0",
            "-0",
            "0.0",
            "-0.0",
            "1e5",
            "1E+2",
            "1e-7",
            "1e400",
            "0.10",
            "123456789012345678901234567890.10",
            "18446744073709551616",
            "-9223372036854775809",
            "9007199254740993",
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
    ]
}

fn value_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        string_text(),
        number_text(),
        select(vec!["true", "false", "null", "{}", "[]", "{ }"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (vec((space(), inner.clone(), space()), 0..4)).prop_map(|items| {
                let items: Vec<_> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
                format!("[{}]", items.join(","))
            }),
            vec(member(string_text(), inner), 0..4).prop_map(|members| object_text(members, &HashSet::new())),
        ]
    })
}

/// A member's name and its whole text.
fn member(
    name: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = (String, String)> {
    (space(), name, space(), space(), value, space())
        .prop_map(|(a, name, b, c, value, d)| (name.clone(), format!("{a}{name}{b}:{c}{value}{d}")))
}

/// Joins members, leaving out names that occur twice after unescaping and the excluded ones.
fn object_text(members: Vec<(String, String)>, excluded: &HashSet<String>) -> String {
    let mut seen = excluded.clone();
    let kept: Vec<_> = members
        .into_iter()
        .filter(|(name, _)| seen.insert(serde_json::from_str(name).unwrap()))
        .map(|(_, text)| text)
        .collect();
    format!("{{{}}}", kept.join(","))
}

/// A payload that verifies as an access token and is odd in every other way.
fn payload_text() -> impl Strategy<Value = String> {
    let required = (
        select(vec!["\"iss\"", "\"\\u0069ss\"", "\"i\\u0073\\u0073\""]),
        select(vec!["\"exp\"", "\"\\u0065xp\"", "\"ex\\u0070\""]),
        select(vec!["1795000300", "1795000300.5", "1.7950003e9"]),
        any::<bool>(),
    )
        .prop_map(|(iss, exp, time, escaped)| {
            let issuer = if escaped {
                ISSUER.replace('/', "\\/")
            } else {
                ISSUER.to_owned()
            };
            [format!("{iss} :\"{issuer}\""), format!("{exp}: {time}")]
        });
    let names = prop_oneof![
        string_text(),
        select(vec!["\"plan\"", "\"rol\\u0065s\"", "\"seats\""]).prop_map(str::to_owned)
    ];
    (
        required,
        vec(member(names, value_text()), 0..8),
        any::<[prop::sample::Index; 2]>(),
        space(),
        space(),
    )
        .prop_map(|(required, members, places, before, after)| {
            let checked = ["iss", "exp", "tgc"].map(str::to_owned).into_iter().collect();
            let others = object_text(members, &checked);
            let mut texts: Vec<String> = splice::members(&others)
                .unwrap()
                .into_iter()
                .map(|found| found.name)
                .collect();
            // Put the required members at any place among the others.
            let mut at: Vec<usize> = places.iter().map(|place| place.index(texts.len() + 1)).collect();
            at.sort_unstable();
            texts.clear();
            let mut payload = others;
            for (required, place) in required.into_iter().zip(at).rev() {
                payload = with_member_at(&payload, place, &required);
            }
            format!("{before}{payload}{after}")
        })
}

/// Inserts a member's text in front of the member at this place, or behind the last.
fn with_member_at(text: &str, place: usize, member: &str) -> String {
    let members = splice::members(text).unwrap();
    if members.is_empty() {
        return text.replacen('{', &format!("{{{member}"), 1);
    }
    match place.checked_sub(1).and_then(|before| members.get(before)) {
        Some(before) => {
            let (head, tail) = text.split_at(before.value.end);
            format!("{head},{member}{tail}")
        }
        None => text.replacen('{', &format!("{{{member},"), 1),
    }
}

fn header_text() -> impl Strategy<Value = String> {
    let typ = select(vec![
        "",
        "\"typ\" : \"JWT\",",
        "\"typ\":\"at+jwt\" , ",
        "\"\\u0074yp\":\"jwt\",",
    ]);
    (
        space(),
        typ,
        space(),
        select(vec!["", ",\"x\":{\"alg\":1}", ",\"n\":1e400"]),
    )
        .prop_map(|(a, typ, b, more)| format!("{{{a}{typ}\"alg\"{b}:\"ALG\",\"kid\" :{a}\"KID\"{more}{b}}}{a}"))
}

/// Added claims, some of which replace one of the payload's.
fn added_claims() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        select(vec![
            "plan",
            "roles",
            "seats",
            "a",
            "",
            "ü",
            "exp\"",
            "https://example.com/c"
        ])
        .prop_map(str::to_owned),
        ".{0,6}"
    ];
    vec((name, value_text()), 0..5).prop_map(|claims| {
        claims
            .into_iter()
            .filter(|(name, _)| !["tgc", "iss", "exp", "at_hash", "c_hash", "s_hash"].contains(&name.as_str()))
            .map(|(name, text)| (name, serde_json::from_str(&text).unwrap()))
            .collect()
    })
}
