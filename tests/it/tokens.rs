//! Tokens on their way to the client: every grant, both tokens, the claims that an interceptor adds.

mod bound;
mod clocks;
mod corpus;
mod defects;
mod front_channel;
mod grants;
mod opaque;
mod outages;
mod refreshed;
mod restored;
mod statements;
mod transplants;
mod wraps;

use serde_json::json;
use tollgate::{
    demo::provider::{Algorithm, Client, DEVICE_CODE, TOKEN_EXCHANGE},
    event::Trigger,
};

use crate::world::{Answer, CALLBACK, Fate, Idp, Reply, Setup, Tokens, VERIFIER, World, keys, until};

#[tokio::test]
async fn a_code_login_brings_the_claims_in_both_tokens_and_each_verifies_with_a_key_from_discovery() {
    let world = World::start("").await;
    world
        .hook
        .claims(Trigger::PreSessionCreation, json!({"plan": "gold", "seats": 40}));
    let tokens = world.log_in().await;

    let jwks = world.jwks().await;
    let access = keys::verified(&tokens.access, &jwks);
    let id = keys::verified(&tokens.id, &jwks);
    for claims in [&access, &id] {
        assert_eq!(claims["plan"], "gold");
        assert_eq!(claims["seats"], 40);
        assert_eq!(claims["iss"], *world.url);
        assert_eq!(claims["sub"], "ada");
    }
    assert_eq!(id["at_hash"], *keys::half_hash(&tokens.access));
    assert_eq!(id["nonce"], "n-0S6_WzA2Mj");
    assert_eq!(tokens.answer["token_type"], "Bearer");
    assert_eq!(tokens.answer["expires_in"], 300);
}

#[tokio::test]
async fn all_else_in_a_token_stays_as_the_upstream_wrote_it() {
    let world = World::start("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let tokens = world.log_in().await;
    let mut originals = world.provider.issued();
    originals.retain(|token| token.contains('.'));
    for (ours, original) in [&tokens.access, &tokens.id].into_iter().zip(&originals) {
        let (mut ours, mut original) = (keys::claims(ours), keys::claims(original));
        assert_eq!(ours.shift_remove("plan"), Some(json!("gold")));
        assert!(ours.shift_remove("tgc").is_some(), "the capsule");
        // It is the hash of another token now.
        ours.shift_remove("at_hash");
        original.shift_remove("at_hash");
        assert_eq!(ours, original);
    }
}

#[tokio::test]
async fn tokens_are_signed_again_also_where_no_interceptor_applies() {
    let world = World::with(Setup::generic().only(&[])).await;
    let tokens = world.log_in().await;
    let jwks = world.jwks().await;
    keys::verified(&tokens.access, &jwks);
    let id = keys::verified(&tokens.id, &jwks);
    assert_eq!(id["at_hash"], *keys::half_hash(&tokens.access));
    assert!(!world.provider.issued().contains(&tokens.access));
    assert!(world.audit().is_empty(), "nobody decided anything");
}

#[tokio::test]
async fn an_interceptor_can_give_each_token_its_own_claims() {
    let world = World::start("").await;
    let answer = json!({"decision": "ALLOW", "response": {
        "claims": {"both": 1}, "access_token": {"claims": {"only_access": 2}}, "id_token": {"claims": {"only_id": 3}}
    }});
    world.hook.reply(Trigger::PreSessionCreation, Reply::Json(answer));
    let tokens = world.log_in().await;
    let (access, id) = (keys::claims(&tokens.access), keys::claims(&tokens.id));
    assert_eq!((&access["both"], &id["both"]), (&json!(1), &json!(1)));
    assert_eq!(
        (access.get("only_access"), access.get("only_id")),
        (Some(&json!(2)), None)
    );
    assert_eq!((id.get("only_access"), id.get("only_id")), (None, Some(&json!(3))));
}

#[tokio::test]
async fn the_event_of_a_session_says_who_got_what_from_verified_tokens() {
    let world = World::start("").await;
    let code = world.code("web").await;
    world
        .post("/token")
        .basic("web", "web-secret")
        .header("user-agent", "Relying/1.0")
        .form(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ])
        .send()
        .await;
    let event = world.hook.event(Trigger::PreSessionCreation);
    let context = &event["interceptor_context"];
    assert_eq!(event["display_name"], "PRE_SESSION_CREATION");
    for (field, value) in [
        ("environment_id", "test"),
        ("user_id", "ada"),
        ("user_email", "ada@example.com"),
        ("client_id", "web"),
        ("grant_type", "authorization_code"),
        ("ip_address", "127.0.0.1"),
        ("user_agent", "Relying/1.0"),
        ("issuer", &world.url),
        ("operation", "token"),
    ] {
        assert_eq!(context[field], value, "{field} in {context}");
    }
    assert_eq!(context["dry_run"], false);
    assert_eq!(context["auth_request"]["redirect_uri"], CALLBACK);
    assert_eq!(event["data"]["user"]["email"], "ada@example.com");
    assert_eq!(event["data"]["claims"]["id_token"]["nonce"], "n-0S6_WzA2Mj");
    assert_eq!(event["data"]["claims"]["access_token"]["azp"], "web");
}

