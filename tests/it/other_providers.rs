//! Presets of other providers through the front door, in front of a stub with their paths: what is peculiar to each.

use serde_json::{Value, json};
use tollgate::event::Trigger;

use crate::world::{Idp, keys};

#[tokio::test]
async fn where_issuers_share_a_token_endpoint_the_tokens_name_theirs() {
    let idp = Idp::authentik().await;
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    idp.hands_out(idp.good_tokens());
    let answer = idp.redeem().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let jwks = idp.get(idp.endpoints().jwks).send().await.json();
    for name in ["access_token", "id_token"] {
        let claims = keys::verified(answer.json()[name].as_str().unwrap(), &jwks);
        assert_eq!(
            (&claims["plan"], &claims["iss"]),
            (&json!("gold"), &json!(idp.issuer)),
            "{name}"
        );
    }

    // Another application, which the provider does not have, and another provider.
    for issuer in [
        idp.issuer.replace("/app", "/other"),
        "https://elsewhere.example/application/o/app".to_owned(),
    ] {
        let mut claims = idp.access_claims();
        claims["iss"] = json!(issuer);
        idp.hands_out(json!({"access_token": idp.key.sign(&claims), "token_type": "Bearer"}));
        let answer = idp.redeem().await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(!answer.text().contains("eyJ"), "{}", answer.text());
    }
}

#[tokio::test]
async fn the_same_endpoint_in_another_place_is_asked_about_as_well() {
    let idp = Idp::authentik().await;
    idp.hook.deny(Trigger::PreSessionCreation, "No");
    let tokens = idp.good_tokens();
    let reply = tokens.to_string();
    idp.stub.fate(
        "/login/oauth/access_token",
        crate::world::Fate::Answer(200, "application/json", reply),
    );
    let form = [("grant_type", "authorization_code"), ("code", "code-1")];
    let call = idp.post("/login/oauth/access_token").basic("web", "web-secret");
    let answer = call.form(&form).send().await;
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("access_denied")));
}

#[tokio::test]
async fn a_denied_step_of_an_enrollment_is_a_challenge_that_the_flow_page_shows() {
    let idp = Idp::authentik().await;
    idp.hook.deny(Trigger::PreSignup, "Work addresses only");
    let path = "/api/v3/flows/executor/default-enrollment-flow/";
    let step = json!({"component": "ak-stage-prompt", "email": "ada@example.com", "name": "Ada"});
    let answer = idp.post(path).json(&step).send().await;
    assert_eq!(answer.json()["component"], "ak-stage-access-denied");
    assert_eq!(answer.json()["error_message"], "Work addresses only");
    assert_eq!(
        idp.hook.event(Trigger::PreSignup)["data"]["user"]["email"],
        "ada@example.com"
    );
    assert!(idp.stub.at(path).is_empty());

    let login = json!({"component": "ak-stage-identification", "uid_field": "ada"});
    let answer = idp
        .post("/api/v3/flows/executor/default-authentication-flow/")
        .json(&login)
        .send()
        .await;
    assert_eq!(answer.status, 200, "a login is no signup");
}

#[tokio::test]
async fn one_call_by_rest_by_connect_and_in_binary_has_no_way_around() {
    let idp = Idp::at_root("zitadel").await;
    idp.hook.deny(Trigger::PreUserInvitation, "No seats left");
    let person = json!({"username": "ada", "email": {"email": "ada@example.com"}});
    let rest = idp.post("/v2/users/human").json(&person).send().await;
    assert_eq!((rest.status, &rest.json()["code"]), (403, &json!(7)));
    let connect = "/zitadel.user.v2.UserService/AddHumanUser";
    let answer = idp.post(connect).json(&person).send().await;
    assert_eq!(
        (answer.status, answer.json()),
        (403, json!({"code": "permission_denied", "message": "No seats left"}))
    );
    assert_eq!(idp.hook.asked(Trigger::PreUserInvitation).len(), 2);
    for binary in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web+proto",
        "application/proto",
    ] {
        let answer = idp.post(connect).body(binary, "\0\0\0\0\x04\x0a\x02hi").send().await;
        assert_eq!(answer.status, 415, "{binary}");
    }
    let framed = idp
        .post(connect)
        .body("application/grpc-web+json", "\0\0\0\0\x02{}")
        .send()
        .await;
    assert_eq!(framed.status, 400);
    assert!(idp.stub.at(connect).is_empty() && idp.stub.at("/v2/users/human").is_empty());
}

#[tokio::test]
async fn a_form_that_is_read_without_regard_to_case_is_judged_so() {
    let idp = Idp::at_root("zitadel").await;
    let path = "/ui/login/register";
    idp.hook.reply(
        Trigger::PreSignup,
        crate::world::Reply::Json(json!({"decision": "ALLOW"})),
    );
    let answer = idp
        .post(path)
        .form(&[("EMail", "ada@example.com"), ("FirstName", "Ada")])
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let user: Value = idp.hook.event(Trigger::PreSignup)["data"]["user"].clone();
    assert_eq!(
        (&user["email"], &user["given_name"]),
        (&json!("ada@example.com"), &json!("Ada"))
    );
    let reached = &idp.stub.at(path)[0];
    assert_eq!(reached.field("email").as_deref(), Some("ada@example.com"));
    assert_eq!(reached.field("EMail"), None);

    let twice = idp
        .post(path)
        .form(&[("email", "ada@example.com"), ("Email", "eve@example.com")])
        .send()
        .await;
    assert_eq!(twice.status, 400);
    assert_eq!(idp.stub.at(path).len(), 1);
}
