//! Tokens on their way back: the client shows what it holds, the upstream sees what it made.

use serde_json::json;
use tollgate::event::Trigger;

use crate::world::{CALLBACK, Fate, Idp, Setup, World, keys};

async fn world() -> World {
    let world = World::start("").await;
    world
        .hook
        .claims(Trigger::PreSessionCreation, json!({"plan": "gold", "seats": 40}));
    world
}

#[tokio::test]
async fn userinfo_works_with_the_token_that_the_client_holds() {
    let world = world().await;
    let tokens = world.log_in().await;
    let by_header = world.get("/userinfo").bearer(&tokens.access).send().await;
    assert_eq!(by_header.status, 200, "{by_header:?}");
    assert_eq!(by_header.json()["email"], "ada@example.com");

    let seen = world.provider.requests().pop().unwrap();
    let original = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    assert!(world.provider.issued().iter().any(|token| token == original));
}

#[tokio::test]
async fn introspection_shows_the_claims_of_the_token_that_the_client_holds() {
    let world = world().await;
    let tokens = world.log_in().await;
    let answer = world
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", &tokens.access)])
        .send()
        .await
        .json();
    assert_eq!(answer["active"], true);
    assert_eq!((&answer["plan"], &answer["seats"]), (&json!("gold"), &json!(40)));
    assert_eq!(answer["sub"], "ada");
    let seen = world.provider.requests().pop().unwrap().field("token").unwrap();
    assert!(world.provider.issued().contains(&seen));
}

#[tokio::test]
async fn a_revoked_token_is_revoked_at_the_upstream_and_shows_no_claims() {
    let world = world().await;
    let tokens = world.log_in().await;
    let revoked = world
        .post("/revoke")
        .basic("web", "web-secret")
        .form(&[("token", &tokens.access), ("token_type_hint", "access_token")])
        .send()
        .await;
    assert_eq!(revoked.status, 200);
    assert_eq!(world.provider.revoked().len(), 1);
    let answer = world
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", &tokens.access)])
        .send()
        .await
        .json();
    assert_eq!(answer, json!({"active": false}));
    assert_eq!(world.get("/userinfo").bearer(&tokens.access).send().await.status, 401);
}

#[tokio::test]
async fn logout_takes_the_id_token_that_the_client_holds_in_query_and_form() {
    for by_form in [false, true] {
        let world = world().await;
        let tokens = world.log_in().await;
        let fields = [
            ("id_token_hint", tokens.id.as_str()),
            ("post_logout_redirect_uri", CALLBACK),
            ("state", "s1"),
        ];
        let answer = if by_form {
            world.post("/logout").form(&fields).send().await
        } else {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            world.get(&format!("/logout?{query}")).send().await
        };
        assert_eq!(answer.status, 303, "{answer:?}");
        assert_eq!(answer.location_parameter("state").as_deref(), Some("s1"));
        for token in world.provider.issued() {
            assert!(!world.provider.token_is_active(&token));
        }
    }
}

#[tokio::test]
async fn an_invitation_is_made_with_the_token_that_the_client_holds_and_names_its_maker() {
    let world = world().await;
    let tokens = world.log_in().await;
    let answer = world.invite(&tokens.access, "guest@example.com").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(world.provider.has_user("guest@example.com"));
    let event = world.hook.event(Trigger::PreUserInvitation);
    assert_eq!(event["data"]["inviter"]["id"], "ada");
    assert_eq!(event["data"]["inviter"]["email"], "ada@example.com");
    assert_eq!(event["data"]["user"]["email"], "guest@example.com");
}

#[tokio::test]
async fn a_path_that_nobody_recognises_gets_the_upstreams_token_as_well() {
    let world = world().await;
    let tokens = world.log_in().await;
    world.get("/api/users").bearer(&tokens.access).send().await;
    let seen = world.provider.requests().pop().unwrap();
    let original = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    assert!(world.provider.issued().iter().any(|token| token == original));
}

#[tokio::test]
async fn a_token_of_ours_that_was_tampered_with_is_refused_everywhere() {
    let world = world().await;
    let tokens = world.log_in().await;
    let mut parts: Vec<String> = tokens.access.split('.').map(str::to_owned).collect();
    let mut claims = keys::claims(&tokens.access);
    claims.insert("sub".into(), json!("grace"));
    parts[1] = keys::b64(serde_json::to_string(&claims).unwrap().as_bytes());
    let forged = parts.join(".");
    world.provider.forget_requests();

    let userinfo = world.get("/userinfo").bearer(&forged).send().await;
    assert_eq!(userinfo.status, 401);
    assert!(userinfo.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(world.invite(&forged, "guest@example.com").await.status, 401);
    assert_eq!(world.get("/api/users").bearer(&forged).send().await.status, 401);
    let introspected = world
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", &forged)])
        .send()
        .await;
    assert!(
        introspected.status == 401 || introspected.json() == json!({"active": false}),
        "{introspected:?}"
    );
    assert!(world.provider.requests().is_empty(), "{:?}", world.provider.requests());
}

#[tokio::test]
async fn the_id_token_is_no_access_token() {
    let world = world().await;
    let tokens = world.log_in().await;
    let answer = world.get("/userinfo").bearer(&tokens.id).send().await;
    assert_eq!(answer.status, 401, "{answer:?}");
}

#[tokio::test]
async fn a_jwt_in_an_introspection_answer_that_nobody_asked_for_is_taken_out() {
    let idp = Idp::generic(Setup::generic()).await;
    let answer = json!({"active": true, "jwt": "eyJ.of.upstream"});
    idp.stub
        .fate("/introspect", Fate::Answer(200, "application/json", answer.to_string()));
    let answer = idp
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", "opaque")])
        .send()
        .await;
    assert_eq!(answer.json(), json!({"active": true}));
}