#[tokio::test]
async fn a_refresh_asks_again_and_brings_new_claims() {
    let world = World::start("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let tokens = world.log_in().await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "lead"}));
    let refreshed = refresh(&world, &tokens.refresh).await;
    let refreshed = Tokens::of(&refreshed);

    let jwks = world.jwks().await;
    let (access, id) = (
        keys::verified(&refreshed.access, &jwks),
        keys::verified(&refreshed.id, &jwks),
    );
    assert_eq!((&access["plan"], &id["plan"]), (&json!("lead"), &json!("lead")));
    assert_eq!(id["at_hash"], *keys::half_hash(&refreshed.access));
    let asked = world.hook.asked(Trigger::PreSessionCreation);
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].event["interceptor_context"]["grant_type"], "refresh_token");
}

#[tokio::test]
async fn a_denied_refresh_ends_the_session_at_the_upstream() {
    let world = World::start("").await;
    let tokens = world.log_in().await;
    world.hook.deny(Trigger::PreSessionCreation, "Your plan has ended");
    let answer = refresh(&world, &tokens.refresh).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error_description"], "Your plan has ended");
    let newest = world.provider.issued().pop().unwrap();
    until("the new tokens are revoked", || async {
        !world.provider.token_is_active(&newest)
    })
    .await;
    world.hook.reply(Trigger::PreSessionCreation, Reply::Allow);
    assert_eq!(refresh(&world, &tokens.refresh).await.status, 400);
}

#[tokio::test]
async fn a_machine_token_gets_claims_another_scope_and_another_audience() {
    let setup = Setup::generic().policy(
        Trigger::PreM2mTokenCreation,
        "may_override = [\"scope\", \"aud\"]\non_failure = \"deny\"",
    );
    let world = World::with(setup).await;
    world.hook.claims(
        Trigger::PreM2mTokenCreation,
        json!({"scope": "reports:read", "aud": ["billing"], "tier": 3}),
    );
    let answer = world.machine_token("reports:read reports:write").await;
    let tokens = Tokens::of(&answer);
    let claims = keys::verified(&tokens.access, &world.jwks().await);
    assert_eq!(claims["scope"], "reports:read");
    assert_eq!(claims["aud"], json!(["billing"]));
    assert_eq!(claims["tier"], 3);
    // RFC 6749 §5.1: the client is told of a scope that is not the one it asked for.
    assert_eq!(tokens.answer["scope"], "reports:read");

    let event = world.hook.event(Trigger::PreM2mTokenCreation);
    assert_eq!(event["interceptor_context"]["client_id"], "batch");
    assert!(event["interceptor_context"].get("user_id").is_none());
    assert!(event["data"].get("user").is_none());
    let described = &event["data"]["m2m_token_claims"];
    assert_eq!(described["client_id"], "batch");
    assert_eq!(described["claims"]["scopes"], json!(["reports:read", "reports:write"]));
    assert_eq!(world.hook.all().len(), 1, "no session was asked about");
}

