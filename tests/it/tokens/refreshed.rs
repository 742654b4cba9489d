//! Refreshes: verdicts that are kept with the refresh token, and what becomes of it on its way.

use serde_json::json;
use tollgate::{
    audit::Decider,
    demo::provider::Client,
    event::Trigger,
    verdict::{DecidedBy, Effect},
};

use crate::world::{Answer, CALLBACK, Fate, Idp, Proxy, Reply, Setup, Tokens, World, keys};

const REUSE: &str = "on_failure = \"deny\"\non_refresh = \"reuse\"";

fn reusing() -> Setup {
    Setup::generic().policy(Trigger::PreSessionCreation, REUSE)
}

async fn world() -> World {
    let world = World::with(reusing()).await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    world
}

async fn refresh(proxy: &Proxy, token: &str) -> Answer {
    proxy
        .post("/token")
        .basic("web", "web-secret")
        .form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
        .send()
        .await
}

#[tokio::test]
async fn a_remembered_verdict_counts_again_without_a_call_and_is_recorded() {
    let world = world().await;
    let mut tokens = world.log_in().await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "lead"}));
    let jwks = world.jwks().await;
    for refreshes in 1..=3 {
        assert!(tokens.refresh.starts_with("tg1."), "{}", tokens.refresh.len());
        tokens = Tokens::of(&refresh(&world, &tokens.refresh).await);
        assert_eq!(keys::verified(&tokens.access, &jwks)["plan"], "gold");
        let id = keys::verified(&tokens.id, &jwks);
        assert_eq!(id["plan"], "gold");
        assert_eq!(id["at_hash"], *keys::half_hash(&tokens.access));

        let records = world.audit();
        assert_eq!(records.len(), 1 + refreshes);
        let entry = &records.last().unwrap().entry;
        assert_eq!(entry.decision, Some(Effect::Allow));
        assert_eq!(entry.decided_by, Some(Decider::Interceptor(DecidedBy::Remembered)));
        assert_eq!(entry.attempts, Some(0));
        assert_eq!(entry.claims.access_token.added, ["plan"]);
    }
    let wrapped = [("token", "refresh_token")];
    assert_eq!(world.metrics().sum("tollgate_tokens_wrapped_total", &wrapped), 4.0);
    assert_eq!(world.hook.asked(Trigger::PreSessionCreation).len(), 1);
    for seen in world.provider.requests() {
        let sent = seen.field("refresh_token");
        assert!(sent.is_none_or(|token| world.provider.issued().contains(&token)));
    }
}

#[tokio::test]
async fn an_endpoint_that_is_away_is_not_missed_at_a_refresh() {
    let world = world().await;
    let tokens = world.log_in().await;
    world.hook.reply(
        Trigger::PreSessionCreation,
        Reply::Raw(503, "text/plain", String::new()),
    );
    let refreshed = Tokens::of(&refresh(&world, &tokens.refresh).await);
    assert_eq!(keys::claims(&refreshed.access)["plan"], "gold");
}

#[tokio::test]
async fn those_that_want_to_be_asked_are_asked_and_the_others_remembered() {
    let setup = reusing().more(
        "[[interceptor]]\nname = \"Seats\"\ntrigger = \"PRE_SESSION_CREATION\"\nendpoint = \"{hooks}/seats\"\nsecret = { file = \"hook.key\" }\non_failure = \"deny\"",
    );
    let world = World::with(setup).await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    world.hook.reply("seats", Reply::Claims(json!({"seats": 1})));
    let tokens = world.log_in().await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "lead"}));
    world.hook.reply("seats", Reply::Claims(json!({"seats": 2})));
    let refreshed = Tokens::of(&refresh(&world, &tokens.refresh).await);
    let claims = keys::claims(&refreshed.access);
    assert_eq!((&claims["plan"], &claims["seats"]), (&json!("gold"), &json!(2)));
    assert_eq!(world.hook.asked("seats").len(), 2);

    // One that denies ends it, whatever is remembered of others.
    world.hook.reply("seats", Reply::Deny("No seats left".into()));
    let denied = refresh(&world, &refreshed.refresh).await;
    assert_eq!(denied.status, 400);
    assert_eq!(denied.json()["error_description"], "No seats left");
}

#[tokio::test]
async fn where_everybody_is_asked_again_the_refresh_token_stays_the_providers() {
    let world = World::start("").await;
    let tokens = world.log_in().await;
    assert!(world.provider.issued().contains(&tokens.refresh));
}

