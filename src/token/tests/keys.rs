//! Reading the upstream's key set.

use super::*;

fn jwk(algorithm: Algorithm) -> Value {
    let kid = world().upstream.signing_kid(algorithm, now()).unwrap();
    let jwks = world().upstream.jwks(now());
    let found = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid);
    found.unwrap().clone()
}

fn parse(keys: Value) -> Result<UpstreamKeys, BadKeySet> {
    UpstreamKeys::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn with(mut jwk: Value, edit: Value) -> Value {
    jwk.as_object_mut().unwrap().extend(object(edit));
    jwk
}

#[test]
fn keys_that_may_not_verify_are_skipped_and_the_others_kept() {
    let good = with(jwk(Algorithm::ES256), json!({"kid": "good"}));
    for unusable in [
        json!({"use": "enc"}),
        json!({"use": "other"}),
        json!({"use": 1}),
        json!({"key_ops": ["encrypt"]}),
        json!({"key_ops": []}),
        json!({"key_ops": "verify"}),
        json!({"alg": "RSA-OAEP"}),
        json!({"alg": "RS256"}),
        json!({"alg": "HS256"}),
        json!({"alg": null}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"kty": "oct"}),
        json!({"d": "AAAA"}),
        json!({"kid": 7}),
        json!({"crv": "P-521"}),
        json!({"crv": "Ed25519"}),
        json!({"kty": "OKP"}),
    ] {
        let bad = with(with(jwk(Algorithm::ES256), json!({"kid": "bad"})), unusable.clone());
        let keys = parse(json!([bad, good, 1, null, "key"])).unwrap();
        assert!(keys.holds("good") && !keys.holds("bad"), "{unusable}");
    }
    let allowed = with(
        good,
        json!({"key_ops": ["verify", "sign"], "use": "sig", "alg": "ES256", "x5c": "?", "x5t": 7}),
    );
    assert!(parse(json!([allowed])).unwrap().holds("good"));
}

#[test]
fn encryption_keys_verify_nothing_and_are_handed_out_as_they_are() {
    let encryption = with(
        jwk(Algorithm::RS256),
        json!({"use": "enc", "alg": "RSA-OAEP", "x5t": "AAAA"}),
    );
    let keys = parse(json!([encryption])).unwrap();
    assert!(keys.is_empty());
    assert_eq!(keys.encryption_keys(), [encryption]);
    assert!(verify(&access_token(Algorithm::RS256), &keys, &EXPECTED_ACCESS, now()).is_err());
}

#[test]
fn a_second_key_of_another_type_under_a_taken_kid_is_ignored() {
    let kid = jwk(Algorithm::ES256)["kid"].clone();
    let shadow = with(jwk(Algorithm::EdDSA), json!({"kid": kid}));
    let keys = parse(json!([jwk(Algorithm::ES256), shadow])).unwrap();
    assert!(verify(&access_token(Algorithm::ES256), &keys, &EXPECTED_ACCESS, now()).is_ok());

    let mut header = header(&world().upstream, Algorithm::EdDSA);
    header.insert("kid".into(), kid);
    let raw = sign_values(&world().upstream, Algorithm::EdDSA, &header, &access_claims());
    let outcome = verify(&raw, &keys, &EXPECTED_ACCESS, now()).map(|_| ());
    assert_eq!(outcome, Err(Unverified::Algorithm));
}

#[test]
fn a_key_set_is_bounded_and_strict() {
    let key = jwk(Algorithm::ES256);
    assert!(parse(vec![key.clone(); 100].into()).is_ok());
    assert_eq!(parse(vec![key.clone(); 101].into()).unwrap_err(), BadKeySet::TooMany);
    let long = format!("{{\"keys\":[]{}}}", " ".repeat(256 * 1024));
    assert_eq!(UpstreamKeys::parse(long.as_bytes()).unwrap_err(), BadKeySet::TooLong);
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[]} x"#,
        "<html>",
    ] {
        assert!(
            matches!(UpstreamKeys::parse(wrong.as_bytes()), Err(BadKeySet::Malformed(_))),
            "{wrong}"
        );
    }
}
