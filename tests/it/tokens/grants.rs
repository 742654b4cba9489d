//! Grants beside the usual ones, and what their answers have in the place of a token response.

use serde_json::{Value, json};
use tollgate::event::Trigger;

use crate::world::{Idp, Setup, Tokens, keys};

const UMA: &str = "urn:ietf:params:oauth:grant-type:uma-ticket";
const CIBA: &str = "urn:openid:params:grant-type:ciba";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

async fn idp() -> Idp {
    let idp = Idp::keycloak().await;
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    idp.hands_out(idp.good_tokens());
    idp
}

async fn jwks(idp: &Idp) -> Value {
    idp.get(idp.endpoints().jwks).send().await.json()
}

#[tokio::test]
async fn a_uma_ticket_is_asked_for_with_our_tokens_and_gives_one_of_ours() {
    let idp = idp().await;
    let held = Tokens::of(&idp.redeem().await);
    let original = |ours: &str| {
        let kid = jsonwebtoken::decode_header(ours).unwrap().kid.unwrap();
        kid == idp.key.kid
    };
    idp.stub.forget();
    let form = [
        ("grant_type", UMA),
        ("ticket", "t"),
        ("claim_token", &held.id),
        ("rpt", &held.access),
    ];
    let path = idp.endpoints().token;
    let answer = idp.post(path).bearer(&held.access).form(&form).send().await;
    let rpt = Tokens::of(&answer).access;
    assert_eq!(keys::verified(&rpt, &jwks(&idp).await)["plan"], "gold");
    let seen = idp.stub.at(path).pop().unwrap();
    let bearer = seen
        .header("authorization")
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap()
        .to_owned();
    for token in [bearer, seen.field("claim_token").unwrap(), seen.field("rpt").unwrap()] {
        assert!(original(&token), "the upstream got a token that it did not sign");
    }
}

#[tokio::test]
async fn umas_permissions_and_decisions_are_no_tokens_and_pass() {
    let idp = idp().await;
    for (mode, answer) in [
        (
            "permissions",
            json!([{"rsid": "1", "rsname": "Document", "scopes": ["read"]}]),
        ),
        ("decision", json!({"result": true})),
    ] {
        idp.hands_out(answer.clone());
        let passed = idp.grant(&[("grant_type", UMA), ("response_mode", mode)]).await;
        assert_eq!((passed.status, passed.json()), (200, answer.clone()), "{mode}");
        let unasked = idp.grant(&[("grant_type", UMA)]).await;
        assert_eq!(unasked.status, 502, "{mode}: {unasked:?}");
    }
    assert!(idp.hook.all().is_empty());
    // A token is one wherever it stands.
    let token = idp.key.sign(&idp.access_claims());
    for answer in [
        json!({"access_token": token}),
        json!([{"rpt": token}]),
        json!({"result": true, "deep": {"token": "opaque"}}),
    ] {
        idp.hook.deny(Trigger::PreSessionCreation, "No");
        idp.hands_out(answer);
        let held = idp.grant(&[("grant_type", UMA), ("response_mode", "decision")]).await;
        assert!(held.status >= 400 && !held.text().contains("eyJ"), "{held:?}");
    }
}

#[tokio::test]
async fn who_asks_a_user_on_another_device_may_name_them_by_the_id_token_that_it_holds() {
    let idp = Idp::generic(Setup::generic()).await;
    idp.hands_out(idp.good_tokens());
    let held = Tokens::of(&idp.redeem().await);
    let path = "/protocol/openid-connect/ext/ciba/auth";
    let begun = idp.post(path).basic("web", "web-secret");
    let begun = begun.form(&[("id_token_hint", &held.id)]).send().await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let hint = idp.stub.at(path)[0].field("id_token_hint").unwrap();
    assert_eq!(jsonwebtoken::decode_header(hint).unwrap().kid.unwrap(), idp.key.kid);
}