#[tokio::test]
async fn a_policy_that_let_a_session_through_is_no_verdict_to_remember() {
    let setup = Setup::generic().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"allow\"\non_refresh = \"reuse\"\nfail_open_limit = 1.0",
    );
    let world = World::with(setup).await;
    let down = Reply::Raw(503, "text/plain", String::new());
    world.hook.reply(Trigger::PreSessionCreation, down);
    let tokens = world.log_in().await;
    assert!(world.provider.issued().contains(&tokens.refresh), "nothing to remember");
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let refreshed = Tokens::of(&refresh(&world, &tokens.refresh).await);
    assert_eq!(keys::claims(&refreshed.access)["plan"], "gold");
    world.hook.deny(Trigger::PreSessionCreation, "No");
    assert_eq!(
        refresh(&world, &refreshed.refresh).await.status,
        200,
        "now there is one"
    );
}

#[tokio::test]
async fn an_allow_without_claims_is_remembered_too() {
    let world = World::with(reusing()).await;
    let tokens = world.log_in().await;
    world.hook.deny(Trigger::PreSessionCreation, "No");
    let refreshed = Tokens::of(&refresh(&world, &tokens.refresh).await);
    assert!(!keys::claims(&refreshed.access).contains_key("plan"));
    assert_eq!(world.hook.asked(Trigger::PreSessionCreation).len(), 1);
}

#[tokio::test]
async fn a_remembered_claim_that_the_provider_sets_by_now_is_asked_about_anew() {
    let idp = Idp::generic(reusing()).await;
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    idp.hands_out(idp.good_tokens());
    let tokens = Tokens::of(&idp.redeem().await);
    let mut claims = idp.access_claims();
    claims["plan"] = json!("free");
    idp.hands_out(json!({"access_token": idp.key.sign(&claims), "token_type": "Bearer", "refresh_token": "refresh-2"}));
    idp.hook.claims(Trigger::PreSessionCreation, json!({"other": 1}));
    let refreshed = Tokens::of(&refresh(&idp, &tokens.refresh).await);
    let claims = keys::claims(&refreshed.access);
    assert_eq!((&claims["plan"], &claims["other"]), (&json!("free"), &json!(1)));
}

#[tokio::test]
async fn a_verdict_about_one_user_never_counts_for_another() {
    let idp = Idp::generic(reusing()).await;
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    idp.hands_out(idp.good_tokens());
    let tokens = Tokens::of(&idp.redeem().await);
    let mut claims = idp.access_claims();
    claims["sub"] = json!("u-2");
    idp.hands_out(json!({"access_token": idp.key.sign(&claims), "token_type": "Bearer"}));
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "free"}));
    let refreshed = Tokens::of(&refresh(&idp, &tokens.refresh).await);
    assert_eq!(keys::claims(&refreshed.access)["plan"], "free");
}

#[tokio::test]
async fn a_refresh_without_a_new_refresh_token_keeps_the_old_one_good() {
    let idp = Idp::generic(reusing()).await;
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    idp.hands_out(idp.good_tokens());
    let tokens = Tokens::of(&idp.redeem().await);
    idp.hands_out(json!({"access_token": idp.key.sign(&idp.access_claims()), "token_type": "Bearer"}));
    for _ in 0..2 {
        let answer = refresh(&idp, &tokens.refresh).await;
        assert!(answer.json().get("refresh_token").is_none());
        assert_eq!(keys::claims(&Tokens::of(&answer).access)["plan"], "gold");
    }
    let sent = idp.stub.at("/token").pop().unwrap();
    assert_eq!(sent.field("refresh_token").as_deref(), Some("refresh-1"));
}

#[tokio::test]
async fn a_token_that_begins_like_ours_is_wrapped_and_comes_back_whole() {
    let idp = Idp::generic(Setup::generic()).await;
    let mut tokens = idp.good_tokens();
    tokens["refresh_token"] = json!("tg1.upstream's own");
    idp.hands_out(tokens);
    let held = Tokens::of(&idp.redeem().await);
    assert_eq!(refresh(&idp, &held.refresh).await.status, 200);
    let sent = idp.stub.at("/token").pop().unwrap();
    assert_eq!(sent.field("refresh_token").as_deref(), Some("tg1.upstream's own"));
}

