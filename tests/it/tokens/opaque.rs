//! Opaque access tokens: wrapped, or made JWTs.

use serde_json::{Value, json};
use tollgate::{
    demo::provider::{Client, TOKEN_EXCHANGE},
    event::Trigger,
};

use crate::world::{Answer, CALLBACK, Fate, Idp, Reply, Setup, Tokens, World, keys, log};

const JWT: &str = "opaque = \"jwt\"\naudience = [\"https://api.example.com\", \"https://other.example.com/*\"]";

async fn world(setup: Setup) -> World {
    let world = World::populated(setup, |mut options| {
        options.clients = vec![
            Client::confidential("web", "web-secret")
                .grants(&["authorization_code", "refresh_token", "password", TOKEN_EXCHANGE])
                .scopes(&["openid", "profile", "email"])
                .redirect_uri(CALLBACK)
                .opaque(),
            Client::confidential("batch", "batch-secret")
                .grants(&["client_credentials"])
                .scopes(&["reports:read", "admin"])
                .opaque(),
        ];
        options
    })
    .await;
    for trigger in [Trigger::PreSessionCreation, Trigger::PreM2mTokenCreation] {
        let answer = json!({"decision": "ALLOW", "response": {
            "claims": {"plan": "gold"}, "access_token": {"claims": {"token_type": "none"}}
        }});
        world.hook.reply(trigger, Reply::Json(answer));
    }
    world
}

async fn introspect(world: &World, token: &str) -> Value {
    let call = world.post("/introspect").basic("web", "web-secret");
    call.form(&[("token", token)]).send().await.json()
}

/// A token request as `web` to a provider whose token is opaque.
async fn grant(idp: &Idp, more: &[(&str, &str)]) -> Answer {
    let form = [&[("grant_type", "authorization_code"), ("code", "code-1")], more].concat();
    idp.grant(&form).await
}

fn jwt_or_wrap(token: &str) -> &'static str {
    if token.starts_with("tg1.") { "wrap" } else { "jwt" }
}

