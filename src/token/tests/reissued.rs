//! What clients get.

use ring::{error::Unspecified, signature as rs};

use super::*;

fn add(value: Value) -> Map<String, Value> {
    object(value)
}

fn relying_party_accepts(raw: &str, tollgate: &Reissuer, expected: &Expected<'_>) -> Verified {
    verify(raw, &keys_of(tollgate.ring()), expected, now()).unwrap()
}

fn fixed(algorithm: Algorithm) -> Reissuer {
    Reissuer::new(ring(), sealer(b'a'), AlgorithmChoice::Fixed(algorithm)).unwrap()
}

#[test]
fn relying_parties_accept_both_tokens_with_the_algorithm_of_the_upstream() {
    let tollgate = &world().tollgate;
    for algorithm in ALGORITHMS {
        let access = verified_access(&access_token(algorithm));
        let access = tollgate
            .access_token(&access, &add(json!({"plan": "gold"})), now())
            .unwrap();
        let bound = Bound {
            access_token: Some(&access),
            code: Some(CODE),
            state: None,
        };
        let id = verified_id(&id_token(algorithm));
        let id = tollgate
            .id_token(&id, &add(json!({"plan": "gold", "seats": 40})), &bound, now())
            .unwrap();

        let read = relying_party_accepts(&access, tollgate, &EXPECTED_ACCESS);
        assert_eq!(read.algorithm(), algorithm);
        assert_eq!(read.claims()["plan"], "gold");
        let expected = Expected {
            issuer: ISSUER,
            kind: Kind::IdToken {
                client_id: Some(CLIENT),
                nonce: Some(NONCE),
                access_token: Some(&access),
                code: Some(CODE),
                state: None,
            },
        };
        let read = relying_party_accepts(&id, tollgate, &expected);
        assert_eq!(read.claims()["seats"], 40);
        assert_eq!(read.claims()["at_hash"], algorithm.half_hash(&access));
    }
}

#[test]
fn another_library_accepts_our_tokens_with_our_key_set() {
    let tollgate = &world().tollgate;
    let jwks = tollgate.ring().jwks(now());
    for algorithm in ALGORITHMS {
        let id = verified_id(&id_token(algorithm));
        let claims = add(json!({"plan": "gold"}));
        let raw = tollgate.id_token(&id, &claims, &Bound::default(), now()).unwrap();
        let kid = peek_kid(&raw).unwrap();
        let jwk = jwks["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == kid);
        let (signed, signature) = raw.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let read = by_ring(algorithm, jwk.unwrap(), signed.as_bytes(), &signature);
        assert_eq!(read, Ok(()), "{algorithm}");
        let wrong = by_ring(algorithm, jwk.unwrap(), &signed.as_bytes()[1..], &signature);
        assert!(wrong.is_err(), "{algorithm}");
        let claims: Value = serde_json::from_str(&payload_of(&raw)).unwrap();
        assert_eq!((&claims["plan"], &claims["iss"]), (&json!("gold"), &json!(ISSUER)));
    }
}

/// A reader that shares neither code nor crypto with the one that is tested.
fn by_ring(algorithm: Algorithm, jwk: &Value, signed: &[u8], signature: &[u8]) -> Result<(), Unspecified> {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let rsa = |parameters| {
        let (n, e) = (part("n"), part("e"));
        rs::RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature)
    };
    let plain = |verification: &'static dyn rs::VerificationAlgorithm, public: Vec<u8>| {
        rs::UnparsedPublicKey::new(verification, public).verify(signed, signature)
    };
    let point = || [vec![4], part("x"), part("y")].concat();
    match algorithm {
        Algorithm::RS256 => rsa(&rs::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::PS256 => rsa(&rs::RSA_PSS_2048_8192_SHA256),
        Algorithm::ES256 => plain(&rs::ECDSA_P256_SHA256_FIXED, point()),
        Algorithm::ES384 => plain(&rs::ECDSA_P384_SHA384_FIXED, point()),
        Algorithm::EdDSA => plain(&rs::ED25519, part("x")),
        other => panic!("{other} is not among those tested"),
    }
}

