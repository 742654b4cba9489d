//! A token with any defect that a strict relying party would refuse is never signed again, repaired or passed on.

use serde_json::{Value, json};
use tollgate::event::Trigger;

use crate::world::{
    Answer, Fate, Idp, Setup,
    keys::{self, Key},
};

/// The defect ends as 502 in the client's format, with a record, without a consult, and with nothing of the token shown.
async fn refused(idp: &Idp, tokens: Value, why: &str) -> Answer {
    let before = idp.audit().len();
    idp.hands_out(tokens.clone());
    let answer = idp.redeem().await;
    assert_eq!(answer.status, 502, "{why}: {answer:?}");
    assert_eq!(answer.json()["error"], "server_error", "{why}");
    for token in ["access_token", "id_token", "refresh_token"] {
        if let Some(token) = tokens[token].as_str() {
            assert!(!answer.text().contains(token), "{why}: the answer has the token");
        }
    }
    assert!(idp.hook.asked(Trigger::PreSessionCreation).is_empty(), "{why}: asked");
    let records = &idp.audit()[before..];
    let failure = records
        .iter()
        .find_map(|record| record.entry.failure.clone().filter(|f| f.kind == "unverified_token"));
    assert!(failure.is_some(), "{why}: no record among {records:?}");
    answer
}

#[tokio::test]
async fn a_defective_access_token_is_502_with_a_record_and_never_passed() {
    let idp = Idp::generic(Setup::generic()).await;
    let good = idp.access_claims();
    let with = |change: Value| {
        let mut claims = good.clone();
        let members = claims.as_object_mut().unwrap();
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                members.shift_remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        idp.key.sign(&claims)
    };
    let now = good["iat"].as_i64().unwrap();
    let stranger = Key::new(&idp.key.kid);
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": idp.key.kid});
    let text = good.to_string();
    let unsigned = |header: Value| {
        let signed = idp.key.sign_as(&header, &text);
        let (signed, _) = signed.rsplit_once('.').unwrap();
        format!("{signed}.")
    };
    let twice = format!("{},\"sub\":\"root\"}}", text.strip_suffix('}').unwrap());
    for (why, token) in [
        ("wrong signature", stranger.sign(&good)),
        ("alg none", unsigned(header("none"))),
        ("no signature", unsigned(header("ES256"))),
        ("alg of another family", idp.key.sign_as(&header("RS256"), &text)),
        (
            "crit",
            idp.key
                .sign_as(&json!({"alg": "ES256", "kid": idp.key.kid, "crit": ["exp"]}), &text),
        ),
        (
            "its own key in the header",
            stranger.sign_as(&json!({"alg": "ES256", "jwk": stranger.jwk(), "kid": "other"}), &text),
        ),
        (
            "typ of a logout token",
            idp.key
                .sign_as(&json!({"alg": "ES256", "typ": "logout+jwt", "kid": idp.key.kid}), &text),
        ),
        ("claims twice", idp.key.sign_as(&header("ES256"), &twice)),
        ("no JSON", idp.key.sign_as(&header("ES256"), "{\"iss\":")),
        ("an array", idp.key.sign_as(&header("ES256"), "[]")),
        ("iss of another", with(json!({"iss": "https://evil.example"}))),
        ("no iss", with(json!({"iss": null}))),
        ("expired", with(json!({"exp": now - 120}))),
        ("no exp", with(json!({"exp": null}))),
        ("exp as text", with(json!({"exp": "tomorrow"}))),
        ("from the future", with(json!({"iat": now + 600}))),
        ("not yet valid", with(json!({"nbf": now + 600}))),
        ("of another client", with(json!({"azp": "evil"}))),
        ("aud of numbers", with(json!({"aud": [1]}))),
    ] {
        refused(&idp, json!({"access_token": token, "token_type": "Bearer"}), why).await;
    }
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute() {
    let idp = Idp::generic(Setup::generic()).await;
    let good = idp.access_claims();
    let now = good["iat"].as_i64().unwrap();
    for (claim, time) in [("exp", now - 30), ("iat", now + 30), ("nbf", now + 30)] {
        let mut claims = good.clone();
        claims[claim] = json!(time);
        idp.hands_out(json!({"access_token": idp.key.sign(&claims)}));
        let answer = idp.redeem().await;
        assert_eq!(answer.status, 200, "{claim}: {answer:?}");
    }
}

#[tokio::test]
async fn a_defective_id_token_is_502_with_a_record_and_never_passed() {
    let idp = Idp::generic(Setup::generic()).await;
    let access = idp.key.sign(&idp.access_claims());
    let good = idp.id_claims(&access);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        idp.key.sign(&claims)
    };
    for (why, id) in [
        ("aud of another", with("aud", json!("other"))),
        ("aud empty", with("aud", json!([]))),
        ("several audiences without azp", {
            let mut claims = good.clone();
            claims["aud"] = json!(["web", "other"]);
            claims.as_object_mut().unwrap().shift_remove("azp");
            idp.key.sign(&claims)
        }),
        ("azp of another", with("azp", json!("other"))),
        (
            "at_hash of another token",
            with("at_hash", json!(keys::half_hash("other"))),
        ),
        (
            "c_hash of another code",
            with("c_hash", json!(keys::half_hash("other"))),
        ),
        ("no subject", with("sub", json!(""))),
        ("expired", with("exp", json!(1))),
        ("iss of another", with("iss", json!("https://evil.example"))),
        (
            "a logout token",
            with(
                "events",
                json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
            ),
        ),
        ("an opaque ID token", "opaque".to_owned()),
        ("an ID token of a stranger", Key::new("stranger").sign(&good)),
    ] {
        refused(
            &idp,
            json!({"access_token": access, "id_token": id, "token_type": "Bearer"}),
            why,
        )
        .await;
    }
}

