//! SAML hands out sessions that no interceptor is asked about.

use tollgate::event::Trigger;

use crate::world::{Idp, Setup};

const PATHS: [(&str, &str); 4] = [
    ("GET", "/realms/tg/protocol/saml?SAMLRequest=x"),
    ("POST", "/realms/tg/protocol/saml/"),
    ("GET", "/realms/tg/protocol/SAML/clients/intranet"),
    ("POST", "/realms/tg/protocol/saml/resolve"),
];

async fn reached(setup: Setup) -> usize {
    let idp = Idp::keycloak_with(setup).await;
    for (method, path) in PATHS {
        let answer = idp.call(method, path).send().await;
        if answer.status != 200 {
            assert_eq!(answer.status, 400, "{path}");
            assert!(answer.text().contains("SAML is not served"), "{}", answer.text());
            assert!(answer.header("content-type").unwrap().starts_with("text/html"));
        }
    }
    let mut arrivals = idp.stub.arrivals();
    arrivals.retain(|a| a.path().to_lowercase().contains("/protocol/saml"));
    arrivals.len()
}

#[tokio::test]
async fn it_is_refused_where_a_session_interceptor_fails_closed() {
    assert_eq!(reached(Setup::keycloak()).await, 0);
}

#[tokio::test]
async fn it_passes_where_sessions_fail_open_or_nobody_asks_about_them() {
    let open = Setup::keycloak().policy(Trigger::PreSessionCreation, "on_failure = \"allow\"");
    assert_eq!(reached(open).await, PATHS.len());
    assert_eq!(
        reached(Setup::keycloak().only(&[Trigger::PreSignup])).await,
        PATHS.len()
    );
}

#[tokio::test]
async fn the_operator_has_the_last_word() {
    let allowed = Setup::keycloak().section("upstream", "saml = \"allow\"");
    assert_eq!(reached(allowed).await, PATHS.len());
    let blocked = Setup::keycloak()
        .only(&[Trigger::PreSignup])
        .section("upstream", "saml = \"block\"");
    assert_eq!(reached(blocked).await, 0);
}