#[test]
fn every_claim_but_the_edited_ones_stays_byte_for_byte() {
    let payload = format!(
        "{{ \"iss\" : \"{}\",\n\"exp\":1795000300.0, \"cnf\":{{\"jkt\":\"x\"}}, \"act\" : {{\"sub\":\"a\"}},\"plan\" : \"free\" ,\"n\":1E+2 }} ",
        ISSUER.replace('/', "\\/")
    );
    let ring = &world().upstream;
    let raw = sign(
        ring,
        Algorithm::ES256,
        &bytes(&header(ring, Algorithm::ES256)),
        payload.as_bytes(),
    );
    let claims = add(json!({"plan": "gold", "roles": ["a"]}));
    let reissued = world()
        .tollgate
        .access_token(&verified_access(&raw), &claims, now())
        .unwrap();
    let payload = payload_of(&reissued);
    let (before, capsule) = payload.split_once(",\"tgc\":\"").unwrap();
    assert_eq!(
        before,
        "{ \"iss\" : \"https:\\/\\/id.example.com\\/realms\\/tg\",\n\"exp\":1795000300.0, \"cnf\":{\"jkt\":\"x\"}, \"act\" : {\"sub\":\"a\"},\"plan\" : \"gold\" ,\"n\":1E+2,\"roles\":[\"a\"]"
    );
    assert!(capsule.ends_with("\" } "), "{capsule}");
}

#[test]
fn the_type_stays_and_what_speaks_of_the_upstreams_key_goes() {
    let mut original = header(&world().upstream, Algorithm::ES256);
    original.extend(object(json!({
        "typ": "at+jwt", "cty": "x", "x5t": "AAAA", "jku": "https://id.example.com/jwks", "x5c": ["AAAA"],
    })));
    let raw = sign_values(&world().upstream, Algorithm::ES256, &original, &access_claims());
    let reissued = world()
        .tollgate
        .access_token(&verified_access(&raw), &Map::new(), now())
        .unwrap();
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(reissued.split('.').next().unwrap()).unwrap()).unwrap();
    let kid = world().tollgate.ring().signing_kid(Algorithm::ES256, now()).unwrap();
    assert_eq!(header, json!({"alg": "ES256", "kid": kid, "typ": "at+jwt", "cty": "x"}));
    assert_eq!(peek_kid(&reissued).as_deref(), Some(kid));
}

#[test]
fn a_fixed_algorithm_signs_everything_and_half_hashes_follow_it() {
    let tollgate = fixed(Algorithm::ES384);
    let access = verified_access(&access_token(Algorithm::RS256));
    let access = tollgate.access_token(&access, &Map::new(), now()).unwrap();
    assert_eq!(
        relying_party_accepts(&access, &tollgate, &EXPECTED_ACCESS).algorithm(),
        Algorithm::ES384
    );

    let id = verified_id(&id_token(Algorithm::RS256));
    let bound = Bound {
        access_token: Some(&access),
        code: Some(CODE),
        state: None,
    };
    let reissued = tollgate.id_token(&id, &Map::new(), &bound, now()).unwrap();
    let claims: Value = serde_json::from_str(&payload_of(&reissued)).unwrap();
    assert_eq!(claims["at_hash"], Algorithm::ES384.half_hash(&access));
    assert_eq!(claims["c_hash"], Algorithm::ES384.half_hash(CODE));

    let without_code = Bound { code: None, ..bound };
    assert_eq!(
        tollgate.id_token(&id, &Map::new(), &without_code, now()),
        Err(Unissued::Unbound("c_hash"))
    );
}

#[test]
fn a_half_hash_over_what_is_not_at_hand_stays() {
    let id = verified_id(&id_token(Algorithm::RS256));
    let reissued = world()
        .tollgate
        .id_token(&id, &Map::new(), &Bound::default(), now())
        .unwrap();
    let claims: Value = serde_json::from_str(&payload_of(&reissued)).unwrap();
    assert_eq!(claims["c_hash"], id.claims()["c_hash"]);
}

#[test]
fn what_is_known_of_an_opaque_token_comes_back_without_what_was_added() {
    let tollgate = &world().tollgate;
    for (known, added) in [
        (access_claims(), add(json!({"plan": "gold"}))),
        // The capsule is the only member then.
        (Map::new(), Map::new()),
    ] {
        let raw = tollgate.opaque_token("opaque-1", known.clone(), &added, None, now());
        let restored = tollgate.restore(&raw.unwrap()).unwrap();
        assert_eq!((restored.original.as_str(), restored.opaque), ("opaque-1", true));
        assert_eq!((restored.claims, restored.added), (known, added));
    }
}