#[tokio::test]
async fn rotation_and_revocation_are_what_the_provider_says() {
    let world = world().await;
    let first = world.log_in().await;
    let second = Tokens::of(&refresh(&world, &first.refresh).await);
    // The provider ends a family when a token of it comes twice.
    assert_eq!(refresh(&world, &first.refresh).await.json()["error"], "invalid_grant");
    assert_eq!(refresh(&world, &second.refresh).await.json()["error"], "invalid_grant");

    let tokens = world.log_in().await;
    let revoked = world
        .post("/revoke")
        .basic("web", "web-secret")
        .form(&[("token", &tokens.refresh), ("token_type_hint", "refresh_token")])
        .send()
        .await;
    assert_eq!(revoked.status, 200);
    assert!(
        world
            .provider
            .issued()
            .contains(&world.provider.revoked().pop().unwrap())
    );
    assert_eq!(refresh(&world, &tokens.refresh).await.json()["error"], "invalid_grant");
    let asked = world
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", &tokens.refresh)])
        .send()
        .await;
    assert_eq!(asked.json(), json!({"active": false}));
}

#[tokio::test]
async fn introspection_and_logout_take_the_refresh_token_that_the_client_holds() {
    let world = world().await;
    let tokens = world.log_in().await;
    let asked = world
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", &tokens.refresh)])
        .send()
        .await
        .json();
    assert_eq!(asked["active"], true);
    assert!(asked.get("plan").is_none(), "it has no claims of its own");

    let idp = Idp::keycloak_with(Setup::keycloak().policy(Trigger::PreSessionCreation, REUSE)).await;
    idp.hands_out(idp.good_tokens());
    let held = Tokens::of(&idp.redeem().await);
    let path = idp.endpoints().logout;
    let fields = [("client_id", "web"), ("refresh_token", held.refresh.as_str())];
    assert_eq!(idp.post(path).form(&fields).send().await.status, 200);
    let seen = idp.stub.at(path).pop().unwrap();
    assert_eq!(seen.field("refresh_token").as_deref(), Some("refresh-1"));
}

#[tokio::test]
async fn a_denied_refresh_revokes_the_providers_tokens_and_not_ours() {
    let idp = Idp::generic(reusing()).await;
    idp.hands_out(idp.good_tokens());
    let held = Tokens::of(&idp.redeem().await);
    let broken = json!({"access_token": "e30.e30.AAA", "refresh_token": "refresh-2"});
    idp.hands_out(broken);
    assert_eq!(refresh(&idp, &held.refresh).await.status, 502);
    idp.recorded("it is revoked", |r| {
        r.entry.reason.as_deref() == Some("refresh_token revoked")
    })
    .await;
    let seen = idp.stub.at("/revoke");
    assert!(
        seen.iter()
            .any(|seen| seen.field("token").as_deref() == Some("refresh-2"))
    );
}

#[tokio::test]
async fn a_large_memory_is_warned_of_like_other_large_tokens() {
    let world = World::with(reusing()).await;
    world
        .hook
        .claims(Trigger::PreSessionCreation, json!({"list": "x".repeat(3_500)}));
    let tokens = world.log_in().await;
    assert!(tokens.refresh.len() > 4096);
    assert!(crate::world::log::text().contains("the refresh_token has"));
}

#[tokio::test]
async fn offline_tokens_remember_likewise() {
    let world = World::populated(reusing(), |mut options| {
        options.clients = vec![
            Client::confidential("web", "web-secret")
                .grants(&["password", "refresh_token"])
                .scopes(&["openid", "offline_access"])
                .redirect_uri(CALLBACK),
        ];
        options
    })
    .await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let fields = [
        ("grant_type", "password"),
        ("username", "ada@example.com"),
        ("password", "correct-horse"),
        ("scope", "openid offline_access"),
    ];
    let answer = world
        .post("/token")
        .basic("web", "web-secret")
        .form(&fields)
        .send()
        .await;
    let tokens = Tokens::of(&answer);
    world.hook.deny(Trigger::PreSessionCreation, "No");
    let refreshed = Tokens::of(&refresh(&world, &tokens.refresh).await);
    assert_eq!(keys::claims(&refreshed.access)["plan"], "gold");
}

#[tokio::test]
async fn a_record_that_cannot_be_written_stops_a_reused_verdict_too() {
    let idp = Idp::generic(reusing()).await;
    idp.hands_out(idp.good_tokens());
    let held = Tokens::of(&idp.redeem().await);
    idp.stub.fate("/token", Fate::BreakOff("{".into()));
    assert_eq!(refresh(&idp, &held.refresh).await.status, 502);
    assert_eq!(idp.audit().len(), 1, "no verdict without tokens");
}
