//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4).

use super::*;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "j-1", "sub": "ada", "sid": "s-1",
        "events": {EVENT: {}},
    })
}

fn signed(typ: Option<&str>, claims: &Value) -> String {
    let ring = &world().upstream;
    let mut header = header(ring, Algorithm::RS256);
    header.shift_remove("typ");
    if let Some(typ) = typ {
        header.insert("typ".into(), typ.into());
    }
    sign_values(ring, Algorithm::RS256, &header, &object(claims.clone()))
}

fn verified(typ: Option<&str>, claims: &Value) -> Result<Verified, Unverified> {
    let expected = Expected {
        issuer: ISSUER,
        kind: Kind::LogoutToken { client_id: CLIENT },
    };
    let raw = signed(typ, claims);
    verify(&raw, &world().upstream_keys, &expected, now())
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().shift_remove(name);
    claims
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[test]
fn one_that_a_relying_party_would_take_is_taken() {
    for typ in [None, Some("JWT"), Some("logout+jwt"), Some("application/logout+jwt")] {
        verified(typ, &claims()).unwrap();
    }
    for good in [
        without("sub"),
        without("sid"),
        without("exp"),
        with("aud", json!([CLIENT])),
        with("events", json!({EVENT: {}, "urn:other": {}})),
    ] {
        assert!(verified(Some("logout+jwt"), &good).is_ok(), "{good}");
    }
}

#[test]
fn any_other_is_refused() {
    let mut nobody = without("sub");
    nobody.as_object_mut().unwrap().shift_remove("sid");
    let mut nameless = without("sid");
    nameless["sub"] = json!("");
    let mut old = without("exp");
    old["iat"] = json!(NOW - 600);
    for bad in [
        nobody,
        old,
        without("iss"),
        without("aud"),
        without("iat"),
        without("jti"),
        without("events"),
        with("iss", json!("https://id.example.com/realms/other")),
        with("aud", json!("other")),
        with("aud", json!([CLIENT, "other"])),
        with("aud", json!([])),
        with("exp", json!(NOW - 600)),
        with("iat", json!(NOW + 600)),
        with("iat", json!("now")),
        with("jti", json!("")),
        with("sub", json!(7)),
        nameless,
        with("events", json!([EVENT])),
        with("events", json!({"urn:other": {}})),
        with("events", json!({EVENT: true})),
        with("nonce", json!("n")),
        with("nonce", Value::Null),
    ] {
        assert!(verified(Some("logout+jwt"), &bad).is_err(), "{bad}");
    }
    for typ in ["at+jwt", "secevent+jwt", "dpop+jwt"] {
        assert!(verified(Some(typ), &claims()).is_err(), "{typ}");
    }
}

#[test]
fn one_is_nothing_else_and_nothing_else_is_one() {
    let raw = signed(None, &claims());
    for kind in [
        Kind::AccessToken { client_id: None },
        Kind::Userinfo { client_id: None },
        Kind::AuthorizationResponse { client_id: None },
    ] {
        let expected = Expected { issuer: ISSUER, kind };
        assert!(verify(&raw, &world().upstream_keys, &expected, now()).is_err());
    }
    let logout = verified(Some("logout+jwt"), &claims()).unwrap();
    let tollgate = &world().tollgate;
    assert!(tollgate.access_token(&logout, &Map::new(), now()).is_err());
    let id = id_token(Algorithm::RS256);
    let expected = Expected {
        issuer: ISSUER,
        kind: Kind::LogoutToken { client_id: CLIENT },
    };
    assert!(verify(&id, &world().upstream_keys, &expected, now()).is_err());
}

#[test]
fn signed_again_it_says_the_same_under_our_key() {
    let verified = verified(Some("logout+jwt"), &claims()).unwrap();
    let ours = world().tollgate.statement(&verified, &Map::new(), &[], now()).unwrap();
    let part = |raw: &str, at: usize| URL_SAFE_NO_PAD.decode(raw.split('.').nth(at).unwrap()).unwrap();
    assert_eq!(part(&ours, 1), part(verified.raw(), 1), "the payload, to the letter");
    let header: Value = serde_json::from_slice(&part(&ours, 0)).unwrap();
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("logout+jwt"), &json!("RS256"))
    );
    assert!(world().tollgate.ring().holds(header["kid"].as_str().unwrap()));
}
