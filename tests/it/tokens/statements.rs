//! What the upstream signs besides tokens: userinfo and introspection answers.

use serde_json::{Value, json};

use tollgate::event::Trigger;

use crate::world::{Answer, Fate, Idp, Setup, Tokens, keys};

const INTROSPECTION: &str = "application/token-introspection+jwt";

/// A token of ours for `web` with a claim of an interceptor.
async fn token(idp: &Idp) -> String {
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    idp.hands_out(idp.good_tokens());
    Tokens::of(&idp.redeem().await).access
}

fn userinfo(idp: &Idp) -> Value {
    json!({"iss": idp.issuer, "aud": "web", "sub": "u-1", "email": "ada@example.com"})
}

async fn introspect(idp: &Idp, accept: &'static str, token: &str) -> Answer {
    let call = idp.post("/introspect").basic("api", "x").header("accept", accept);
    call.form(&[("token", token)]).send().await
}

#[tokio::test]
async fn signed_userinfo_is_signed_again_with_the_added_claims() {
    let idp = Idp::generic(Setup::generic()).await;
    let token = token(&idp).await;
    let signed = idp.key.sign(&userinfo(&idp));
    idp.stub
        .fate("/userinfo", Fate::Answer(200, "application/jwt;charset=UTF-8", signed));
    let answer = idp.get("/userinfo").bearer(&token).send().await;
    assert_eq!(answer.header("content-type"), Some("application/jwt;charset=UTF-8"));
    let jwks = idp.get("/jwks").send().await.json();
    // The relying party's library wants an `exp` that userinfo does not have.
    let kid = jsonwebtoken::decode_header(answer.text()).unwrap().kid.unwrap();
    assert!(jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == *kid));
    let mut expected = userinfo(&idp);
    expected["plan"] = json!("gold");
    assert_eq!(Value::Object(keys::claims(&answer.text())), expected);
}

#[tokio::test]
async fn signed_userinfo_that_a_client_would_refuse_is_not_passed() {
    let idp = Idp::generic(Setup::generic()).await;
    let token = token(&idp).await;
    let with = |name: &str, value: Value| {
        let mut claims = userinfo(&idp);
        claims[name] = value;
        idp.key.sign(&claims)
    };
    for (why, raw) in [
        ("a stranger's", keys::Key::new("upstream-1").sign(&userinfo(&idp))),
        ("another client's", with("aud", json!("other"))),
        ("another issuer's", with("iss", json!("https://evil.example"))),
        ("past", with("exp", json!(1))),
        ("an ID token", idp.key.sign(&idp.id_claims("x"))),
        (
            "an access token",
            idp.key.sign(&{
                let mut claims = idp.access_claims();
                claims["aud"] = json!("web");
                claims
            }),
        ),
        ("encrypted", "e30.a.b.c.d".to_owned()),
        ("no JWT", "{}".to_owned()),
    ] {
        idp.stub
            .fate("/userinfo", Fate::Answer(200, "application/jwt", raw.clone()));
        let answer = idp.get("/userinfo").bearer(&token).send().await;
        assert_eq!(answer.status, 502, "{why}: {answer:?}");
        assert!(!answer.text().contains(&raw));
    }
}

#[tokio::test]
async fn a_signed_introspection_answer_has_the_added_claims_and_is_signed_again() {
    let idp = Idp::generic(Setup::generic()).await;
    let token = token(&idp).await;
    let now = idp.access_claims()["iat"].clone();
    let header = json!({"alg": "ES256", "typ": "token-introspection+jwt", "kid": idp.key.kid});
    let about = |active: bool| json!({"iss": idp.issuer, "aud": "api", "iat": now, "token_introspection": {"active": active, "sub": "u-1"}});
    let answers = |claims: &Value| {
        let signed = idp.key.sign_as(&header, &claims.to_string());
        idp.stub.fate("/introspect", Fate::Answer(200, INTROSPECTION, signed));
    };
    answers(&about(true));
    let answer = introspect(&idp, INTROSPECTION, &token).await;
    assert_eq!(answer.header("content-type"), Some(INTROSPECTION));
    let read = jsonwebtoken::decode_header(answer.text()).unwrap();
    assert_eq!(read.typ.as_deref(), Some("token-introspection+jwt"));
    assert_ne!(read.kid.as_deref(), Some(idp.key.kid.as_str()));
    let mut expected = about(true);
    expected["token_introspection"]["plan"] = json!("gold");
    assert_eq!(Value::Object(keys::claims(&answer.text())), expected);

    // A native token is not active here, whatever the upstream says of it.
    let native = idp.key.sign(&idp.access_claims());
    let answer = introspect(&idp, INTROSPECTION, &native).await;
    assert_eq!(
        keys::claims(&answer.text())["token_introspection"],
        json!({"active": false})
    );

    let mut other = about(true);
    other["aud"] = json!("another");
    answers(&other);
    assert_eq!(introspect(&idp, INTROSPECTION, &token).await.status, 502);
    idp.stub.fate(
        "/introspect",
        Fate::Answer(200, INTROSPECTION, idp.key.sign(&about(true))),
    );
    assert_eq!(
        introspect(&idp, INTROSPECTION, &token).await.status,
        502,
        "with another `typ`"
    );
    let untyped = json!({"alg": "ES256", "kid": idp.key.kid});
    let signed = idp.key.sign_as(&untyped, &about(true).to_string());
    idp.stub.fate("/introspect", Fate::Answer(200, INTROSPECTION, signed));
    assert_eq!(
        introspect(&idp, INTROSPECTION, &token).await.status,
        502,
        "without its `typ`"
    );
}

#[tokio::test]
async fn the_jwt_of_a_token_in_an_introspection_answer_is_signed_again_with_the_added_claims() {
    let idp = Idp::generic(Setup::generic()).await;
    let token = token(&idp).await;
    let jwt = idp.key.sign(&idp.access_claims());
    let answers = |active: bool, jwt: &str| {
        let answer = json!({"active": active, "jwt": jwt}).to_string();
        idp.stub
            .fate("/introspect", Fate::Answer(200, "application/json", answer));
    };
    answers(true, &jwt);
    let answer = introspect(&idp, "application/jwt", &token).await.json();
    let jwks = idp.get("/jwks").send().await.json();
    assert_eq!(keys::verified(answer["jwt"].as_str().unwrap(), &jwks)["plan"], "gold");
    assert_eq!(answer["plan"], "gold");
    for (active, accept) in [(false, "application/jwt"), (true, "application/json")] {
        answers(active, &jwt);
        let answer = introspect(&idp, accept, &token).await.json();
        assert!(answer.get("jwt").is_none(), "{answer}");
    }
    answers(true, &keys::Key::new("upstream-1").sign(&idp.access_claims()));
    assert_eq!(introspect(&idp, "application/jwt", &token).await.status, 502);
}
