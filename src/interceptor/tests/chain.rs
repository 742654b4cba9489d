//! Several interceptors for one trigger.

use serde_json::{Value, json};

use super::{
    World, denied,
    hook::{Hook, Step, json_answer},
    session,
};
use crate::{
    clock::Period,
    event::Trigger,
    interceptor::sample,
    verdict::{Additions, DecidedBy, Decision, Effect, FailureKind, Verdict},
};

async fn adding(claims: Value) -> Hook {
    Hook::saying(json!({"decision": "ALLOW", "response": {"claims": claims}})).await
}

fn added(verdict: &Verdict) -> &Additions {
    match &verdict.decision {
        Decision::Allow(additions) => additions,
        Decision::Deny { .. } => panic!("{verdict:?}"),
    }
}

#[tokio::test]
async fn claims_add_up_in_file_order() {
    let (plan, seats) = (
        adding(json!({"plan": "gold", "tier": 1})).await,
        adding(json!({"seats": 4, "tier": 1})).await,
    );
    let world = World::of([
        json!({"name": "plan", "endpoint": plan.url()}),
        json!({"name": "seats", "endpoint": seats.url()}),
    ]);
    let verdict = world.session().await;
    let both = json!({"plan": "gold", "tier": 1, "seats": 4});
    assert_eq!(Value::from(added(&verdict).access_token.clone()), both);
    let asked: Vec<_> = verdict.consultations.iter().map(|c| c.interceptor.as_str()).collect();
    assert_eq!(asked, ["plan", "seats"]);
}

#[tokio::test]
async fn the_first_deny_ends_it() {
    let deny = Hook::saying(json!({"decision": "DENY", "error": {"message": "No."}})).await;
    let (before, after) = (adding(json!({"a": 1})).await, adding(json!({"b": 1})).await);
    let world = World::of([
        json!({"name": "1", "endpoint": before.url()}),
        json!({"name": "2", "endpoint": deny.url()}),
        json!({"name": "3", "endpoint": after.url()}),
    ]);
    let verdict = world.session().await;
    assert_eq!(
        verdict.decision,
        Decision::Deny {
            message: Some("No.".into())
        }
    );
    assert_eq!(verdict.consultations.len(), 2);
    assert!(after.requests().is_empty());
}

#[tokio::test]
async fn the_second_of_two_that_set_a_claim_differently_has_failed_as_invalid() {
    for (on_invalid, denies) in [("deny", true), ("allow", false)] {
        let (first, second) = (
            adding(json!({"plan": "gold"})).await,
            adding(json!({"plan": "free", "x": 1})).await,
        );
        let world = World::of([
            json!({"name": "first", "endpoint": first.url()}),
            json!({"name": "second", "endpoint": second.url(), "on_invalid": on_invalid}),
        ]);
        let verdict = world.session().await;
        assert_eq!(denied(&verdict), denies);
        let second = &verdict.consultations[1];
        assert_eq!(second.decided_by, DecidedBy::OnInvalid);
        assert_eq!(second.failure.as_ref().unwrap().kind, FailureKind::Invalid);
        if !denies {
            assert_eq!(Value::from(added(&verdict).id_token.clone()), json!({"plan": "gold"}));
        }
    }
}

#[tokio::test]
async fn two_interceptors_share_an_object_below_claims_at() {
    let (plan, seats) = (adding(json!({"plan": "gold"})).await, adding(json!({"seats": 4})).await);
    let world = World::of([
        json!({"name": "plan", "endpoint": plan.url(), "claims_at": "custom_claims"}),
        json!({"name": "seats", "endpoint": seats.url(), "claims_at": "custom_claims"}),
    ]);
    let verdict = world.session().await;
    let expected = json!({"custom_claims": {"plan": "gold", "seats": 4}});
    assert_eq!(Value::from(added(&verdict).access_token.clone()), expected);
}

