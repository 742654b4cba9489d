//! Tokens that real providers send and that must get through.

use super::*;

fn accepted(algorithm: Algorithm, header: &Map<String, Value>, claims: &Map<String, Value>, expected: &Expected<'_>) {
    let raw = sign_values(&world().upstream, algorithm, header, claims);
    let outcome = verify(&raw, &world().upstream_keys, expected, now());
    assert!(outcome.is_ok(), "{algorithm} {header:?} {claims:?}: {outcome:?}");
}

#[test]
fn sound_tokens_of_every_algorithm_are_accepted() {
    for algorithm in ALGORITHMS {
        let header = header(&world().upstream, algorithm);
        accepted(algorithm, &header, &access_claims(), &EXPECTED_ACCESS);
        accepted(algorithm, &header, &id_claims(algorithm), &EXPECTED_ID);
    }
}

#[test]
fn usual_types_are_accepted_in_any_case_and_with_the_media_types_prefix() {
    let algorithm = Algorithm::ES256;
    for typ in [
        "jwt",
        "JWT",
        "application/jwt",
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
    ] {
        let mut header = header(&world().upstream, algorithm);
        header.insert("typ".into(), typ.into());
        accepted(algorithm, &header, &access_claims(), &EXPECTED_ACCESS);
    }
    let mut untyped = header(&world().upstream, algorithm);
    untyped.remove("typ");
    accepted(algorithm, &untyped, &access_claims(), &EXPECTED_ACCESS);
    accepted(algorithm, &untyped, &id_claims(algorithm), &EXPECTED_ID);
}

#[test]
fn a_lightweight_access_token_is_accepted() {
    let algorithm = Algorithm::ES256;
    let claims = object(json!({"iss": ISSUER, "exp": NOW + 60}));
    accepted(
        algorithm,
        &header(&world().upstream, algorithm),
        &claims,
        &EXPECTED_ACCESS,
    );
}

#[test]
fn an_access_token_may_be_for_nobody_in_particular() {
    let algorithm = Algorithm::ES256;
    let mut claims = access_claims();
    claims.insert("aud".into(), json!([]));
    accepted(
        algorithm,
        &header(&world().upstream, algorithm),
        &claims,
        &EXPECTED_ACCESS,
    );
}

#[test]
fn several_audiences_are_accepted_where_the_client_is_one_and_authorized() {
    let algorithm = Algorithm::ES256;
    let mut claims = id_claims(algorithm);
    claims.insert("aud".into(), json!(["account", CLIENT]));
    accepted(algorithm, &header(&world().upstream, algorithm), &claims, &EXPECTED_ID);
}

#[test]
fn times_have_a_minute_of_leeway_and_may_have_fractions() {
    let algorithm = Algorithm::ES256;
    let header = header(&world().upstream, algorithm);
    for (claim, time) in [
        ("exp", json!(NOW - 59)),
        ("nbf", json!(NOW + 60)),
        ("iat", json!(NOW + 60)),
        ("exp", json!(1_795_000_000.5)),
        ("exp", json!(1e12)),
    ] {
        let mut claims = access_claims();
        claims.insert(claim.into(), time);
        accepted(algorithm, &header, &claims, &EXPECTED_ACCESS);
    }
}

#[test]
fn half_hashes_and_parties_are_not_demanded_where_they_cannot_be_known() {
    let algorithm = Algorithm::RS256;
    let mut claims = id_claims(algorithm);
    claims.remove("azp");
    claims.remove("at_hash");
    claims.remove("c_hash");
    accepted(algorithm, &header(&world().upstream, algorithm), &claims, &EXPECTED_ID);

    accepted(
        algorithm,
        &header(&world().upstream, algorithm),
        &id_claims(algorithm),
        &EXPECTED_ID_OF_ANYBODY,
    );
}

#[test]
fn key_references_in_the_header_are_ignored() {
    let algorithm = Algorithm::EdDSA;
    let mut header = header(&world().upstream, algorithm);
    header.insert("jku".into(), "https://attacker.example/jwks".into());
    header.insert("x5u".into(), "https://attacker.example/x5u".into());
    header.insert("x5t".into(), "AAAA".into());
    header.insert("jwk".into(), world().stranger.jwks(now())["keys"][0].clone());
    accepted(algorithm, &header, &access_claims(), &EXPECTED_ACCESS);
}

#[test]
fn a_token_without_kid_is_accepted_where_there_is_one_key_only() {
    let algorithm = Algorithm::ES256;
    let kid = world().upstream.signing_kid(algorithm, now()).unwrap();
    let jwks = world().upstream.jwks(now());
    let only = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid);
    let keys = UpstreamKeys::parse(json!({"keys": [only]}).to_string().as_bytes()).unwrap();
    let mut header = header(&world().upstream, algorithm);
    header.remove("kid");
    let raw = sign_values(&world().upstream, algorithm, &header, &access_claims());
    assert!(verify(&raw, &keys, &EXPECTED_ACCESS, now()).is_ok());
}

#[test]
fn a_verified_token_does_not_print_its_claims() {
    let printed = format!("{:?}", verified_id(&id_token(Algorithm::ES256)));
    assert!(!printed.contains("ada@example.com"), "{printed}");
}
