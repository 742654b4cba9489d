//! What is one upstream's is worth nothing at another.

use serde_json::json;
use tollgate::event::Trigger;

use super::two;
use crate::world::two::{Two, interceptor};

#[tokio::test]
async fn a_token_of_one_upstream_is_refused_at_the_other_and_never_mapped_back_there() {
    replayed_at_the_other(&two().await).await;
}

#[tokio::test]
async fn nor_is_it_where_tokens_of_the_providers_own_are_taken() {
    replayed_at_the_other(&Two::start("[tokens]\nrequire_reissued = false\n\n").await).await;
}

async fn replayed_at_the_other(two: &Two) {
    let customers = two.customers.log_in().await;
    let staff = two.staff.log_in().await;
    for (own, other, tokens) in [
        (&two.customers, &two.staff, &customers),
        (&two.staff, &two.customers, &staff),
    ] {
        assert_eq!(own.get("/userinfo").bearer(&tokens.access).send().await.status, 200);
        other.provider.forget_requests();
        let answer = other.get("/userinfo").bearer(&tokens.access).send().await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let refreshed = other
            .post("/token")
            .basic("web", "web-secret")
            .form(&[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh)])
            .send()
            .await;
        assert!(refreshed.status >= 400, "{refreshed:?}");
        let introspected = other
            .post("/introspect")
            .basic("web", "web-secret")
            .form(&[("token", &tokens.access)])
            .send()
            .await;
        assert!(
            introspected.status >= 400 || introspected.json()["active"] == false,
            "{introspected:?}"
        );
        // Nothing that the first provider issued has gone to the second.
        for issued in own.provider.issued() {
            let seen = other.provider.requests();
            assert!(
                seen.iter().all(|request| !format!("{request:?}").contains(&issued)),
                "{issued}"
            );
        }
    }
}

#[tokio::test]
async fn an_interceptor_is_asked_where_it_says_and_nowhere_else() {
    let text = [
        interceptor("plan", Trigger::PreSessionCreation, "upstreams = [\"customers\"]"),
        interceptor("badge", Trigger::PreSessionCreation, "upstreams = [\"staff\"]"),
        interceptor("both", Trigger::PreM2mTokenCreation, ""),
    ];
    let two = Two::start(&text.concat()).await;
    two.hook
        .reply("plan", crate::world::Reply::Claims(json!({"plan": "gold"})));
    two.hook.reply("badge", crate::world::Reply::Deny("No badge".into()));
    let tokens = two.customers.log_in().await;
    assert_eq!(crate::world::keys::claims(&tokens.access)["plan"], "gold");
    let code = two.staff.code("web").await;
    let denied = two.staff.redeem(&code).await;
    assert_eq!(
        (denied.status, denied.json()["error_description"].clone()),
        (400, json!("No badge"))
    );
    assert_eq!((two.hook.asked("plan").len(), two.hook.asked("badge").len()), (1, 1));

    two.customers.machine_token("reports:read").await;
    two.staff.machine_token("reports:read").await;
    assert_eq!(two.hook.asked("both").len(), 2, "without `upstreams` it is for all");
}

#[tokio::test]
async fn a_route_is_recognised_where_it_says_and_nowhere_else() {
    let route = "[[route]]\nname = \"signup\"\nupstreams = [\"staff\"]\nmethods = [\"POST\"]\npath = \"/signup\"\ndoes = \"consult\"\n\
                 trigger = \"PRE_SIGNUP\"\nbodies = [\"form\"]\nfacts = { \"user.email\" = \"form:email\" }\n\n";
    let two = Two::start(&(interceptor("signup", Trigger::PreSignup, "") + route)).await;
    two.hook.reply("signup", crate::world::Reply::Deny("No".into()));
    assert_ne!(two.customers.sign_up("ann@example.com").await.status, 400);
    assert!(two.customers.provider.has_user("ann@example.com"));
    assert!(two.hook.asked("signup").is_empty());

    assert!(two.staff.sign_up("ann@example.com").await.status >= 400);
    assert!(!two.staff.provider.has_user("ann@example.com"));
    assert_eq!(two.hook.asked("signup").len(), 1);
}

#[tokio::test]
async fn a_breaker_that_opens_at_one_upstream_is_closed_at_the_other() {
    let two = Two::start(&interceptor("both", Trigger::PreM2mTokenCreation, "")).await;
    two.hook
        .reply("both", crate::world::Reply::Raw(503, "text/plain", "down".into()));
    for _ in 0..6 {
        two.customers.machine_token("reports:read").await;
    }
    let asked = two.hook.asked("both").len();
    two.customers.machine_token("reports:read").await;
    assert_eq!(two.hook.asked("both").len(), asked, "the breaker is open");
    two.hook.reply("both", crate::world::Reply::Allow);
    assert_eq!(two.staff.machine_token("reports:read").await.status, 200);
    assert_eq!(two.hook.asked("both").len(), asked + 1);
}
