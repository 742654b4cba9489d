//! Invariant 7: No state in the process is needed to understand a token that another replica issued; restarts lose nothing.

use std::sync::Arc;

use serde_json::json;
use tollgate::{demo::provider::AccessTokens, event::Trigger};

use crate::world::{Proxy, Setup, World, keys};

#[tokio::test]
async fn a_token_from_one_replica_works_at_another() {
    let world = World::start("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let tokens = world.log_in().await;
    let other = world.replica(&Setup::generic()).await;
    let userinfo = other.get("/userinfo").bearer(&tokens.access).send().await;
    assert_eq!(userinfo.status, 200, "{userinfo:?}");
    let introspected = other
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", &tokens.access)])
        .send()
        .await;
    assert_eq!(introspected.json()["plan"], "gold");
    let jwks = other.get("/jwks").send().await.json();
    assert_eq!(keys::verified(&tokens.id, &jwks)["plan"], "gold");
    assert_eq!(jwks, world.jwks().await);
}

#[tokio::test]
async fn a_code_from_one_replica_is_redeemed_at_another() {
    let world = World::start("").await;
    let code = world.code("web").await;
    let other = world.replica(&Setup::generic()).await;
    let answer = other
        .post("/token")
        .basic("web", "web-secret")
        .form(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", crate::world::CALLBACK),
            ("code_verifier", crate::world::VERIFIER),
        ])
        .send()
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.json()["id_token"].as_str().unwrap().to_owned();
    assert_eq!(keys::verified(&id, &world.jwks().await)["iss"], *world.url);
}

#[tokio::test]
async fn a_verdict_that_one_replica_remembers_counts_at_another_and_so_does_an_opaque_token() {
    let setup = Setup::generic().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"deny\"\non_refresh = \"reuse\"",
    );
    let world = World::populated(setup.clone(), |mut options| {
        options.clients[0].access_tokens = AccessTokens::Opaque;
        options
    })
    .await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let tokens = world.log_in().await;
    let other = world.replica(&setup).await;
    let userinfo = other.get("/userinfo").bearer(&tokens.access).send().await;
    assert_eq!(userinfo.json()["plan"], "gold");

    world.hook.deny(Trigger::PreSessionCreation, "No");
    let refreshed = other
        .post("/token")
        .basic("web", "web-secret")
        .form(&[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)])
        .send()
        .await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let id = refreshed.json()["id_token"].as_str().unwrap().to_owned();
    assert_eq!(keys::verified(&id, &world.jwks().await)["plan"], "gold");
}

#[tokio::test]
async fn a_restart_loses_neither_tokens_nor_records() {
    let world = World::start("").await;
    let tokens = world.log_in().await;
    let World { provider, hook, proxy } = world;
    let (folder, address) = (Arc::clone(&proxy.folder), proxy.address);
    proxy.stop().await;
    let proxy = Proxy::serve(&Setup::generic(), &provider.url(), &hook, &folder, address, address)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let world = World { provider, hook, proxy };
    assert_eq!(world.get("/userinfo").bearer(&tokens.access).send().await.status, 200);
    world.machine_token("admin").await;
    let triggers: Vec<_> = world.audit().iter().map(|r| r.entry.trigger.unwrap()).collect();
    assert_eq!(triggers, [Trigger::PreSessionCreation, Trigger::PreM2mTokenCreation]);
    assert_eq!(world.audit()[1].seq, 2);
}

#[tokio::test]
async fn a_token_of_another_installation_is_not_ours_though_it_has_our_keys() {
    let (here, elsewhere) = (World::start("").await, World::start("").await);
    let tokens = elsewhere.log_in().await;
    let answer = here.get("/userinfo").bearer(&tokens.access).send().await;
    assert_eq!(answer.status, 401, "{answer:?}");
}
