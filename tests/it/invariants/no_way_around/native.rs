//! Ways to slip the upstream's own token past the proxy: what a lenient server would read as a bearer token, too.

use serde_json::json;
use tollgate::demo::provider::TOKEN_EXCHANGE;

use super::FORM;
use crate::world::{Idp, Setup, World, client::status};

/// A token that the upstream signed for clients and nobody was asked about.
async fn idp() -> (Idp, String) {
    let idp = Idp::keycloak().await;
    let native = idp.key.sign(&idp.access_claims());
    (idp, native)
}

#[tokio::test]
async fn however_authorization_is_spelled() {
    let (idp, native) = idp().await;
    let userinfo = idp.endpoints().userinfo;
    for path in ["/admin/realms/tg/clients", "/realms/tg/account", userinfo] {
        for (why, lines) in [
            ("as it is", format!("Authorization: Bearer {native}\n")),
            ("lower case", format!("authorization: bearer {native}\n")),
            ("a tab", format!("Authorization: Bearer\t{native}\n")),
            ("a tab and spaces", format!("Authorization: Bearer \t  {native}  \n")),
            ("DPoP", format!("Authorization: DPoP {native}\n")),
            (
                "behind another",
                format!("Authorization: Basic eDp5\nAuthorization: Bearer {native}\n"),
            ),
            (
                "in front of another",
                format!("Authorization: Bearer {native}\nAuthorization: Basic eDp5\n"),
            ),
            (
                "behind an opaque one",
                format!("Authorization: Bearer x\nAuthorization: Bearer {native}\n"),
            ),
            ("in a list", format!("Authorization: Bearer x, Bearer {native}\n")),
            ("with more behind it", format!("Authorization: Bearer {native} x\n")),
        ] {
            let head = format!("GET {path} HTTP/1.1\nHost: {{host}}\nConnection: close\n{lines}");
            let answer = idp.raw(&head, b"").await;
            assert!(matches!(status(&answer), 400 | 401), "{path}, {why}: {answer}");
        }
        assert!(idp.stub.at(path).is_empty(), "{path}: {:?}", idp.stub.at(path));
    }
}

#[tokio::test]
async fn in_no_parameter_of_userinfo() {
    let (idp, native) = idp().await;
    let path = idp.endpoints().userinfo;
    let body = format!("access_token={native}");
    for answer in [
        idp.get(&format!("{path}?access_token={native}")).send().await,
        idp.post(path).body(FORM, body.clone()).send().await,
        idp.post(&format!("{path}?access_token={native}")).send().await,
        idp.post(path).bearer("opaque").body(FORM, body).send().await,
    ] {
        assert!(matches!(answer.status, 400 | 401), "{answer:?}");
    }
    assert!(idp.stub.at(path).is_empty());
}

#[tokio::test]
async fn neither_as_the_subject_nor_as_the_actor_of_an_exchange() {
    let world = World::start("").await;
    let ours = world.log_in().await.access;
    let native = world
        .provider
        .issued()
        .into_iter()
        .find(|token| token.contains('.'))
        .unwrap();
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    for (subject, actor) in [(&native, &ours), (&ours, &native), (&native, &native)] {
        let issued = world.provider.issued().len();
        let answer = world
            .post("/token")
            .basic("web", "web-secret")
            .form(&[
                ("grant_type", TOKEN_EXCHANGE),
                ("subject_token", subject),
                ("subject_token_type", kind),
                ("actor_token", actor),
                ("actor_token_type", kind),
            ])
            .send()
            .await;
        assert!(matches!(answer.status, 400 | 401), "{answer:?}");
        assert_eq!(world.provider.issued().len(), issued, "the upstream took it");
    }
}

#[tokio::test]
async fn in_no_grant_that_acts_for_a_token() {
    let (idp, native) = idp().await;
    for name in ["subject_token", "actor_token", "assertion", "claim_token", "rpt"] {
        let answer = idp
            .grant(&[
                ("grant_type", "urn:ietf:params:oauth:grant-type:uma-ticket"),
                (name, &native),
            ])
            .await;
        assert!(matches!(answer.status, 400 | 401), "{name}: {answer:?}");
    }
    let with_bearer = idp
        .post(idp.endpoints().token)
        .bearer(&native)
        .form(&[("grant_type", "urn:ietf:params:oauth:grant-type:uma-ticket")]);
    assert_eq!(with_bearer.send().await.status, 401);
    assert!(idp.stub.at(idp.endpoints().token).is_empty());
}

