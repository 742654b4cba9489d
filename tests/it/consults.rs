//! What an interceptor is asked, when it is asked, and what several of them come to.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tollgate::{clock::Clock, event::Trigger, verdict::Effect};

use crate::world::{Reply, Setup, World, keys};

/// Another `[[interceptor]]` of sessions, at an endpoint named like it.
fn another(name: &str, lines: &str) -> String {
    format!(
        "[[interceptor]]\nname = \"{name}\"\ntrigger = \"PRE_SESSION_CREATION\"\nendpoint = \"{{hooks}}/{name}\"\n\
         secret = {{ file = \"hook.key\" }}\non_failure = \"deny\"\n{lines}\n"
    )
}

async fn with_another(lines: &str) -> World {
    World::with(Setup::generic().more(&another("second", lines))).await
}

async fn session(world: &World) -> crate::world::Answer {
    let code = world.code("web").await;
    world.redeem(&code).await
}

#[tokio::test]
async fn a_request_is_signed_and_says_how_much_time_there_is() {
    let world = World::start("").await;
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    world
        .post("/signup")
        .header("traceparent", given)
        .form(&[("email", "ann@example.com"), ("password", "whatever1")])
        .send()
        .await;
    let asked = &world.hook.all()[0];
    let header = |name: &str| asked.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("interceptor-id"), header("webhook-id"));
    assert_eq!(header("interceptor-timestamp"), header("webhook-timestamp"));
    assert_eq!(header("interceptor-signature"), header("webhook-signature"));
    assert_eq!(header("interceptor-attempt"), "1");
    let left: u64 = header("interceptor-deadline-ms").parse().unwrap();
    assert!((1..=3000).contains(&left), "{left}");
    assert!(header("traceparent").contains("4bf92f3577b34da6a3ce929d0e0e4736"));
    let context = &asked.event["interceptor_context"];
    assert_eq!(context["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(context["triggered_at"].as_str().unwrap().parse::<Timestamp>().is_ok());
    let seen = world.provider.requests().pop().unwrap();
    assert!(
        seen.header("traceparent")
            .unwrap()
            .contains("4bf92f3577b34da6a3ce929d0e0e4736")
    );
}

#[tokio::test]
async fn conditions_decide_who_is_asked() {
    let world = World::with(
        Setup::generic()
            .policy(
                Trigger::PreSessionCreation,
                "on_failure = \"deny\"\nwhen = { clients = [\"we*\"], grants = [\"authorization_code\"] }",
            )
            .more(&another("second", "unless = { networks = [\"127.0.0.0/8\"] }"))
            .more(&another("third", "enabled = false")),
    )
    .await;
    let tokens = world.log_in().await;
    assert_eq!(world.hook.all().len(), 1);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh)];
    let answer = world
        .post("/token")
        .basic("web", "web-secret")
        .form(&refresh)
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.hook.all().len(), 1, "a refresh is another grant");
}

#[tokio::test]
async fn claims_of_several_interceptors_add_up_in_the_order_of_the_file() {
    let world = with_another("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    world.hook.reply("second", Reply::Claims(json!({"seats": 40})));
    let claims = keys::claims(&world.log_in().await.access);
    assert_eq!((&claims["plan"], &claims["seats"]), (&json!("gold"), &json!(40)));
    let asked: Vec<_> = world.hook.all().into_iter().map(|a| a.endpoint).collect();
    assert_eq!(asked, ["PRE_SESSION_CREATION", "second"]);
    let records = world.audit();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].entry.claims.access_token.added, ["plan"]);
    assert_eq!(records[1].entry.claims.id_token.added, ["seats"]);
    assert_eq!(records[0].entry.request_id, records[1].entry.request_id);
}

#[tokio::test]
async fn the_first_denial_ends_it() {
    let world = with_another("").await;
    world.hook.deny(Trigger::PreSessionCreation, "Not you");
    assert_eq!(session(&world).await.json()["error_description"], "Not you");
    assert!(world.hook.asked("second").is_empty());
}

#[tokio::test]
async fn two_values_for_one_claim_are_a_failure_of_the_second() {
    let world = with_another("").await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    world.hook.reply("second", Reply::Claims(json!({"plan": "lead"})));
    assert_eq!(session(&world).await.status, 400);
    let records = world.audit();
    assert_eq!(records[0].entry.decision, Some(Effect::Allow));
    assert_eq!(records[1].entry.decision, Some(Effect::Deny));
    assert!(records[1].entry.failure.as_ref().unwrap().detail.contains("plan"));
}