#[test]
fn what_cannot_be_reissued_says_why() {
    let tollgate = &world().tollgate;
    let access = verified_access(&access_token(Algorithm::ES256));
    let id = verified_id(&id_token(Algorithm::ES256));
    for name in ["tgc", "iss", "at_hash", "c_hash", "s_hash"] {
        let refused = tollgate.access_token(&access, &add(json!({name: "x"})), now());
        assert_eq!(refused, Err(Unissued::Reserved(name.into())));
    }
    assert_eq!(tollgate.access_token(&id, &Map::new(), now()), Err(Unissued::WrongKind));
    assert_eq!(
        tollgate.id_token(&access, &Map::new(), &Bound::default(), now()),
        Err(Unissued::WrongKind)
    );

    let mut claims = access_claims();
    claims.insert("tgc".into(), "x".into());
    let upstream = &world().upstream;
    let untouched = header(upstream, Algorithm::ES256);
    let raw = sign_values(upstream, Algorithm::ES256, &untouched, &claims);
    let again = tollgate.access_token(&verified_access(&raw), &Map::new(), now());
    assert_eq!(again, Err(Unissued::AlreadyReissued));

    let deep = (0..32).fold(json!(1), |inner, _| json!([inner]));
    let unreadable = tollgate.access_token(&access, &add(json!({"deep": deep})), now());
    assert!(matches!(unreadable, Err(Unissued::Unreadable(_))), "{unreadable:?}");

    let long = tollgate.access_token(&access, &add(json!({"long": "x".repeat(jws::MAX_TOKEN)})), now());
    assert_eq!(long, Err(Unissued::TooLong));
    let mut wordy = untouched.clone();
    wordy.insert("x".into(), "x".repeat(5000).into());
    let raw = sign_values(upstream, Algorithm::ES256, &wordy, &access_claims());
    let long = tollgate.access_token(&verified_access(&raw), &Map::new(), now());
    assert_eq!(long, Err(Unissued::TooLong));

    let dir = tempfile::tempdir().unwrap();
    let without_p384 = Reissuer::new(
        KeyRing::init(dir.path(), now()).unwrap(),
        sealer(b'a'),
        AlgorithmChoice::Match,
    );
    let es384 = verified_access(&access_token(Algorithm::ES384));
    assert_eq!(
        without_p384.unwrap().access_token(&es384, &Map::new(), now()),
        Err(Unissued::NoKey(Algorithm::ES384))
    );
}

#[test]
fn a_claim_that_reads_back_as_another_is_refused() {
    let access = verified_access(&access_token(Algorithm::ES256));
    let number = json!({"$serde_json::private::Number": "1"});
    for claims in [json!({"seats": number}), number] {
        let refused = world().tollgate.access_token(&access, &add(claims), now());
        assert!(matches!(refused, Err(Unissued::Unreadable(_))), "{refused:?}");
    }
}

#[test]
fn the_longest_token_is_restored_and_a_longer_one_not_issued() {
    let tollgate = &world().tollgate;
    let access = verified_access(&access_token(Algorithm::ES256));
    let issue = |length: usize| tollgate.access_token(&access, &add(json!({"x": "x".repeat(length)})), now());
    let half = jws::MAX_TOKEN / 2;
    // Three more bytes of a claim are four of a token.
    let near = half + (jws::MAX_TOKEN - issue(half).unwrap().len()) * 3 / 4;
    let longest = (near - 3..near + 3)
        .rev()
        .find_map(|length| issue(length).ok())
        .unwrap();
    assert_eq!(longest.len(), jws::MAX_TOKEN);
    assert_eq!(tollgate.restore(&longest).unwrap().original, access.raw());
    assert_eq!(issue(near + 3), Err(Unissued::TooLong));
}

#[test]
fn a_capsule_of_an_rs256_token_takes_about_700_bytes() {
    let access = verified_access(&access_token(Algorithm::RS256));
    let claims = add(json!({"plan": "gold", "roles": ["admin", "billing"]}));
    let reissued = world().tollgate.access_token(&access, &claims, now()).unwrap();
    let payload: Value = serde_json::from_str(&payload_of(&reissued)).unwrap();
    let capsule = payload["tgc"].as_str().unwrap().len();
    assert!((500..=720).contains(&capsule), "{capsule}");
}
