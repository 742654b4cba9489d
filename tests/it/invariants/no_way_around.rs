//! Invariant 2: A request that the upstream would act on as signup, token or invitation never passes unrecognised. Here in front of
//! the demo provider, which reads forms and multipart bodies; below in front of Keycloak's paths.

mod front_channel;
mod keycloak;
mod native;
mod signup;

use serde_json::json;
use tollgate::event::Trigger;

use crate::world::{World, client::status};

/// A provider in front of which every signup, invitation and token is denied: whatever gets an effect went around.
async fn closed() -> World {
    let world = World::start("").await;
    for trigger in Trigger::ALL {
        world.hook.deny(trigger, "No");
    }
    world
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn an_invitation_in_any_json_is_consulted_or_refused() {
    let world = World::start("").await;
    let token = world.log_in().await.access;
    world.hook.deny(Trigger::PreUserInvitation, "No");
    let post = |content_type: &'static str, body: Vec<u8>| {
        let call = world.post("/api/users").bearer(&token);
        call.body(content_type, body).send()
    };
    for (n, body) in [
        "{\"email\": \"eve@example.com\"}",
        "{\"\\u0065mail\": \"eve@example.com\"}",
        " \r\n\t{ \"email\" : \"eve@example.com\" } \n",
        "{\"email\": \"\\u0065ve@example.com\", \"name\": null}",
    ]
    .into_iter()
    .enumerate()
    {
        let answer = post("application/json", body.into()).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.json()["error"], "access_denied");
        assert_eq!(world.hook.asked(Trigger::PreUserInvitation).len(), n + 1);
        let event = world.hook.event(Trigger::PreUserInvitation);
        assert_eq!(event["data"]["user"]["email"], "eve@example.com", "{body}");
    }
    let asked = world.hook.asked(Trigger::PreUserInvitation).len();
    let utf16: Vec<u8> = "{\"email\":\"eve@example.com\"}"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    for (why, content_type, body) in [
        (
            "in other letters",
            "application/json",
            b"{\"email\":\"a@example.com\",\"EMAIL\":\"eve@example.com\"}".to_vec(),
        ),
        (
            "twice",
            "application/json",
            b"{\"email\":\"a@example.com\",\"email\":\"eve@example.com\"}".to_vec(),
        ),
        (
            "twice, escaped",
            "application/json",
            b"{\"email\":\"a@example.com\",\"\\u0065mail\":\"eve@example.com\"}".to_vec(),
        ),
        (
            "a second document",
            "application/json",
            b"{\"email\":\"eve@example.com\"} {}".to_vec(),
        ),
        (
            "a byte-order mark",
            "application/json",
            b"\xef\xbb\xbf{\"email\":\"eve@example.com\"}".to_vec(),
        ),
        ("UTF-16", "application/json", utf16),
        (
            "charset",
            "application/json; charset=utf-16",
            b"{\"email\":\"eve@example.com\"}".to_vec(),
        ),
        (
            "no UTF-8",
            "application/json",
            b"{\"email\":\"eve\xff@example.com\"}".to_vec(),
        ),
        (
            "a comment",
            "application/json",
            b"{/**/\"email\":\"eve@example.com\"}".to_vec(),
        ),
        (
            "single quotes",
            "application/json",
            b"{'email':'eve@example.com'}".to_vec(),
        ),
        (
            "a trailing comma",
            "application/json",
            b"{\"email\":\"eve@example.com\",}".to_vec(),
        ),
        ("a form", FORM, b"email=eve%40example.com".to_vec()),
        ("text", "text/json", b"{\"email\":\"eve@example.com\"}".to_vec()),
        ("nothing", "application/json", Vec::new()),
        (
            "deep",
            "application/json",
            [b"[".repeat(10_000), b"]".repeat(10_000)].concat(),
        ),
    ] {
        let answer = post(content_type, body).await;
        assert!(matches!(answer.status, 400 | 415), "{why}: {answer:?}");
        assert_eq!(answer.json()["error"], "invalid_request", "{why}");
    }
    assert_eq!(world.hook.asked(Trigger::PreUserInvitation).len(), asked);
    assert_eq!(world.arrived("/api/users"), 0);
}