#[tokio::test]
async fn a_wrapped_token_works_wherever_it_travels_and_shows_its_claims() {
    let world = world(Setup::generic()).await;
    let tokens = world.log_in().await;
    assert!(tokens.access.starts_with("tg1."));
    let counted = |name: &str| world.metrics().sum(name, &[("token", "access_token")]);
    assert_eq!(counted("tollgate_tokens_wrapped_total"), 1.0);
    assert_eq!(counted("tollgate_tokens_reissued_total"), 0.0);
    let id = keys::verified(&tokens.id, &world.jwks().await);
    assert_eq!(id["at_hash"], *keys::half_hash(&tokens.access));

    let userinfo = world.get("/userinfo").bearer(&tokens.access).send().await.json();
    assert_eq!(userinfo["plan"], "gold");
    let posted = world.post("/userinfo").form(&[("access_token", &tokens.access)]);
    assert_eq!(posted.send().await.json()["plan"], "gold");
    let about = introspect(&world, &tokens.access).await;
    assert_eq!((&about["active"], &about["plan"]), (&json!(true), &json!("gold")));
    assert_eq!(about["sub"], "ada");
    assert_eq!(about["token_type"], "Bearer", "what the provider says stays");

    let exchanged = world
        .post("/token")
        .basic("web", "web-secret")
        .form(&[
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", &tokens.access),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("actor_token", &tokens.access),
            ("actor_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ])
        .send()
        .await;
    assert!(Tokens::of(&exchanged).access.starts_with("tg1."));
    world.invite(&tokens.access, "guest@example.com").await;
    assert_eq!(
        world.hook.event(Trigger::PreUserInvitation)["data"]["inviter"]["id"],
        "ada"
    );

    let call = world.post("/revoke").basic("web", "web-secret");
    assert_eq!(call.form(&[("token", &tokens.access)]).send().await.status, 200);
    assert_eq!(introspect(&world, &tokens.access).await, json!({"active": false}));
    assert_eq!(world.get("/userinfo").bearer(&tokens.access).send().await.status, 401);
    for seen in world.provider.requests() {
        let bearer = seen.header("authorization").unwrap_or_default().contains("tg1.");
        let field = |name: &str| seen.field(name).is_some_and(|value| value.starts_with("tg1."));
        assert!(
            !bearer
                && !["token", "access_token", "subject_token", "actor_token"]
                    .into_iter()
                    .any(field)
        );
    }
}

#[tokio::test]
async fn the_client_reads_in_userinfo_what_is_for_the_client_and_resource_servers_the_rest() {
    let world = world(Setup::generic()).await;
    let answer = json!({"decision": "ALLOW", "response": {
        "access_token": {"claims": {"internal": 1}}, "id_token": {"claims": {"shown": 2}}
    }});
    world.hook.reply(Trigger::PreSessionCreation, Reply::Json(answer));
    let tokens = world.log_in().await;
    let userinfo = world.get("/userinfo").bearer(&tokens.access).send().await.json();
    assert_eq!(
        (userinfo.get("internal"), userinfo.get("shown")),
        (None, Some(&json!(2)))
    );
    let about = introspect(&world, &tokens.access).await;
    assert_eq!((about.get("internal"), about.get("shown")), (Some(&json!(1)), None));
}

#[tokio::test]
async fn a_jwt_in_the_place_of_an_opaque_token_says_what_rfc_9068_wants_and_maps_back() {
    let world = world(Setup::generic().section("tokens", JWT)).await;
    let tokens = world.log_in().await;
    let jwks = world.jwks().await;
    let header = jsonwebtoken::decode_header(&tokens.access).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let (claims, id) = (keys::verified(&tokens.access, &jwks), keys::verified(&tokens.id, &jwks));
    for (name, value) in [
        ("iss", json!(world.url)),
        ("sub", json!("ada")),
        ("aud", json!("https://api.example.com")),
        ("client_id", json!("web")),
        ("scope", json!("openid profile email")),
        ("plan", json!("gold")),
        ("auth_time", id["auth_time"].clone()),
        ("acr", id["acr"].clone()),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    let seconds = |name: &str| claims[name].as_i64().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 300);
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() > 20));
    assert_eq!(id["at_hash"], *keys::half_hash(&tokens.access));

    assert_eq!(
        world.get("/userinfo").bearer(&tokens.access).send().await.json()["email"],
        "ada@example.com"
    );
    let about = introspect(&world, &tokens.access).await;
    assert_eq!((&about["active"], &about["plan"]), (&json!(true), &json!("gold")));
    let call = world.post("/revoke").basic("web", "web-secret");
    call.form(&[("token", &tokens.access)]).send().await;
    assert!(world.provider.issued().contains(&world.provider.revoked()[0]));
}

#[tokio::test]
async fn a_machine_is_its_own_subject() {
    let world = world(Setup::generic().section("tokens", JWT)).await;
    let tokens = Tokens::of(&world.machine_token("reports:read").await);
    let claims = keys::verified(&tokens.access, &world.jwks().await);
    assert_eq!(
        (&claims["sub"], &claims["client_id"]),
        (&json!("batch"), &json!("batch"))
    );
    assert!(claims.get("auth_time").is_none());
    assert_eq!(introspect(&world, &tokens.access).await["client_id"], "batch");
}

#[tokio::test]
async fn without_an_id_token_the_provider_is_asked_whose_the_token_is() {
    let userinfo = |answer: Value| Fate::Answer(200, "application/json", answer.to_string());
    for (from_userinfo, from_introspection, becomes, subject) in [
        (
            json!({"sub": "u-1"}),
            json!({"active": true, "sub": "u-2"}),
            "jwt",
            "u-1",
        ),
        (json!({}), json!({"active": true, "sub": "u-2"}), "jwt", "u-2"),
        (json!({"sub": 7}), json!({"active": true, "sub": "u-2"}), "jwt", "u-2"),
        (json!({}), json!({"active": false, "sub": "u-2"}), "wrap", ""),
        (json!({}), json!({"active": true}), "wrap", ""),
    ] {
        let idp = Idp::generic(Setup::generic().section("tokens", JWT)).await;
        idp.hands_out(json!({"access_token": "opaque-1", "token_type": "bearer", "expires_in": 60}));
        idp.stub.fate("/userinfo", userinfo(from_userinfo));
        idp.stub.fate("/introspect", userinfo(from_introspection));
        let token = Tokens::of(&grant(&idp, &[]).await).access;
        assert_eq!(jwt_or_wrap(&token), becomes);
        if becomes == "jwt" {
            assert_eq!(keys::claims(&token)["sub"], subject);
            assert!(keys::claims(&token).get("scope").is_none(), "nobody named one");
        }
        let asked = &idp.stub.at("/userinfo")[0];
        assert_eq!(asked.header("authorization"), Some("Bearer opaque-1"));
        for asked in idp.stub.at("/introspect") {
            assert_eq!(asked.field("token").as_deref(), Some("opaque-1"));
            assert!(asked.header("authorization").unwrap().starts_with("Basic "));
        }
    }
}

#[tokio::test]
async fn what_is_not_known_is_not_made_up_and_the_token_stays_wrapped_on_record() {
    let token = |more: Value| {
        let mut answer = json!({"access_token": "opaque-1", "token_type": "Bearer", "expires_in": 60});
        answer
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        answer
    };
    let good = token(json!({}));
    let no_lifetime = token(json!({"expires_in": null}));
    let dpop = token(json!({"token_type": "DPoP"}));
    let without = "opaque = \"jwt\"\naudience = [\"https://other.example.com/*\"]";
    for (settings, answer, parameters, becomes) in [
        (JWT, &good, &[][..], "jwt"),
        (JWT, &good, &[("resource", "https://api.example.com")], "jwt"),
        (JWT, &good, &[("audience", "https://other.example.com/v1")], "jwt"),
        (JWT, &good, &[("resource", "https://bank.example.com")], "wrap"),
        (without, &good, &[], "wrap"),
        (without, &good, &[("resource", "https://api.example.com")], "wrap"),
        (JWT, &no_lifetime, &[], "wrap"),
        (JWT, &dpop, &[], "wrap"),
    ] {
        let idp = Idp::generic(Setup::generic().section("tokens", settings)).await;
        let subject = json!({"sub": "u-1"}).to_string();
        idp.stub
            .fate("/userinfo", Fate::Answer(200, "application/json", subject));
        idp.hands_out(answer.clone());
        let held = Tokens::of(&grant(&idp, parameters).await).access;
        assert_eq!(jwt_or_wrap(&held), becomes, "{settings} {answer} {parameters:?}");
        let failure = idp.audit().iter().find_map(|record| record.entry.failure.clone());
        assert_eq!(failure.is_some(), becomes == "wrap");
        if let Some(failure) = failure {
            assert_eq!(failure.kind, "opaque_token_stays_wrapped");
            assert!(log::text().contains(&failure.detail));
        } else if let Some((_, named)) = parameters.first() {
            assert_eq!(keys::claims(&held)["aud"], *named);
        }
    }
}

#[tokio::test]
async fn a_request_with_a_proof_of_possession_gets_no_jwt_without_it() {
    let idp = Idp::generic(Setup::generic().section("tokens", JWT)).await;
    let subject = json!({"sub": "u-1"}).to_string();
    idp.stub
        .fate("/userinfo", Fate::Answer(200, "application/json", subject));
    idp.hands_out(json!({"access_token": "opaque-1", "token_type": "Bearer", "expires_in": 60}));
    let call = idp
        .post("/token")
        .basic("web", "web-secret")
        .header("dpop", "e30.e30.AAA");
    let answer = call
        .form(&[("grant_type", "authorization_code"), ("code", "c")])
        .send()
        .await;
    assert!(Tokens::of(&answer).access.starts_with("tg1."));
}

#[tokio::test]
async fn opaque_tokens_of_the_front_channel_are_wrapped_too() {
    let idp = Idp::generic(Setup::generic()).await;
    let mut claims = idp.id_claims("opaque-1");
    claims["nonce"] = json!("n");
    let id = idp.key.sign(&claims);
    let location = format!(
        "https://app.example.com/cb#access_token=opaque-1&token_type=Bearer&expires_in=60&id_token={id}&state=s"
    );
    idp.stub.fate(
        "/authorize",
        Fate::by(move |_| {
            let mut answer = crate::world::stub::reply(303, "text/plain", "");
            answer.headers_mut().insert("location", location.parse().unwrap());
            answer
        }),
    );
    let answer = idp.get("/authorize?client_id=web&nonce=n").send().await;
    let location = answer.header("location").unwrap();
    assert!(location.contains("#access_token=tg1."), "{location}");
    assert!(!location.contains("opaque-1"));
}

#[tokio::test]
async fn a_token_exchange_into_an_opaque_refresh_token_gives_one_that_can_be_used() {
    let idp = Idp::generic(Setup::generic().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"deny\"\non_refresh = \"reuse\"",
    ))
    .await;
    idp.hands_out(json!({
        "access_token": "refresh-9", "token_type": "N_A",
        "issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token",
    }));
    let held = Tokens::of(
        &idp.grant(&[("grant_type", TOKEN_EXCHANGE), ("subject_token", "x")])
            .await,
    )
    .access;
    idp.hands_out(idp.good_tokens());
    let answer = idp
        .grant(&[("grant_type", "refresh_token"), ("refresh_token", &held)])
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = idp.stub.at("/token").pop().unwrap();
    assert_eq!(seen.field("refresh_token").as_deref(), Some("refresh-9"));
}
