//! What the pages say.

use tollgate::event::Trigger;

use super::{decide, page, text};
use crate::world::World;

#[tokio::test]
async fn every_page_says_what_it_is_for() {
    let world = World::start("").await;
    world.hook.deny(Trigger::PreSignup, "Work e-mail only");
    decide(&world).await;
    let dashboard = world.dashboard();
    for (target, expected) in [
        (
            "/",
            &[
                "What runs",
                "Latest decisions",
                "PRE_SIGNUP",
                "Denied",
                "Allowed",
                "ada.new@example.com",
            ][..],
        ),
        ("/interceptors", &["PRE_M2M_TOKEN_CREATION", "Breaker closed"]),
        (
            "/interceptors/PRE_SIGNUP",
            &["file hook.key", "proxy.toml:", "default", "on_failure"],
        ),
        ("/interceptors/PRE_SIGNUP/log", &["Denied", "ada.new@example.com"]),
        ("/interceptors/PRE_SIGNUP/test", &["Test"]),
    ] {
        let text = text(&dashboard, target).await;
        for expected in expected {
            assert!(text.contains(expected), "{target} does not say {expected}: {text}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let world = World::start("").await;
    let dashboard = world.dashboard();
    for target in [
        "/nowhere",
        "/interceptors/Nobody",
        "/interceptors/Nobody/log",
        "/interceptors/Nobody/test",
        "/assets/../x",
    ] {
        assert_eq!(page(&dashboard, target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn machines_are_told_how_it_is() {
    let world = World::start("").await;
    let dashboard = world.dashboard();
    assert_eq!(text(&dashboard, "/healthz").await, "alive\n");
    assert_eq!(text(&dashboard, "/readyz").await, "ready\n");
    let metrics = text(&dashboard, "/metrics").await;
    assert!(
        metrics.contains("tollgate_breaker_open{interceptor=\"PRE_SIGNUP\"} 0"),
        "{metrics}"
    );
}
