//! Sessions of a provider's own, beside OpenID Connect: found in its answers, and asked about before a client has them.

use axum::{body::Body, response::Response};
use serde_json::{Value, json};
use tollgate::event::Trigger;

use crate::world::{Fate, Idp, until};

const LOGIN: &str = "/self-service/login";
const WHO: &str = "/sessions/whoami";

fn session() -> Value {
    json!({
        "id": "s-1",
        "authenticator_assurance_level": "aal1",
        "authentication_methods": [{"method": "password"}],
        "identity": {"id": "u-1", "traits": {"email": "ada@example.com"}},
    })
}

/// The provider answers a path with this document from now on.
fn says(idp: &Idp, path: &str, status: u16, document: &Value) {
    let fate = Fate::Answer(status, "application/json", document.to_string());
    idp.stub.fate(path, fate);
}

/// A login of a browser ends with a redirect and this cookie.
fn gives_cookie(idp: &Idp, path: &str, cookie: &'static str) {
    idp.stub.fate(
        path,
        Fate::by(move |_| {
            let response = Response::builder()
                .status(303)
                .header("location", "https://app.example/");
            response
                .header("set-cookie", "csrf_token=abc; Path=/")
                .header("set-cookie", cookie)
                .body(Body::empty())
                .unwrap()
        }),
    );
}

#[tokio::test]
async fn a_session_token_is_asked_about_with_what_the_provider_says_of_its_session() {
    let idp = Idp::at_root("ory").await;
    says(
        &idp,
        LOGIN,
        200,
        &json!({"session_token": "st-canary-1", "session": session()}),
    );
    let login = json!({"method": "password", "identifier": "eve@example.com"});
    let answer = idp.post(LOGIN).json(&login).send().await;
    assert_eq!(
        (answer.status, &answer.json()["session_token"]),
        (200, &json!("st-canary-1"))
    );
    let event = idp.hook.event(Trigger::PreSessionCreation);
    assert_eq!(event["data"]["user"]["email"], "ada@example.com");
    assert_eq!(event["interceptor_context"]["user_id"], "u-1");
    assert_eq!(
        event["data"]["session"],
        json!({"id": "s-1", "method": "password", "assurance": "aal1"})
    );
    assert!(!event.to_string().contains("canary"), "{event}");
    assert!(idp.stub.at(WHO).is_empty(), "the answer said it all");
}

#[tokio::test]
async fn a_denied_session_token_never_leaves_and_is_ended() {
    let idp = Idp::at_root("ory").await;
    idp.hook.deny(Trigger::PreSessionCreation, "Not today");
    says(
        &idp,
        LOGIN,
        200,
        &json!({"session_token": "st-canary-1", "session": session()}),
    );
    let answer = idp.post(LOGIN).json(&json!({"method": "password"})).send().await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["message"]),
        (403, &json!("Not today"))
    );
    assert!(!answer.text().contains("canary"));
    let end = "/self-service/logout/api";
    until("it is ended", || async { !idp.stub.at(end).is_empty() }).await;
    let ended = &idp.stub.at(end)[0];
    assert_eq!(
        (ended.method.as_str(), ended.text().as_str()),
        ("DELETE", "{\"session_token\":\"st-canary-1\"}")
    );
}

#[tokio::test]
async fn a_cookie_says_whose_it_is_through_the_provider() {
    let idp = Idp::at_root("ory").await;
    gives_cookie(&idp, LOGIN, "ory_kratos_session=canary-2; Path=/; HttpOnly");
    says(&idp, WHO, 200, &session());
    let form = [("identifier", "eve@example.com"), ("method", "password")];
    let login = || idp.post(LOGIN).header("accept", "text/html").form(&form);
    let answer = login().send().await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("https://app.example/"))
    );
    assert_eq!(
        idp.hook.event(Trigger::PreSessionCreation)["data"]["user"]["email"],
        "ada@example.com"
    );
    assert_eq!(
        idp.stub.at(WHO)[0].header("cookie"),
        Some("ory_kratos_session=canary-2")
    );

    idp.hook.deny(Trigger::PreSessionCreation, "Not today");
    let denied = login().send().await;
    assert_eq!((denied.status, denied.header("set-cookie")), (403, None));
    assert!(denied.text().contains("Not today") && !denied.text().contains("canary"));
}

