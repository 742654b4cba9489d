//! What clients may present instead of a token.

use proptest::prelude::*;

use super::*;

fn reissued(algorithm: Algorithm) -> String {
    let claims = object(json!({"plan": "gold"}));
    world()
        .tollgate
        .access_token(&verified_access(&access_token(algorithm)), &claims, now())
        .unwrap()
}

#[test]
fn what_is_not_ours_is_told_from_what_is_forged() {
    let tollgate = &world().tollgate;
    let raw = reissued(Algorithm::RS256);
    let (input, signature) = raw.rsplit_once('.').unwrap();
    let native = access_token(Algorithm::RS256);
    for not_ours in [
        "",
        ".",
        "..",
        "opaque",
        "at_abc.def",
        "e30.e30.e30",
        native.as_str(),
        &format!("x{raw}"),
    ] {
        assert_eq!(
            tollgate.restore(not_ours).unwrap_err(),
            Unrestorable::NotOurs,
            "{not_ours}"
        );
    }
    let header = bytes(&header(tollgate.ring(), Algorithm::RS256));
    let with_alg = |alg: &str| {
        let text = String::from_utf8(header.clone()).unwrap().replace("RS256", alg);
        format!(
            "{}.{signature}",
            jws::signing_input(text.as_bytes(), payload_of(&raw).as_bytes())
        )
    };
    for forged in [
        input.to_owned(),
        format!("{input}."),
        format!("{raw}."),
        format!("{raw}.{signature}"),
        format!("{raw}="),
        format!("{raw} "),
        sign(
            &world().stranger,
            Algorithm::RS256,
            &header,
            payload_of(&raw).as_bytes(),
        ),
        sign(
            &world().upstream,
            Algorithm::RS256,
            &header,
            payload_of(&native).as_bytes(),
        ),
        with_alg("none"),
        with_alg("HS256"),
        with_alg("PS256"),
        with_alg("ES256"),
        with_alg("RS512"),
    ] {
        assert_eq!(tollgate.restore(&forged).unwrap_err(), Unrestorable::Forged, "{forged}");
    }
}

#[test]
fn an_expired_token_still_maps_back() {
    // `restore` knows no time at all: a token of long ago, as an old `id_token_hint` is.
    let then = Timestamp::from_second(1_000_000_000).unwrap();
    let ring = &world().upstream;
    let claims = object(json!({"iss": ISSUER, "exp": 1_000_000_300}));
    let raw = sign_values(ring, Algorithm::ES256, &header(ring, Algorithm::ES256), &claims);
    let token = verify(&raw, &world().upstream_keys, &EXPECTED_ACCESS, then).unwrap();
    let reissued = world().tollgate.access_token(&token, &Map::new(), now()).unwrap();
    assert_eq!(world().tollgate.restore(&reissued).unwrap().original, raw);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_it_panic(raw in "\\PC{0,200}") {
        prop_assert!(world().tollgate.restore(&raw).is_err());
        prop_assert!(verify(&raw, &world().upstream_keys, &EXPECTED_ACCESS, now()).is_err());
        let _ = peek_kid(&raw);
        let _ = UpstreamKeys::parse(raw.as_bytes());
    }

    #[test]
    fn no_changed_byte_gets_a_token_restored(at in any::<proptest::sample::Index>(), with in 0u8..128) {
        let mut changed = reissued(Algorithm::ES256).into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != with);
        changed[at] = with;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(world().tollgate.restore(&changed).is_err());
    }

    #[test]
    fn a_payload_signed_by_us_never_panics(payload in "\\PC{0,60}", capsule in "[A-Za-z0-9_-]{0,200}") {
        let ring = world().tollgate.ring();
        let header = bytes(&header(ring, Algorithm::ES256));
        for payload in [payload.clone(), format!("{{\"iss\":\"{ISSUER}\",\"tgc\":\"{capsule}\"}}")] {
            let raw = sign(ring, Algorithm::ES256, &header, payload.as_bytes());
            prop_assert!(world().tollgate.restore(&raw).is_err());
        }
    }
}