#[tokio::test]
async fn encrypted_and_symmetric_tokens_say_what_to_change_at_the_provider() {
    let idp = Idp::generic(Setup::generic()).await;
    let access = idp.key.sign(&idp.access_claims());
    let text = idp.id_claims(&access).to_string();
    let symmetric = idp.key.sign_as(&json!({"alg": "HS256", "kid": "realm"}), &text);
    let answer = refused(&idp, json!({"access_token": access, "id_token": symmetric}), "HS256").await;
    assert!(answer.json()["error_description"].as_str().unwrap().contains("HS256"));
    let encrypted = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkExMjhHQ00ifQ.a.b.c.d";
    let answer = refused(&idp, json!({"access_token": access, "id_token": encrypted}), "JWE").await;
    assert!(
        answer.json()["error_description"]
            .as_str()
            .unwrap()
            .contains("encrypted")
    );
}

#[tokio::test]
async fn the_tokens_of_a_defective_answer_are_revoked() {
    let idp = Idp::generic(Setup::generic()).await;
    let tokens = json!({"access_token": Key::new("stranger").sign(&idp.access_claims()), "refresh_token": "refresh-1"});
    refused(&idp, tokens, "a stranger's").await;
    idp.recorded("a revocation", |record| {
        record.entry.reason.as_deref() == Some("refresh_token revoked")
    })
    .await;
    assert_eq!(idp.stub.at("/revoke")[0].field("token").as_deref(), Some("refresh-1"));
}

#[tokio::test]
async fn an_unknown_kid_has_the_keys_fetched_again_once() {
    let idp = Idp::generic(Setup::generic()).await;
    idp.hands_out(idp.good_tokens());
    assert_eq!(idp.redeem().await.status, 200);
    let fetched = idp.stub.at("/jwks").len();

    let second = Key::new("upstream-2");
    idp.publishes(vec![idp.key.jwk(), second.jwk()]);
    idp.hands_out(json!({"access_token": second.sign(&idp.access_claims())}));
    assert_eq!(
        idp.redeem().await.status,
        200,
        "the upstream's new key is taken at once"
    );
    assert_eq!(idp.stub.at("/jwks").len(), fetched + 1);

    let third = Key::new("upstream-3");
    idp.hands_out(json!({"access_token": third.sign(&idp.access_claims())}));
    assert_eq!(idp.redeem().await.status, 502);
    assert_eq!(idp.stub.at("/jwks").len(), fetched + 1, "not again within ten seconds");
}

#[tokio::test]
async fn twenty_unknown_kids_cause_at_most_one_more_fetch() {
    let idp = Idp::generic(Setup::generic()).await;
    for n in 0..20 {
        let stranger = Key::new(&format!("stranger-{n}"));
        idp.hands_out(json!({"access_token": stranger.sign(&idp.access_claims())}));
        assert_eq!(idp.redeem().await.status, 502);
    }
    assert!(idp.stub.at("/jwks").len() <= 2, "{}", idp.stub.at("/jwks").len());
}

#[tokio::test]
async fn a_token_response_that_can_be_read_in_two_ways_is_502() {
    let idp = Idp::generic(Setup::generic()).await;
    let good = idp.good_tokens();
    let access = good["access_token"].as_str().unwrap();
    for body in [
        format!("{{\"access_token\":\"x\",\"access_token\":\"{access}\"}}"),
        format!("{{\"access_token\":\"{access}\"}} {{\"access_token\":\"x\"}}"),
        format!("\u{feff}{{\"access_token\":\"{access}\"}}"),
        format!("{{\"access_token\":[\"{access}\"]}}"),
        format!("access_token={access}"),
        format!("[{{\"access_token\":\"{access}\"}}]"),
        "{}".to_owned(),
        String::new(),
    ] {
        idp.stub
            .fate("/token", Fate::Answer(200, "application/json", body.clone()));
        let answer = idp.redeem().await;
        assert_eq!(answer.status, 502, "{body}");
        assert!(!answer.text().contains(access));
    }
    assert!(idp.hook.all().is_empty());
}

#[tokio::test]
async fn a_token_in_an_error_is_held_back_too() {
    let idp = Idp::generic(Setup::generic()).await;
    idp.hook.deny(Trigger::PreSessionCreation, "No");
    for status in [201, 400, 500] {
        idp.stub.fate(
            "/token",
            Fate::Answer(status, "application/json", idp.good_tokens().to_string()),
        );
        let answer = idp.redeem().await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.json()["error"], "access_denied");
    }
}

#[tokio::test]
async fn an_error_that_cannot_be_read_passes_only_without_a_token_in_it() {
    let idp = Idp::generic(Setup::generic()).await;
    for (body, status) in [
        ("<h1>Bad gateway</h1>", 503),
        ("", 503),
        ("access_token=of-nobody&token_type=Bearer", 502),
        ("{\"access_token\":\"of-nobody\"} trailing", 502),
        ("<input name='x' value='eyJhbGciOiJFUzI1NiJ9.e30.c2ln'>", 502),
    ] {
        idp.stub.fate("/token", Fate::Answer(503, "text/html", body.to_owned()));
        let answer = idp.redeem().await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        let said = answer.text();
        assert!(
            status == 503 || !said.contains("of-nobody") && !said.contains("eyJ"),
            "{said}"
        );
    }
    assert!(idp.hook.all().is_empty());
}
