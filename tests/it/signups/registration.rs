//! Clients that register themselves (RFC 7591).

use serde_json::json;
use tollgate::event::Trigger;

use crate::world::{Fate, Idp, Setup};

const PATH: &str = "/realms/tg/clients-registrations/openid-connect";

#[tokio::test]
async fn a_denied_client_is_not_registered_and_reads_an_error_of_rfc_7591() {
    let idp = Idp::keycloak().await;
    idp.hook.deny(Trigger::PreClientRegistration, "Not from there");
    let metadata = json!({"client_name": "Weather", "redirect_uris": ["http://127.0.0.1:1/cb"], "grant_types": ["authorization_code"],
        "client_secret": "canary-of-a-client", "jwks": {"keys": []}, "software_statement": "eyJ.eyJ.x"});
    let answer = idp.post(PATH).json(&metadata).send().await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json(),
        json!({"error": "invalid_client_metadata", "error_description": "Not from there"})
    );
    let event = idp.hook.event(Trigger::PreClientRegistration);
    assert_eq!(
        event["data"],
        json!({"client": {"client_name": "Weather", "redirect_uris": ["http://127.0.0.1:1/cb"], "grant_types": ["authorization_code"]}})
    );
    assert_eq!(event["interceptor_context"]["realm"], "tg");
    assert!(idp.stub.at(PATH).is_empty());
}

#[tokio::test]
async fn a_later_change_and_every_other_way_to_register_is_asked_about_or_refused() {
    let idp = Idp::keycloak().await;
    idp.hook.deny(Trigger::PreClientRegistration, "No");
    for (method, path, asked) in [
        ("PUT", format!("{PATH}/c-1"), 1),
        ("POST", "/realms/tg/clients-registrations/default".to_owned(), 2),
        ("PUT", "/realms/tg/clients-registrations/default/c-1".to_owned(), 3),
        (
            "POST",
            "/realms/tg/clients-registrations/saml2-entity-descriptor".to_owned(),
            3,
        ),
        ("POST", "/realms/tg/clients-registrations/of-an-extension".to_owned(), 3),
        ("POST", format!("{PATH}/"), 4),
        ("POST", PATH.to_uppercase().replace("/TG/", "/tg/"), 5),
    ] {
        let answer = idp.call(method, &path).json(&json!({"clientId": "c-1"})).send().await;
        assert_eq!(answer.status, 400, "{method} {path}");
        assert_eq!(answer.json()["error"], "invalid_client_metadata");
        assert_eq!(
            idp.hook.asked(Trigger::PreClientRegistration).len(),
            asked,
            "{method} {path}"
        );
    }
    let reached = idp.stub.arrivals();
    assert!(reached.iter().all(|a| !a.path().contains("clients-registrations")));
}

#[tokio::test]
async fn an_allowed_client_gets_the_upstreams_answer_as_it_is() {
    let idp = Idp::keycloak().await;
    let text = "{\"client_id\" : \"c-1\",\"registration_access_token\":\"eyJhbGciOiJIUzUxMiJ9.e30.x\"}";
    idp.stub.fate(PATH, Fate::Answer(201, "application/json", text.into()));
    let metadata = json!({"client_name": "Weather", "x_other": {"kept": [1, 2.50]}});
    let answer = idp.post(PATH).json(&metadata).send().await;
    assert_eq!(
        (answer.status, answer.text()),
        (201.try_into().unwrap(), text.to_owned())
    );
    assert_eq!(idp.stub.at(PATH)[0].text(), metadata.to_string());
}

#[tokio::test]
async fn where_no_interceptor_asks_for_it_registration_streams_through() {
    let idp = Idp::keycloak_with(Setup::keycloak().only(&[Trigger::PreSessionCreation])).await;
    for body in ["{\"a\":1,\"a\":2}", "no JSON at all"] {
        let answer = idp.post(PATH).body("application/json", body).send().await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(idp.stub.at(PATH)[1].text(), "no JSON at all");
}
