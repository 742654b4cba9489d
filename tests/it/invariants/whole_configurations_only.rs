//! Invariant 8: A configuration is applied complete and valid, or not at all.

use std::{fs, net::TcpListener, sync::Arc};

use tollgate::{clock::Clock, dashboard::Attempt, event::Trigger};

use crate::{
    reload::UNWATCHED,
    world::{Setup, World, hook::SECRET, keys, proxy, setup::Places},
};

/// Starts with this file and gives what is wrong with it.
async fn errors_of(text: &str) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hook.key"), SECRET).unwrap();
    let started = proxy::start(folder.path(), text, Clock::system()).await;
    let errors = started.err().expect("it must not start");
    (errors.to_string(), folder)
}

fn sound(setup: &Setup, address: &str) -> String {
    setup.toml(&Places {
        address,
        public: address,
        upstream: "http://127.0.0.1:1",
        hooks: "http://127.0.0.1:2",
        keys: keys::shared().to_str().unwrap(),
    })
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once_with_line_and_hint_and_nothing_starts() {
    let address = proxy::free_address().to_string();
    let text = sound(&Setup::generic(), &address)
        .replace("preset = \"generic\"", "preset = \"keyclock\"")
        .replace("capsule_secret = { file = \"", "capsule_secret = { file = \"/nowhere")
        .replace("http://127.0.0.1:2/PRE_SIGNUP", "ftp://hooks.example.com")
        .replacen("on_failure = \"deny\"", "timeout = \"1ms\"", 1);
    let (errors, folder) = errors_of(&text).await;
    for (about, hint) in [
        ("keyclock", "keycloak"),
        ("capsule_secret", "keys init"),
        ("endpoint", "http"),
        ("a timeout of 1ms is out of range", "50ms"),
    ] {
        assert!(errors.contains(about) && errors.contains(hint), "{about}: {errors}");
    }
    for finding in errors.split("\n\n") {
        let (_, place) = finding
            .split_once("proxy.toml:")
            .unwrap_or_else(|| panic!("no place: {finding}"));
        assert!(place.starts_with(|c: char| c.is_ascii_digit()), "no line: {finding}");
        assert!(finding.contains('^'), "no caret: {finding}");
        assert!(finding.contains("hint: "), "no hint: {finding}");
    }
    assert!(!folder.path().join("audit.db").exists(), "something was started");
    TcpListener::bind(&address).expect("nothing listens there");
}

#[tokio::test]
async fn a_configuration_with_one_mistake_does_not_start_in_part() {
    let address = proxy::free_address().to_string();
    let good = sound(&Setup::generic(), &address);
    for (from, to, about) in [
        (
            "on_failure = \"deny\"",
            "on_failure = \"open\"",
            "`on_failure` must be `deny` or `allow`",
        ),
        ("[tokens]", "[tokens]\nalgoritm = \"match\"", "algorithm"),
        ("does = \"consult\"", "does = \"consul\"", "consult"),
        ("trigger = \"PRE_SIGNUP\"\nbodies", "bodies", "trigger"),
        ("denial = \"page\"", "denial = \"pages\"", "there is no denial `pages`"),
        ("\"form:email\"", "\"from:email\"", "is no source"),
        ("environment = \"test\"", "environment = \"\"", "environment"),
        ("{ file = \"hook.key\" }", "{ file = \"other.key\" }", "secret"),
        (
            "{ file = \"hook.key\" }",
            "\"whsec_Y2FuYXJ5LWluLXRoZS1maWxl\"",
            "secret",
        ),
        ("name = \"PRE_USER_INVITATION\"", "name = \"PRE_SIGNUP\"", "PRE_SIGNUP"),
    ] {
        assert!(good.contains(from), "{from}");
        let (errors, folder) = errors_of(&good.replacen(from, to, 1)).await;
        assert!(errors.contains(about), "{to}: {errors}");
        assert!(errors.contains("proxy.toml:"), "{to}: no place in {errors}");
        assert!(!errors.contains("Y2FuYXJ5"), "a secret is shown: {errors}");
        assert!(!folder.path().join("audit.db").exists(), "{to}: something was started");
    }
    TcpListener::bind(&address).expect("nothing listens there");
}

#[tokio::test]
async fn a_session_interceptor_must_say_what_happens_when_it_fails() {
    let address = proxy::free_address().to_string();
    let setup = Setup::generic().policy(tollgate::event::Trigger::PreSessionCreation, "");
    let (errors, _) = errors_of(&sound(&setup, &address)).await;
    assert!(errors.contains("on_failure"), "{errors}");
    assert!(errors.contains("PRE_SESSION_CREATION"), "{errors}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_and_the_audit_is_let_go() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = sound(&Setup::generic(), &address);
    let (errors, folder) = errors_of(&text).await;
    assert!(errors.contains("listen"), "{errors}");
    drop(taken);
    let (_, running) = proxy::start(folder.path(), &text, Clock::system())
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    running.stop().await;
}

#[tokio::test]
async fn a_reload_with_a_mistake_changes_nothing_and_one_without_changes_everything() {
    let world = World::start(UNWATCHED).await;
    let sound = world.text();
    for (from, to, about) in [
        ("on_failure = \"deny\"", "on_failure = \"open\"", "`on_failure` must be"),
        ("[tokens]", "[tokens", "proxy.toml:"),
        ("does = \"consult\"", "does = \"consul\"", "consult"),
        ("{ file = \"hook.key\" }", "{ file = \"other.key\" }", "other.key"),
        ("/signing\"", "/nowhere\"", "keys"),
        ("preset = \"generic\"", "preset = \"genric\"", "generic"),
    ] {
        // What is right beside the mistake is not applied either.
        let wrong = sound.replacen(from, to, 1).replace("\"test\"", "\"half\"");
        world.write(&wrong);
        let Attempt::Refused(why) = world.reload().await else {
            panic!("{to} was applied");
        };
        assert!(why.contains(about) && why.contains("proxy.toml:"), "{to}: {why}");
        assert_eq!(world.standing().revision, world.config.revision);
        assert_eq!(world.machine_token("reports:read").await.status, 200);
        let event = world.hook.event(Trigger::PreM2mTokenCreation);
        assert_eq!(event["interceptor_context"]["environment_id"], "test");
    }
    world.write(&sound.replace("\"test\"", "\"next\""));
    world.reloaded().await;
    world.machine_token("reports:read").await;
    let event = world.hook.event(Trigger::PreM2mTokenCreation);
    assert_eq!(event["interceptor_context"]["environment_id"], "next");
}

#[tokio::test]
async fn a_request_in_flight_finishes_under_the_configuration_that_it_began_with() {
    let world = Arc::new(World::start(UNWATCHED).await);
    let first = world.standing().revision;
    let held = world.hook.hold(Trigger::PreM2mTokenCreation);
    let paused = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.machine_token("reports:read").await }
    });
    world.hook.was_asked(Trigger::PreM2mTokenCreation).await;

    // From now on such requests are denied, by another endpoint.
    world
        .hook
        .reply("next", crate::world::Reply::Deny("Not any more".into()));
    world.change("/PRE_M2M_TOKEN_CREATION\"", "/next\"");
    world.reloaded().await;
    let second = world.standing().revision;
    let denied = world.machine_token("reports:read").await;
    assert_eq!(denied.status, 400, "{denied:?}");
    held.release();
    let paused = paused.await.unwrap();
    assert_eq!(paused.status, 200, "{paused:?}");

    // What followed from the denial has a record as well.
    let mut revisions: Vec<_> = world.audit().into_iter().map(|r| r.entry.revision.unwrap()).collect();
    revisions.dedup();
    assert_eq!(revisions, [second, first], "each names the one that decided");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_nothing_else_of_the_file_is_applied() {
    let world = World::start(UNWATCHED).await;
    let text = world.text().replace("\"test\"", "\"half\"");
    world.write(&format!(
        "{text}\n[audit]\nstore = \"sqlite:other.db\"\n[log]\nlevel = \"debug\"\n"
    ));
    let Attempt::Refused(why) = world.reload().await else {
        panic!("it was applied");
    };
    for about in [
        "`store` in `[audit]`",
        "`level` in `[log]`",
        "restart Tollgate",
        "proxy.toml:",
    ] {
        assert!(why.contains(about), "{about}: {why}");
    }
    assert_eq!(world.standing().revision, world.config.revision);
    assert!(!world.folder.path().join("other.db").exists());
}

#[tokio::test]
async fn an_address_that_is_taken_refuses_the_whole_reload() {
    let world = World::start(UNWATCHED).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("address = \"{}\"", world.address);
    world.change(&address, &format!("address = \"{}\"", taken.local_addr().unwrap()));
    let Attempt::Refused(why) = world.reload().await else {
        panic!("it was applied");
    };
    assert!(why.contains("cannot listen on"), "{why}");
    assert_eq!(world.machine_token("reports:read").await.status, 200);
}