#[tokio::test]
async fn a_session_may_not_change_scope_or_audience() {
    for claims in [
        json!({"scope": "admin"}),
        json!({"aud": "billing"}),
        json!({"sub": "root"}),
    ] {
        let world = World::start("").await;
        world.hook.claims(Trigger::PreSessionCreation, claims);
        let code = world.code("web").await;
        let answer = world.redeem(&code).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let record = world.recorded("the verdict is recorded", |_| true).await;
        assert_eq!(record.entry.failure.unwrap().kind, "invalid");
    }
}

#[tokio::test]
async fn the_password_grant_is_a_session() {
    let world = World::start("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let answer = world
        .post("/token")
        .basic("web", "web-secret")
        .form(&[
            ("grant_type", "password"),
            ("username", "ada@example.com"),
            ("password", "correct-horse"),
            ("scope", "openid email"),
        ])
        .send()
        .await;
    let tokens = Tokens::of(&answer);
    assert_eq!(keys::verified(&tokens.id, &world.jwks().await)["plan"], "gold");
    let event = world.hook.event(Trigger::PreSessionCreation);
    assert_eq!(event["interceptor_context"]["user_id"], "ada");
    assert!(!event.to_string().contains("correct-horse"));
}

#[tokio::test]
async fn a_device_waits_unasked_and_its_tokens_are_a_session() {
    let world = World::start("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let begun = world
        .post("/device_authorization")
        .form(&[("client_id", "cli"), ("scope", "openid email")])
        .send()
        .await
        .json();
    let poll = || async {
        world
            .post("/token")
            .form(&[
                ("grant_type", DEVICE_CODE),
                ("client_id", "cli"),
                ("device_code", begun["device_code"].as_str().unwrap()),
            ])
            .send()
            .await
    };
    let pending = poll().await;
    assert_eq!(pending.json()["error"], "authorization_pending");
    assert!(world.hook.all().is_empty(), "an error hands out no token");

    world.let_device_in(begun["user_code"].as_str().unwrap()).await;
    let tokens = Tokens::of(&poll().await);
    assert_eq!(keys::verified(&tokens.id, &world.jwks().await)["plan"], "gold");
    let event = world.hook.event(Trigger::PreSessionCreation);
    assert_eq!(event["interceptor_context"]["grant_type"], DEVICE_CODE);
}

#[tokio::test]
async fn a_token_exchange_takes_our_tokens_and_gives_one_of_ours() {
    let world = World::start("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let (subject, actor) = (world.log_in().await.access, world.log_in().await.access);
    let answer = world
        .post("/token")
        .basic("web", "web-secret")
        .form(&[
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", &subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("actor_token", &actor),
            ("actor_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", "downstream"),
        ])
        .send()
        .await;
    let tokens = Tokens::of(&answer);
    let claims = keys::verified(&tokens.access, &world.jwks().await);
    assert_eq!(claims["aud"], "downstream");
    assert_eq!(claims["plan"], "gold");
    assert_eq!(claims["act"]["sub"], "ada");
    assert_eq!(
        tokens.answer["issued_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
}

#[tokio::test]
async fn a_client_registered_for_rs256_keeps_getting_rs256() {
    let world = World::populated(Setup::generic(), |mut options| {
        options.clients = vec![
            Client::confidential("web", "web-secret")
                .grants(&["authorization_code"])
                .scopes(&["openid", "profile", "email"])
                .redirect_uri(CALLBACK)
                .signed_with(Algorithm::Rs256),
        ];
        options
    })
    .await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let tokens = world.log_in().await;
    let jwks = world.jwks().await;
    for token in [&tokens.access, &tokens.id] {
        assert_eq!(keys::algorithm(token), jsonwebtoken::Algorithm::RS256);
        assert_eq!(keys::verified(token, &jwks)["plan"], "gold");
    }
}

#[tokio::test]
async fn a_chosen_algorithm_signs_all_tokens() {
    let world = World::with(Setup::generic().section("tokens", "algorithm = \"EdDSA\"")).await;
    let tokens = world.log_in().await;
    let jwks = world.jwks().await;
    assert_eq!(keys::algorithm(&tokens.id), jsonwebtoken::Algorithm::EdDSA);
    keys::verified(&tokens.id, &jwks);
    keys::verified(&tokens.access, &jwks);
}

#[tokio::test]
async fn with_an_opaque_access_token_the_id_token_has_the_claims_and_introspection_knows_the_token() {
    let world = World::populated(Setup::generic(), |mut options| {
        options.clients = vec![
            Client::confidential("web", "web-secret")
                .grants(&["authorization_code"])
                .scopes(&["openid", "profile", "email"])
                .redirect_uri(CALLBACK)
                .opaque(),
        ];
        options
    })
    .await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let tokens = world.log_in().await;
    let id = keys::verified(&tokens.id, &world.jwks().await);
    assert_eq!(id["plan"], "gold");
    assert_eq!(id["at_hash"], *keys::half_hash(&tokens.access));
    let userinfo = world.get("/userinfo").bearer(&tokens.access).send().await;
    assert_eq!(userinfo.json()["email"], "ada@example.com");
}

#[tokio::test]
async fn a_denied_session_gets_the_message_and_the_upstreams_tokens_are_revoked_on_record() {
    let world = World::start("").await;
    world
        .hook
        .deny(Trigger::PreSessionCreation, "Your company signs in with SSO.");
    let code = world.code("web").await;
    let answer = world.redeem(&code).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json(),
        json!({"error": "access_denied", "error_description": "Your company signs in with SSO."})
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let revocation = |what: &'static str| {
        world.recorded(what, move |record| {
            record.entry.reason.as_deref() == Some(what) && record.entry.failure.is_none()
        })
    };
    revocation("refresh_token revoked").await;
    revocation("access_token revoked").await;
    for token in world.provider.issued() {
        assert!(!world.provider.token_is_active(&token), "a token still counts");
    }
}

#[tokio::test]
async fn a_denied_machine_token_is_revoked_too() {
    let world = World::start("").await;
    world.hook.deny(Trigger::PreM2mTokenCreation, "Not on Sundays");
    let answer = world.machine_token("reports:read").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error_description"], "Not on Sundays");
    world
        .recorded("it is revoked", |record| {
            record.entry.reason.as_deref() == Some("access_token revoked")
        })
        .await;
    assert!(!world.provider.token_is_active(&world.provider.issued()[0]));
}

#[tokio::test]
async fn a_revocation_that_cannot_be_done_is_on_record_as_such() {
    let idp = Idp::generic(Setup::generic()).await;
    idp.hook.deny(Trigger::PreSessionCreation, "No");
    idp.hands_out(idp.good_tokens());
    // The stub answers 200 with an error in it, as Keycloak does when it revokes nothing.
    idp.stub.fate(
        "/revoke",
        Fate::Answer(200, "application/json", json!({"error": "invalid_request"}).to_string()),
    );
    assert_eq!(idp.redeem().await.status, 400);
    let record = idp
        .recorded("the failure", |record| {
            record.entry.reason.as_deref() == Some("refresh_token not revoked")
        })
        .await;
    assert_eq!(record.entry.failure.unwrap().kind, "revocation");
}

#[tokio::test]
async fn errors_of_the_upstream_pass_as_they_are_and_nobody_is_asked() {
    let world = World::start("").await;
    let answer = world.redeem("no-such-code").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"], "invalid_grant");
    let answer = world
        .post("/token")
        .basic("web", "wrong")
        .form(&[("grant_type", "password")])
        .send()
        .await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["error"], "invalid_client");
    assert!(world.hook.all().is_empty());
}

async fn refresh(world: &World, token: &str) -> Answer {
    world
        .post("/token")
        .basic("web", "web-secret")
        .form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
        .send()
        .await
}
