use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::demo::client::{Client as Http, Reply};

struct World {
    hooks: Hooks,
    http: Http,
    clock: Clock,
}

impl World {
    async fn start() -> Self {
        let clock = Clock::fixed(Timestamp::now());
        let hooks = Hooks::start(clock.clone()).await.unwrap();
        let http = Http::new();
        Self { hooks, http, clock }
    }

    async fn send(&self, trigger: Trigger, timestamp: i64, signature: &str, body: String) -> Reply {
        let call = self.http.post(self.hooks.endpoint(trigger));
        let call = call
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", timestamp.to_string());
        let call = call.header("webhook-signature", signature);
        call.body("application/json", body).send().await.unwrap()
    }

    fn secret(&self, trigger: Trigger) -> &Secret {
        &self.hooks.secrets().iter().find(|(t, _)| *t == trigger).unwrap().1
    }

    async fn ask(&self, trigger: Trigger, data: Value) -> Value {
        self.ask_in(trigger, json!({}), data).await
    }

    async fn ask_in(&self, trigger: Trigger, context: Value, data: Value) -> Value {
        let event = json!({"trigger_point": trigger, "interceptor_context": context, "data": data}).to_string();
        let now = self.clock.now().as_second();
        let signature = Key::sign(self.secret(trigger), "msg_1", now, &event);
        let reply = self.send(trigger, now, &signature, event).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    async fn machine(&self, scopes: &[&str], dry_run: bool) -> Value {
        let claims = json!({"client_id": "batch", "claims": {"scope": scopes.join(" ")}});
        let data = json!({"m2m_token_claims": claims});
        self.ask_in(Trigger::PreM2mTokenCreation, json!({"dry_run": dry_run}), data)
            .await
    }

    async fn invite(&self, email: &str) -> Value {
        let data = json!({"organization": {"id": "org_tea"}, "user": {"email": email}});
        self.ask(Trigger::PreUserInvitation, data).await
    }
}

fn user(email: &str) -> Value {
    json!({"user": {"email": email}})
}

fn decision(answer: &Value) -> &str {
    answer["decision"].as_str().unwrap()
}

#[tokio::test]
async fn only_a_fresh_request_with_a_good_signature_is_answered() {
    let world = World::start().await;
    let (trigger, now) = (Trigger::PreSignup, world.clock.now().as_second());
    let event = json!({"trigger_point": trigger, "data": user("ada@example.com")}).to_string();
    let sign = |trigger, at| Key::sign(world.secret(trigger), "msg_1", at, &event);
    let good = sign(trigger, now);
    let of_another = sign(Trigger::PreUserInvitation, now);
    let two = format!("{of_another} {good}");
    for (what, timestamp, signature, body, status) in [
        ("good", now, good.as_str(), event.clone(), 200),
        ("one of two", now, two.as_str(), event.clone(), 200),
        ("another key", now, of_another.as_str(), event.clone(), 401),
        ("another body", now, good.as_str(), event.replace("ada", "eve"), 401),
        ("another time", now + 1, good.as_str(), event.clone(), 401),
        ("no version", now, good.trim_start_matches("v1,"), event.clone(), 401),
        ("empty", now, "", event.clone(), 401),
        ("old", now - 301, sign(trigger, now - 301).as_str(), event.clone(), 401),
    ] {
        let reply = world.send(trigger, timestamp, signature, body).await;
        assert_eq!(reply.status, status, "{what}");
    }
    assert_eq!(world.hooks.consults().len(), 2);
}

#[tokio::test]
async fn disposable_domains_are_denied_however_they_are_written() {
    let world = World::start().await;
    for (email, expected) in [
        ("ada@example.com", "ALLOW"),
        ("ada@notmailinator.com", "ALLOW"),
        ("ada@mailinator.com", "DENY"),
        ("ada@MAILINATOR.com.", "DENY"),
        ("ada@eu.mailinator.com", "DENY"),
        ("ada@example.com@mailinator.com", "DENY"),
        ("nobody", "DENY"),
    ] {
        let answer = world.ask(Trigger::PreSignup, user(email)).await;
        assert_eq!(decision(&answer), expected, "{email}");
    }
}

#[tokio::test]
async fn a_session_gets_roles_and_flags_or_a_word_about_sso() {
    let world = World::start().await;
    let ada = world.ask(Trigger::PreSessionCreation, user("ada@example.com")).await;
    assert_eq!(ada["response"]["claims"]["roles"], json!(["admin", "billing"]));
    assert_eq!(ada["response"]["claims"]["feature_flags"]["export"], true);
    let grace = world
        .ask(Trigger::PreSessionCreation, user("grace@bigcorp.example"))
        .await;
    assert_eq!(grace["error"]["message"], "Your company signs in with SSO.");
    let unknown = world
        .ask(Trigger::PreSessionCreation, json!({"user": {"id": "1"}}))
        .await;
    assert_eq!(decision(&unknown), "DENY");
}

#[tokio::test]
async fn a_team_is_full_at_four_and_nobody_takes_two_seats() {
    let world = World::start().await;
    assert_eq!(decision(&world.invite("joan@example.com").await), "ALLOW");
    assert_eq!(decision(&world.invite("Joan@example.com").await), "ALLOW");
    let full = world.invite("kate@example.com").await;
    assert_eq!(
        full["error"]["message"],
        "Your plan has 4 seats and all of them are taken."
    );
}

#[tokio::test]
async fn a_machine_gets_five_tokens_a_minute_and_less_scope_than_it_asked_for() {
    let world = World::start().await;
    let first = world.machine(&["reports:read", "reports:write"], false).await;
    assert_eq!(
        first["response"]["claims"],
        json!({"scope": "reports:read", "tier": "standard"})
    );
    assert_eq!(decision(&world.machine(&["admin"], false).await), "DENY");
    for _ in 0..3 {
        world.machine(&["reports:read"], true).await;
    }
    for _ in 0..4 {
        assert_eq!(decision(&world.machine(&["reports:read"], false).await), "ALLOW");
    }
    assert_eq!(decision(&world.machine(&["reports:read"], false).await), "DENY");
    world.clock.set(world.clock.now() + SignedDuration::from_secs(61));
    assert_eq!(decision(&world.machine(&["reports:read"], false).await), "ALLOW");
}
