//! Invariant 3: The key set has only Tollgate's keys, and a native upstream token that a client presents is refused.

use serde_json::json;
use tollgate::event::Trigger;

use crate::world::{Idp, Setup, World, keys};

/// A token of the upstream itself, as it would be had somebody gone around the proxy.
async fn native(world: &World) -> (String, String) {
    world.log_in().await;
    let jwts: Vec<String> = world
        .provider
        .issued()
        .into_iter()
        .filter(|token| token.contains('.'))
        .collect();
    (jwts[0].clone(), jwts[1].clone())
}

#[tokio::test]
async fn the_key_set_has_our_keys_alone() {
    let world = World::start("").await;
    let ours = world.jwks().await;
    let theirs = at_the_provider(&world, "/jwks").await;
    let kids = |jwks: &serde_json::Value| -> Vec<String> {
        let keys = jwks["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].to_string()).collect()
    };
    assert!(!kids(&ours).is_empty() && !kids(&theirs).is_empty());
    assert!(kids(&theirs).iter().all(|kid| !kids(&ours).contains(kid)));
    for key in ours["keys"].as_array().unwrap() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "{private} is published");
        }
    }
}

#[tokio::test]
async fn a_native_token_is_refused_as_a_bearer_wherever_it_is_shown() {
    let world = World::start("").await;
    let (access, _) = native(&world).await;
    world.provider.forget_requests();
    for answer in [
        world.get("/userinfo").bearer(&access).send().await,
        world.post("/userinfo").form(&[("access_token", &access)]).send().await,
        world.get("/api/users").bearer(&access).send().await,
        world.get("/nobody/knows/this").bearer(&access).send().await,
        world.invite(&access, "guest@example.com").await,
        world
            .get("/userinfo")
            .header("authorization", &format!("bEaReR   {access}"))
            .send()
            .await,
        world
            .get("/userinfo")
            .header("authorization", &format!("DPoP {access}"))
            .send()
            .await,
    ] {
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    assert!(world.provider.requests().is_empty(), "{:?}", world.provider.requests());
    assert!(world.hook.asked(Trigger::PreUserInvitation).is_empty());
}

#[tokio::test]
async fn introspection_says_that_a_native_token_is_not_active() {
    let world = World::start("").await;
    let (access, _) = native(&world).await;
    let answer = world
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", &access)])
        .send()
        .await;
    assert_eq!((answer.status, answer.json()), (200, json!({"active": false})));
}

#[tokio::test]
async fn a_native_token_is_no_subject_of_an_exchange() {
    let world = World::start("").await;
    let (access, _) = native(&world).await;
    let issued = world.provider.issued().len();
    let answer = world
        .post("/token")
        .basic("web", "web-secret")
        .form(&[
            ("grant_type", tollgate::demo::provider::TOKEN_EXCHANGE),
            ("subject_token", &access),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ])
        .send()
        .await;
    assert!(matches!(answer.status, 400 | 401), "{answer:?}");
    assert_eq!(world.provider.issued().len(), issued, "the upstream exchanged it");
}

#[tokio::test]
async fn an_operator_may_take_native_tokens() {
    let world = World::with(Setup::generic().section("tokens", "require_reissued = false")).await;
    let (access, _) = native(&world).await;
    assert_eq!(world.get("/userinfo").bearer(&access).send().await.status, 200);
    let answer = world
        .post("/introspect")
        .basic("web", "web-secret")
        .form(&[("token", &access)])
        .send()
        .await;
    assert_eq!(answer.json()["active"], true);
}

#[tokio::test]
async fn tokens_of_other_issuers_and_opaque_ones_are_the_upstreams_to_judge() {
    let idp = Idp::generic(Setup::generic()).await;
    let mut claims = idp.access_claims();
    claims["iss"] = json!("https://accounts.example.org");
    let foreign = keys::Key::new("x").sign(&claims);
    for token in [foreign.as_str(), "opaque-token", "tg2.not.ours"] {
        idp.stub.forget();
        assert_eq!(idp.get("/api").bearer(token).send().await.status, 200);
        let sent = idp.stub.at("/api")[0].header("authorization").unwrap().to_owned();
        assert_eq!(sent, format!("Bearer {token}"));
    }
}

#[tokio::test]
async fn discovery_announces_what_is_served_and_nothing_else() {
    let idp = Idp::generic(Setup::generic()).await;
    let document = idp.get("/.well-known/openid-configuration").send().await.json();
    assert_eq!(document["issuer"], *idp.issuer);
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["ES256"]));
    let response_types = json!(["code", "id_token", "code token"]);
    assert_eq!(document["response_types_supported"], response_types);
    // The mode `web_message` and encryption are the stub's alone.
    assert_eq!(
        document["response_modes_supported"],
        json!(["query", "form_post", "query.jwt"])
    );
    let grants = json!(["authorization_code", "urn:openid:params:grant-type:ciba"]);
    assert_eq!(document["grant_types_supported"], grants);
    assert_eq!(document["userinfo_signing_alg_values_supported"], json!(["ES256"]));
    assert!(document.get("userinfo_encryption_alg_values_supported").is_none());
    assert_eq!(document["backchannel_token_delivery_modes_supported"], json!(["poll"]));
    assert_eq!(document["x_other"], json!({"kept": [1, 2]}));
}

#[tokio::test]
async fn an_operator_may_publish_the_upstreams_keys_behind_ours() {
    for (setting, publishes) in [("", false), ("[jwks]\nupstream_keys = \"include\"", true)] {
        let idp = Idp::keycloak_with(Setup::keycloak().more(setting)).await;
        let for_encryption = json!({"kty": "RSA", "use": "enc", "kid": "e-1", "n": "AQAB", "e": "AQAB"});
        idp.publishes(vec![idp.key.jwk(), for_encryption.clone()]);
        let jwks = idp.get(idp.endpoints().jwks).send().await.json();
        let keys = jwks["keys"].as_array().unwrap();
        let at = keys.iter().position(|key| *key == idp.key.jwk());
        assert_eq!(at.is_some(), publishes);
        assert_eq!(keys.last(), Some(&for_encryption));
        assert!(at.is_none_or(|at| at == keys.len() - 2), "ours come first");
        // A token that got around us verifies then, and still does not leave by us or come back to us.
        let native = idp.key.sign(&idp.access_claims());
        assert_eq!(idp.get("/realms/tg/account").bearer(&native).send().await.status, 401);
        let realm = idp.get("/realms/tg").send().await.json();
        assert_ne!(realm["public_key"], "upstream's", "one key alone is ours");
    }
}

#[tokio::test]
async fn keycloaks_other_publications_of_its_keys_are_treated_alike() {
    let idp = Idp::keycloak().await;
    let realm = idp.get("/realms/tg").send().await.json();
    assert_ne!(realm["public_key"], "upstream's");
    assert_eq!(realm["realm"], "tg");
    idp.stub.forget();
    for path in [
        "/realms/tg/.well-known/jwt-vc-issuer",
        "/realms/tg/.well-known/jwt-vc-issuer/",
        "/.well-known/jwt-vc-issuer/realms/tg",
        "/.Well-Known/JWT-VC-issuer/realms/tg",
    ] {
        assert_eq!(idp.get(path).send().await.status, 400, "{path}");
    }
    assert!(idp.stub.arrivals().is_empty(), "{:?}", idp.stub.arrivals());
}

/// Asks the provider itself.
async fn at_the_provider(world: &World, path: &str) -> serde_json::Value {
    let direct = crate::world::client::Client::new(&world.provider.url());
    direct.call("GET", path).send().await.json()
}