#[tokio::test]
async fn ciba_waits_unasked_and_its_tokens_are_a_session() {
    let idp = idp().await;
    let tokens = Tokens::of(&idp.grant(&[("grant_type", CIBA), ("auth_req_id", "1")]).await);
    assert_eq!(keys::verified(&tokens.id, &jwks(&idp).await)["plan"], "gold");
    let event = idp.hook.event(Trigger::PreSessionCreation);
    assert_eq!(event["interceptor_context"]["grant_type"], CIBA);
}

#[tokio::test]
async fn the_token_of_cibas_callback_is_taken_there_and_nowhere_else() {
    let idp = idp().await;
    let native = idp.key.sign(&idp.access_claims());
    let auth = "/realms/tg/protocol/openid-connect/ext/ciba/auth";
    let callback = format!("{auth}/callback");
    let status = json!({"status": "SUCCEED"});
    let agreed = idp.post(&callback).bearer(&native).json(&status).send().await;
    assert_eq!(agreed.status, 200, "{agreed:?}");
    let seen = idp.stub.at(&callback);
    assert_eq!(
        seen[0].header("authorization"),
        Some(format!("Bearer {native}").as_str())
    );
    for path in [auth, idp.endpoints().userinfo, "/realms/tg/account"] {
        let answer = idp.post(path).bearer(&native).form(&[("scope", "openid")]).send().await;
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn an_id_token_in_the_field_of_an_access_token_is_treated_as_one() {
    let idp = idp().await;
    let untyped = {
        let mut claims = idp.id_claims("x");
        claims
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !["typ", "at_hash"].contains(&name.as_str()));
        claims
    };
    let typed = {
        let mut claims = untyped.clone();
        claims["typ"] = json!("ID");
        claims
    };
    let form = [("grant_type", EXCHANGE), ("requested_token_type", ID_TOKEN)];
    idp.hook.reply(
        Trigger::PreSessionCreation,
        crate::world::Reply::Json(json!({"decision": "ALLOW", "response": {"id_token": {"claims": {"only_id": 1}}}})),
    );
    for answer in [
        json!({"access_token": idp.key.sign(&typed), "token_type": "N_A"}),
        json!({"access_token": idp.key.sign(&untyped), "token_type": "N_A", "issued_token_type": ID_TOKEN}),
    ] {
        idp.hands_out(answer);
        let token = Tokens::of(&idp.grant(&form).await).access;
        assert_eq!(keys::verified(&token, &jwks(&idp).await)["only_id"], 1);
        let event = idp.hook.event(Trigger::PreSessionCreation);
        assert_eq!(event["data"]["claims"]["id_token"]["sub"], "u-1");
        assert!(event["data"]["claims"].get("access_token").is_none());
    }
    // It must be the requesting client's, as any ID token.
    let mut other = typed.clone();
    (other["aud"], other["azp"]) = (json!("other"), json!("other"));
    idp.hands_out(json!({"access_token": idp.key.sign(&other)}));
    assert_eq!(idp.grant(&form).await.status, 502);
    idp.hands_out(json!({"access_token": idp.key.sign(&typed), "id_token": idp.key.sign(&typed)}));
    assert_eq!(idp.grant(&form).await.status, 502);
}

#[tokio::test]
async fn jwt_bearer_is_a_machines_where_the_verified_subject_is_the_client() {
    let idp = idp().await;
    let form = [("grant_type", BEARER), ("assertion", "x")];
    idp.grant(&form).await;
    assert_eq!(idp.hook.asked(Trigger::PreSessionCreation).len(), 1);
    let mut claims = idp.access_claims();
    claims["sub"] = json!("web");
    idp.hands_out(json!({"access_token": idp.key.sign(&claims), "token_type": "Bearer"}));
    assert_eq!(idp.grant(&form).await.status, 200);
    assert_eq!(idp.hook.asked(Trigger::PreSessionCreation).len(), 1);
    let event = idp.hook.event(Trigger::PreM2mTokenCreation);
    assert_eq!(event["data"]["m2m_token_claims"]["client_id"], "web");
    // Elsewhere a subject of that name is a user's affair.
    idp.grant(&[("grant_type", "password")]).await;
    assert_eq!(idp.hook.asked(Trigger::PreSessionCreation).len(), 2);
}
