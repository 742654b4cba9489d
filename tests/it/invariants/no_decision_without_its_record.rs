//! Invariant 4: A verdict is on disk in the audit before the client or the upstream sees its effect.

use std::{
    fs,
    sync::{Arc, Mutex, OnceLock},
};

use serde_json::json;
use tollgate::{
    audit::{Heads, Kind, Query, Reader, Report},
    clock::Clock,
    config::Config,
    event::Trigger,
    verdict::Effect,
};

use crate::world::{
    Hook, Proxy, Setup, World,
    stub::{self, Stub},
    until,
};

#[tokio::test]
async fn each_verdict_is_in_the_audit_when_the_client_sees_it() {
    let world = World::start("").await;
    world.sign_up("ann@example.com").await;
    let tokens = world.log_in().await;
    world.invite(&tokens.access, "guest@example.com").await;
    world.machine_token("reports:read").await;
    world.hook.deny(Trigger::PreSignup, "No");
    let denied = world.sign_up("eve@example.com").await;

    // Read at once: nothing is waited for.
    let records = world.audit();
    let seen: Vec<_> = records
        .iter()
        .map(|r| (r.entry.trigger.unwrap(), r.entry.decision.unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            (Trigger::PreSignup, Effect::Allow),
            (Trigger::PreSessionCreation, Effect::Allow),
            (Trigger::PreUserInvitation, Effect::Allow),
            (Trigger::PreM2mTokenCreation, Effect::Allow),
            (Trigger::PreSignup, Effect::Deny),
        ]
    );
    let last = &records[4].entry;
    assert_eq!(last.kind, Kind::Consult);
    assert_eq!(last.request_id, denied.header("x-request-id").unwrap());
    assert_eq!(last.message.as_deref(), Some("No"));
    assert_eq!(last.user_email.as_deref(), Some("eve@example.com"));
    assert_eq!(last.operation.as_deref(), Some("signup"));
    let asked = world.hook.asked(Trigger::PreSignup).pop().unwrap();
    assert_eq!(
        last.consult_id.as_deref(),
        Some(asked.headers["interceptor-id"].to_str().unwrap())
    );
    let reports = Reader::open(&world.config.audit, &world.config.base)
        .unwrap()
        .verify(&Heads::default())
        .unwrap();
    assert!(reports.iter().all(Report::holds), "{reports:?}");
}

#[tokio::test]
async fn a_signup_is_on_record_when_the_upstream_sees_it() {
    let config: Arc<OnceLock<Config>> = Arc::default();
    let recorded: Arc<Mutex<Vec<usize>>> = Arc::default();
    let stub = Stub::start({
        let (config, recorded) = (Arc::clone(&config), Arc::clone(&recorded));
        move |arrival| {
            if arrival.path().ends_with("/login-actions/registration") {
                let config = config.get().unwrap();
                let reader = Reader::open(&config.audit, &config.base).unwrap();
                let records = reader.records(&Query::default(), Clock::system().now()).unwrap();
                recorded.lock().unwrap().push(records.len());
            }
            stub::json(200, &json!({}))
        }
    })
    .await;
    let hook = Hook::start().await;
    let proxy = Proxy::start(&Setup::keycloak(), &stub.url(), &hook).await;
    config.set(proxy.config.clone()).unwrap();
    for n in 1..=3 {
        proxy
            .post("/realms/tg/login-actions/registration")
            .form(&[("email", &format!("{n}@example.com"))])
            .send()
            .await;
    }
    assert_eq!(*recorded.lock().unwrap(), [1, 2, 3]);
}

/// While the audit cannot be written, nothing that would need a record has an effect, and it goes on by itself when the
/// audit is back.
#[tokio::test]
async fn without_an_audit_recognised_requests_are_refused_and_have_no_effect() {
    let world = World::start("").await;
    let tokens = world.log_in().await;
    let (store, elsewhere) = (
        world.folder.path().join("audit.db"),
        world.folder.path().join("away.db"),
    );
    fs::rename(&store, &elsewhere).unwrap();

    let page = world.sign_up("ann@example.com").await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains(page.header("x-request-id").unwrap()));
    assert!(!world.provider.has_user("ann@example.com"));
    assert_eq!(world.arrived("/signup"), 0);

    assert_eq!(world.invite(&tokens.access, "guest@example.com").await.status, 503);
    assert!(!world.provider.has_user("guest@example.com"));

    for answer in [world.machine_token("admin").await, {
        let code = world.code("web").await;
        world.redeem(&code).await
    }] {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
        assert!(!answer.text().contains("eyJ"));
    }
    world.hook.deny(Trigger::PreSignup, "No");
    let denied = world.sign_up("eve@example.com").await;
    assert_eq!(denied.status, 503, "a DENY needs its record as well");

    assert_eq!(world.get("/").send().await.status, 200, "what nobody decides goes on");

    fs::rename(&elsewhere, &store).unwrap();
    world.hook.reply(Trigger::PreSignup, crate::world::Reply::Allow);
    assert_eq!(world.sign_up("ann@example.com").await.status, 201);
}

#[tokio::test]
async fn with_a_spool_decisions_go_on_while_the_store_is_away_and_are_all_in_it_afterwards() {
    let world = World::start("[audit]\non_failure = \"spool\"").await;
    let (store, elsewhere) = (
        world.folder.path().join("audit.db"),
        world.folder.path().join("away.db"),
    );
    assert_eq!(world.machine_token("reports:read").await.status, 200);
    fs::rename(&store, &elsewhere).unwrap();

    assert_eq!(world.machine_token("reports:read").await.status, 200);
    world.hook.deny(Trigger::PreSignup, "No");
    assert_eq!(world.sign_up("eve@example.com").await.status, 403);
    assert!(!world.provider.has_user("eve@example.com"));
    assert_eq!(world.metrics().sum("tollgate_audit_spooled_records", &[]), 2.0);
    assert_eq!(world.metrics().sum("tollgate_audit_failing", &[]), 0.0);
    let overview = world.dashboard().call("GET", "/").send().await.text();
    assert!(overview.contains("2 records wait in the spool"), "{overview}");
    assert_eq!(world.dashboard().call("GET", "/readyz").send().await.status, 200);

    fs::rename(&elsewhere, &store).unwrap();
    until("the spool is empty", || async {
        world.metrics().sum("tollgate_audit_spooled_records", &[]) == 0.0
    })
    .await;
    let records = world.audit();
    assert_eq!(records.len(), 3);
    assert_eq!(records[2].entry.decision, Some(Effect::Deny));
    let reports = Reader::open(&world.config.audit, &world.config.base)
        .unwrap()
        .verify(&Heads::default())
        .unwrap();
    assert!(reports.iter().all(Report::holds), "{reports:?}");
}

#[tokio::test]
async fn an_audit_that_cannot_be_opened_starts_nothing() {
    let world = World::start("").await;
    // The store belongs to the proxy that runs.
    let second = Proxy::serve(
        &Setup::generic(),
        &world.provider.url(),
        &world.hook,
        &world.folder,
        crate::world::proxy::free_address(),
        world.address,
    )
    .await;
    let errors = second.err().expect("it must not start").to_string();
    assert!(errors.contains("another Tollgate"), "{errors}");
}