#[tokio::test]
async fn a_session_is_found_wherever_a_flow_ends() {
    let idp = Idp::at_root("ory").await;
    idp.hook.deny(Trigger::PreSessionCreation, "Not today");
    says(&idp, WHO, 200, &session());
    let callback = "/self-service/methods/oidc/callback/other";
    gives_cookie(&idp, callback, "ory_session_slug=canary-3; Path=/");
    assert_eq!(idp.get(&format!("{callback}?code=c&state=s")).send().await.status, 403);
    let recovery = "/self-service/recovery";
    says(
        &idp,
        recovery,
        200,
        &json!({"state": "passed_challenge", "continue_with": [{"action": "set_ory_session_token", "ory_session_token": "st-canary-4"}]}),
    );
    assert_eq!(idp.post(recovery).json(&json!({"code": "1"})).send().await.status, 403);
    assert_eq!(
        idp.stub.at(WHO).last().unwrap().header("x-session-token"),
        Some("st-canary-4")
    );
    assert_eq!(idp.hook.asked(Trigger::PreSessionCreation).len(), 2);
    assert_eq!(idp.get("/sessions/whoami?tokenize_as=app").send().await.status, 400);
}

#[tokio::test]
async fn what_is_no_session_passes_and_nobody_is_asked() {
    let idp = Idp::at_root("ory").await;
    idp.hook.deny(Trigger::PreSessionCreation, "Not today");
    says(&idp, WHO, 200, &session());
    assert_eq!(
        idp.get(WHO).send().await.json(),
        session(),
        "a session that is there already"
    );
    gives_cookie(&idp, "/self-service/logout", "ory_kratos_session=; Max-Age=0");
    assert_eq!(idp.get("/self-service/logout?token=t").send().await.status, 303);
    says(&idp, LOGIN, 400, &json!({"ui": {"messages": [{"text": "wrong"}]}}));
    assert_eq!(idp.post(LOGIN).json(&json!({})).send().await.status, 400);

    // A second factor is missing: the provider takes the cookie for no session.
    gives_cookie(&idp, LOGIN, "ory_kratos_session=half; Path=/");
    says(&idp, WHO, 403, &json!({"error": {"id": "session_aal2_required"}}));
    assert_eq!(idp.post(LOGIN).form(&[("method", "password")]).send().await.status, 303);
    assert!(idp.hook.asked(Trigger::PreSessionCreation).is_empty());
}

#[tokio::test]
async fn a_session_that_cannot_be_asked_about_does_not_pass() {
    let idp = Idp::at_root("ory").await;
    gives_cookie(&idp, LOGIN, "ory_kratos_session=canary-5; Path=/");
    let login = || idp.post(LOGIN).form(&[("method", "password")]);
    for (status, said) in [(500, json!({})), (404, json!({})), (200, json!({"id": "s-1"}))] {
        says(&idp, WHO, status, &said);
        let answer = login().send().await;
        assert_eq!((answer.status, answer.header("set-cookie")), (502, None), "{status}");
    }
    for body in [
        "{\"session_token\": \"canary\"",
        "{\"session_token\": \"\", \"session_token\": \"canary\"}",
    ] {
        let fate = Fate::Answer(200, "application/json", body.to_owned());
        idp.stub.fate(LOGIN, fate);
        let answer = login().send().await;
        assert_eq!(answer.status, 502, "{body}");
        assert!(!answer.text().contains("canary"));
    }
    assert!(idp.hook.asked(Trigger::PreSessionCreation).is_empty());
}

#[tokio::test]
async fn a_registration_is_asked_about_before_and_its_session_after() {
    let idp = Idp::at_root("ory").await;
    let path = "/self-service/registration";
    says(
        &idp,
        path,
        200,
        &json!({"session_token": "st-canary-6", "session": session(), "identity": {"id": "u-1"}}),
    );
    let person = json!({"method": "password", "password": "pw-canary", "traits": {"email": "ada@example.com"}});
    assert_eq!(idp.post(path).json(&person).send().await.status, 200);
    for trigger in [Trigger::PreSignup, Trigger::PreSessionCreation] {
        assert_eq!(idp.hook.asked(trigger).len(), 1, "{trigger}");
    }
    idp.hook.deny(Trigger::PreSignup, "Work addresses only");
    let denied = idp.post(path).json(&person).send().await;
    assert_eq!(
        (denied.status, &denied.json()["error"]["message"]),
        (403, &json!("Work addresses only"))
    );
    assert_eq!(idp.stub.at(path).len(), 1);
}