#[tokio::test]
async fn all_interceptors_of_a_request_share_one_budget() {
    let setup = Setup::generic()
        .section("", "consult_budget = \"100ms\"")
        .policy(Trigger::PreSessionCreation, "timeout = \"30s\"\non_failure = \"allow\"");
    let world = World::with(setup.more(&another("second", "timeout = \"30s\""))).await;
    let _held = world.hook.hold(Trigger::PreSessionCreation);
    let answer = session(&world).await;
    assert_eq!(answer.status, 400, "nothing was left for the second: {answer:?}");
}

#[tokio::test]
async fn claims_can_stand_below_one_claim_of_their_own() {
    let world = World::with(Setup::generic().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"deny\"\nclaims_at = \"custom_claims\"",
    ))
    .await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let claims = keys::claims(&world.log_in().await.id);
    assert_eq!(claims["custom_claims"], json!({"plan": "gold"}));
    assert!(claims.get("plan").is_none());
}

#[tokio::test]
async fn a_claim_of_the_upstream_is_replaced_only_where_the_operator_says_so() {
    for (lines, status) in [("", 400), ("may_override = [\"name\"]", 200)] {
        let policy = format!("on_failure = \"deny\"\n{lines}");
        let world = World::with(Setup::generic().policy(Trigger::PreSessionCreation, &policy)).await;
        world
            .hook
            .claims(Trigger::PreSessionCreation, json!({"name": "Countess"}));
        let answer = session(&world).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 200 {
            let id = answer.json()["id_token"].as_str().unwrap().to_owned();
            assert_eq!(keys::verified(&id, &world.jwks().await)["name"], "Countess");
            assert_eq!(world.audit()[0].entry.claims.id_token.replaced, ["name"]);
        }
    }
}

#[tokio::test]
async fn odd_but_legal_claims_arrive_as_they_were_given() {
    let world = World::start("").await;
    let claims = json!({
        "https://acme.example/claims": {"nested": [1, {"deep": null}]}, "ümläut \"quoted\" \\ \u{1f600}": "\u{0}\u{1}<>&",
        "big": 12345678901234567890123456789_f64, "empty": {}, "list": [], "no": false, "long": "x".repeat(2000)
    });
    world.hook.claims(Trigger::PreSessionCreation, claims.clone());
    let tokens = world.log_in().await;
    let jwks = world.jwks().await;
    for token in [&tokens.access, &tokens.id] {
        let got = keys::verified(token, &jwks);
        for (name, value) in claims.as_object().unwrap() {
            assert_eq!(&got[name], value, "{name}");
        }
    }
    assert_eq!(world.get("/userinfo").bearer(&tokens.access).send().await.status, 200);
}

#[tokio::test]
async fn too_many_claims_are_refused() {
    let world = World::start("").await;
    world
        .hook
        .claims(Trigger::PreSessionCreation, json!({"much": "x".repeat(20_000)}));
    assert_eq!(session(&world).await.status, 400);
    let failure = world.audit()[0].entry.failure.clone().unwrap();
    assert_eq!(failure.kind, "invalid");
}

#[tokio::test]
async fn a_jump_of_the_wall_clock_ends_no_consult() {
    let now = Clock::system().now();
    let clock = Clock::fixed(now);
    let setup = Setup::generic().at(clock.clone());
    let world = World::with(setup).await;
    let held = world.hook.hold(Trigger::PreSessionCreation);
    let code = world.code("web").await;
    let redeemed = world.redeem(&code);
    tokio::pin!(redeemed);
    tokio::select! {
        answer = &mut redeemed => panic!("{answer:?}"),
        () = world.hook.was_asked(Trigger::PreSessionCreation) => {}
    }
    clock.set(now + SignedDuration::from_hours(24));
    held.release();
    assert_eq!(redeemed.await.status, 200);
}

#[tokio::test]
async fn an_interceptor_is_not_sent_what_it_must_not_see() {
    let world = with_another(
        "redact = { \"interceptor_context.ip_address\" = \"drop\", \"data.**.email\" = \"mask\", \"**.user_id\" = \"hash\" }\n\
         redact_key = { file = \"hook.key\" }",
    )
    .await;
    session(&world).await;
    let first = &world.hook.asked("PRE_SESSION_CREATION")[0].event;
    let second = &world.hook.asked("second")[0].event;
    assert_eq!(first["interceptor_context"]["ip_address"], "127.0.0.1");
    assert!(second["interceptor_context"].get("ip_address").is_none(), "{second}");
    assert_eq!(second["data"]["user"]["email"], "[redacted]");
    let (known, hashed) = (
        &first["interceptor_context"]["user_id"],
        &second["interceptor_context"]["user_id"],
    );
    assert!(
        hashed.as_str().is_some_and(|text| text.len() > 32) && known != hashed,
        "{hashed}"
    );
    // The audit has what was sent where nothing is said of the audit.
    assert!(world.audit()[0].to_json().contains("127.0.0.1"));
    assert_eq!(second["trigger_point"], "PRE_SESSION_CREATION");
}