#[tokio::test]
async fn two_organizations_for_one_signup_are_a_conflict() {
    let joining = |id: &str| {
        let membership = json!({"organization_id": id, "roles": ["member"]});
        Hook::saying(json!({"decision": "ALLOW", "response": {"create_organization_membership": membership}}))
    };
    let (first, second) = (joining("a").await, joining("b").await);
    let table = |name, hook: &Hook| json!({"name": name, "trigger": "PRE_SIGNUP", "endpoint": hook.url()});
    let (event, existing) = sample(Trigger::PreSignup, jiff::Timestamp::UNIX_EPOCH);
    let one = World::of([table("1", &first)]);
    let verdict = one.interceptors.consult(&event, &existing).await;
    assert_eq!(
        added(&verdict).organization_membership.as_ref().unwrap()["organization_id"],
        "a"
    );
    let two = World::of([table("1", &first), table("2", &second)]);
    let verdict = two.interceptors.consult(&event, &existing).await;
    assert_eq!(verdict.consultations[1].decided_by, DecidedBy::OnInvalid);
}

#[tokio::test]
async fn only_those_whose_trigger_and_conditions_fit_are_asked() {
    let hook = adding(json!({})).await;
    let world = World::of([
        json!({"name": "other trigger", "endpoint": hook.url(), "trigger": "PRE_SIGNUP"}),
        json!({"name": "other client", "endpoint": hook.url(), "when": {"clients": ["mobile-*"]}}),
        json!({"name": "this client", "endpoint": hook.url(), "when": {"clients": ["mobile-*", "web-*"]}}),
        json!({"name": "excluded", "endpoint": hook.url(), "unless": {"networks": ["203.0.113.0/24"]}}),
        json!({"name": "off", "endpoint": hook.url(), "enabled": false}),
    ]);
    let verdict = world.session().await;
    let asked: Vec<_> = verdict.consultations.iter().map(|c| c.interceptor.as_str()).collect();
    assert_eq!(asked, ["this client"]);
    let (mut event, existing) = session();
    assert!(world.interceptors.applies(&event));
    event.context.client_id = Some("batch".into());
    assert!(!world.interceptors.applies(&event));
    assert_eq!(world.interceptors.consult(&event, &existing).await, Verdict::unasked());
}

#[tokio::test]
async fn all_interceptors_together_keep_within_the_budget() {
    let slow = Hook::scripted([vec![Step::Hang]]).await;
    let never = Hook::answering(&json_answer("{\"decision\":\"ALLOW\"}")).await;
    let table = |name, hook: &Hook| json!({"name": name, "endpoint": hook.url(), "on_failure": "allow"});
    let world = World::within(Period::millis(300), [table("slow", &slow), table("never", &never)]);
    let started = std::time::Instant::now();
    let verdict = world.session().await;
    assert!(started.elapsed().as_secs() < 10);
    let last = &verdict.consultations[1];
    assert_eq!(
        (last.effect, last.decided_by, last.calls()),
        (Effect::Allow, DecidedBy::OnFailure, 0)
    );
    assert!(
        last.failure.as_ref().unwrap().detail.contains("used up the time"),
        "{last:?}"
    );
    assert!(never.requests().is_empty());
}

#[tokio::test]
async fn a_machine_token_gets_claims_scope_and_audience() {
    let hook = adding(json!({"scope": "reports:read reports:write", "aud": ["reports"], "team": "data"})).await;
    let world = World::of([json!({"endpoint": hook.url(), "trigger": "PRE_M2M_TOKEN_CREATION"})]);
    let (event, existing) = sample(Trigger::PreM2mTokenCreation, jiff::Timestamp::UNIX_EPOCH);
    let verdict = world.interceptors.consult(&event, &existing).await;
    assert_eq!(added(&verdict).access_token["scope"], "reports:read reports:write");
    assert_eq!(added(&verdict).access_token["aud"], json!(["reports"]));
    assert!(added(&verdict).id_token.is_empty());
}

#[tokio::test]
async fn a_call_that_the_others_left_little_time_does_not_count_for_the_breaker() {
    let slow = Hook::scripted([vec![Step::Hang]]).await;
    let world = World::within(
        Period::millis(400),
        [
            json!({"name": "slow", "endpoint": slow.url(), "timeout": "300ms", "on_failure": "allow"}),
            json!({"name": "hurried", "endpoint": slow.url(), "breaker": {"failures_in_a_row": 1}}),
        ],
    );
    for _ in 0..2 {
        assert_eq!(world.session().await.consultations[1].decided_by, DecidedBy::OnFailure);
    }
}