#[tokio::test]
async fn to_no_rest_interface() {
    let (idp, native) = idp().await;
    for (method, path) in [
        ("GET", "/admin/realms/tg/users"),
        ("POST", "/admin/realms/tg/users"),
        ("GET", "/realms/tg/account/credentials"),
        ("POST", "/realms/tg/clients-registrations/default"),
        ("GET", "/realms/tg/broker/google/token"),
        ("GET", "/realms/tg/authz/protection/resource_set"),
        ("POST", "/realms/tg/scim/v2/Users"),
        ("GET", "/nobody/knows/this"),
    ] {
        let body = json!({"email": "guest@example.com"});
        let answer = idp.call(method, path).bearer(&native).json(&body).send().await;
        assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
        assert!(idp.stub.at(path).is_empty(), "{method} {path}");
    }
    assert!(idp.hook.all().is_empty());
}

/// It gives nobody anything, and what is to end should end.
#[tokio::test]
async fn but_it_may_end_itself_and_its_session() {
    let (idp, native) = idp().await;
    let endpoints = idp.endpoints();
    let revoked = idp.post(endpoints.revoke).form(&[("token", &native)]).send().await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(idp.stub.at(endpoints.revoke)[0].field("token"), Some(native.clone()));
    for logout in [
        idp.get(&format!("{}?id_token_hint={native}", endpoints.logout)),
        idp.post(endpoints.logout).form(&[("id_token_hint", &native)]),
    ] {
        assert_eq!(logout.send().await.status, 200);
    }
    assert_eq!(idp.stub.at(endpoints.logout).len(), 2);
}

#[tokio::test]
async fn while_an_operator_migrates_it_is_taken_everywhere_and_counted() {
    let idp = Idp::keycloak_with(Setup::keycloak().section("tokens", "require_reissued = false")).await;
    let native = idp.key.sign(&idp.access_claims());
    let path = idp.endpoints().userinfo;
    for call in [
        idp.get(path).bearer(&native),
        idp.post(path).form(&[("access_token", &native)]),
        idp.get("/admin/realms/tg/users").bearer(&native),
    ] {
        assert_eq!(call.send().await.status, 200);
    }
    let active = json!({"active": true, "sub": "u-1"});
    idp.stub.fate(
        idp.endpoints().introspect,
        crate::world::Fate::Answer(200, "application/json", active.to_string()),
    );
    let answer = idp
        .post(idp.endpoints().introspect)
        .form(&[("token", &native)])
        .send()
        .await;
    assert_eq!(answer.json(), active);
    assert!(crate::world::log::text().contains("native_tokens=1"));
}

#[tokio::test]
async fn a_token_is_not_fetched_by_another_method() {
    for idp in [Idp::generic(Setup::generic()).await, Idp::keycloak().await] {
        let path = idp.endpoints().token;
        idp.hands_out(idp.good_tokens());
        let grant = "grant_type=client_credentials&client_id=web&client_secret=web-secret";
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "QUERY", "get", "Post"] {
            for target in [path.to_owned(), format!("{path}/"), format!("{path}?{grant}")] {
                let answer = idp.call(method, &target).body(FORM, grant).send().await;
                assert!((400..=501).contains(&answer.status), "{method} {target}: {answer:?}");
            }
        }
        assert!(idp.stub.at(path).is_empty(), "{:?}", idp.stub.at(path));
        // A browser asks before it posts; an upstream that would answer that with tokens is stopped.
        for (tokens, status) in [(json!({}), 200), (idp.good_tokens(), 502)] {
            idp.hands_out(tokens);
            let preflight = idp
                .call("OPTIONS", path)
                .header("origin", "https://app.example.com")
                .send()
                .await;
            assert_eq!(preflight.status, status, "{preflight:?}");
            assert!(!preflight.text().contains("eyJ"), "{preflight:?}");
        }
        assert_eq!(idp.stub.at(path)[0].method, "OPTIONS");
    }
}

#[tokio::test]
async fn an_opaque_token_is_held_as_well() {
    let (idp, _) = idp().await;
    idp.hook.deny(tollgate::event::Trigger::PreSessionCreation, "No");
    idp.hands_out(json!({"access_token": "opaque", "token_type": "Bearer"}));
    let answer = idp.redeem().await;
    assert_eq!(answer.json()["error"], "access_denied", "{answer:?}");
}