#[tokio::test]
async fn a_token_request_in_any_spelling_is_held_or_refused() {
    let world = closed().await;
    let grant = "grant_type=client_credentials&client_id=batch&client_secret=batch-secret";
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"client_id\"\r\n\r\nbatch\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"client_secret\"\r\n\r\nbatch-secret\r\n--b--\r\n";
    for (n, (why, path, content_type, body)) in [
        ("as it is", "/token", FORM, grant),
        ("trailing slash", "/token/", FORM, grant),
        ("upper case", "/TOKEN", FORM, grant),
        (
            "encoded names",
            "/token",
            FORM,
            "%67rant_type=client%5fcredentials&client_id=batch&client_secret=batch-secret",
        ),
        ("multipart", "/token", "multipart/form-data; boundary=b", multipart),
    ]
    .into_iter()
    .enumerate()
    {
        let before = world.provider.issued().len();
        let answer = world.post(path).body(content_type, body).send().await;
        // Where the provider itself does not know the spelling there is no token to ask about.
        if world.provider.issued().len() > before {
            assert_eq!(answer.json()["error"], "access_denied", "{why}: {answer:?}");
        } else {
            assert_eq!(answer.status, 404, "{n} {why}: {answer:?}");
        }
    }
    let issued = world.provider.issued().len();
    for (why, path, content_type, body) in [
        (
            "grant twice",
            "/token",
            FORM,
            "grant_type=password&grant_type=client_credentials&client_id=batch&client_secret=batch-secret",
        ),
        ("grant in the query too", "/token?grant_type=password", FORM, grant),
        (
            "secret twice",
            "/token",
            FORM,
            "grant_type=client_credentials&client_id=batch&client_secret=x&client_secret=batch-secret",
        ),
        (
            "JSON",
            "/token",
            "application/json",
            "{\"grant_type\":\"client_credentials\"}",
        ),
        ("no type", "/token", "", grant),
        (
            "`;`",
            "/token",
            FORM,
            "a=1;grant_type=client_credentials&client_id=batch&client_secret=batch-secret",
        ),
        (
            "a byte-order mark",
            "/token",
            FORM,
            "%EF%BB%BFgrant_type=x&grant_type=client_credentials&client_id=batch&client_secret=batch-secret",
        ),
    ] {
        let header = if content_type.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {content_type}\n")
        };
        let answer = raw_post(&world, path, &header, body).await;
        assert!(matches!(status(&answer), 400 | 415), "{why}: {answer}");
    }
    assert_eq!(world.provider.issued().len(), issued, "a token was made");
    for token in world.provider.issued() {
        crate::world::until("it is revoked", || async { !world.provider.token_is_active(&token) }).await;
    }
}

#[tokio::test]
async fn two_clients_in_one_request_are_refused() {
    let world = closed().await;
    let answer = world
        .post("/token")
        .basic("batch", "batch-secret")
        .form(&[("grant_type", "client_credentials"), ("client_id", "web")])
        .send()
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "invalid_request");
    assert_eq!(world.arrived("/token"), 0);
}

#[tokio::test]
async fn a_grant_that_nobody_knows_is_a_session() {
    let idp = crate::world::Idp::generic(crate::world::Setup::generic()).await;
    idp.hands_out(idp.good_tokens());
    idp.hook.deny(Trigger::PreSessionCreation, "No");
    for grant in [
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:uma-ticket",
        "urn:openid:params:grant-type:ciba",
        "urn:example:new",
        "CLIENT_CREDENTIALS",
        "",
    ] {
        let asked = idp.hook.asked(Trigger::PreSessionCreation).len();
        let answer = idp.grant(&[("grant_type", grant)]).await;
        assert_eq!(answer.json()["error"], "access_denied", "{grant}: {answer:?}");
        assert_eq!(idp.hook.asked(Trigger::PreSessionCreation).len(), asked + 1);
    }
    assert_eq!(idp.grant(&[]).await.json()["error"], "access_denied");
    assert!(idp.hook.asked(Trigger::PreM2mTokenCreation).is_empty());
}

#[tokio::test]
async fn what_an_upstream_would_take_characters_out_of_is_refused() {
    let idp = crate::world::Idp::generic(crate::world::Setup::generic()).await;
    idp.hands_out(idp.good_tokens());
    // Keycloak drops control characters wherever they are in a value, Hydra spaces around it: another trigger than that of the name.
    for grant in [
        "client_credentials\n",
        "client_\u{1}credentials",
        "\tclient_credentials",
        "client_credentials\u{7f}",
        "client_credentials ",
        "client_credentials\u{a0}",
    ] {
        let answer = idp.grant(&[("grant_type", grant)]).await;
        assert_eq!(answer.status, 400, "{grant:?}: {answer:?}");
        assert_eq!(answer.json()["error"], "invalid_request", "{grant:?}");
    }
    let answer = idp
        .grant(&[("grant_type", "client_credentials"), ("scope", "a\nb")])
        .await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let world = closed().await;
    let answer = world.sign_up("eve\n@example.com").await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(world.hook.asked(Trigger::PreSignup).is_empty() && idp.hook.all().is_empty());
}

#[tokio::test]
async fn an_address_with_two_domains_is_not_let_through() {
    let world = World::start("").await;
    for email in [
        "eve@example.com@evil.example",
        "\"eve@evil.example\"@example.com, x@evil.example",
    ] {
        let answer = world.sign_up(email).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert!(!world.provider.has_user(email));
    }
    assert_eq!(world.provider.users().len(), 3);
    assert_eq!(json!(world.arrived("/signup")), 0);
}

/// A POST as it is, path and all.
async fn raw_post(world: &World, path: &str, headers: &str, body: &str) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\nHost: {{host}}\nConnection: close\n{headers}Content-Length: {}\n",
        body.len()
    );
    world.raw(&head, body.as_bytes()).await
}
