//! A configuration takes the place of another while requests come.

mod binary;
mod page;
mod watched;

use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tollgate::{dashboard::Attempt, event::Trigger};

use crate::{
    transport::Certificate,
    world::{Setup, World, hook::Reply, keys, proxy::free_address, stub},
};

/// A world that loads its configuration when it is told to, and not by itself.
pub(crate) async fn world() -> World {
    World::start(UNWATCHED).await
}

pub(crate) const UNWATCHED: &str = "[reload]\nwatch = false\n";

#[tokio::test]
async fn an_interceptor_is_added_changed_and_removed() {
    let world = world().await;
    let text = world.text();
    world.hook.deny(Trigger::PreSignup, "No");
    assert_eq!(world.sign_up("ann@example.com").await.status, 403);

    world.change("/PRE_SIGNUP\"", "/other\"");
    assert_eq!(
        world.sign_up("ann@example.com").await.status,
        403,
        "nothing is applied yet"
    );
    world.reloaded().await;
    assert_ne!(world.sign_up("ann@example.com").await.status, 403);
    assert_eq!(world.hook.asked("other").len(), 1);

    let (before, rest) = text.split_once("[[interceptor]]\nname = \"PRE_SIGNUP\"").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    world.write(&format!("{before}{after}"));
    world.reloaded().await;
    assert_ne!(world.sign_up("bob@example.com").await.status, 403);
    assert_eq!(world.hook.asked("other").len(), 1, "nobody is asked any more");

    world.write(&text);
    world.reloaded().await;
    assert_eq!(world.sign_up("cyd@example.com").await.status, 403);
    assert_eq!(world.reload().await, Attempt::Unchanged);
}

#[tokio::test]
async fn counters_go_on_and_what_is_named_anew_gets_its_series() {
    let world = world().await;
    world.machine_token("reports:read").await;
    let machine = [("interceptor", "PRE_M2M_TOKEN_CREATION")];
    assert_eq!(world.metrics().sum("tollgate_consults_total", &machine), 1.0);

    world.change("name = \"PRE_SIGNUP\"", "name = \"Renamed\"");
    world.reloaded().await;
    world.machine_token("reports:read").await;
    world.sign_up("ann@example.com").await;
    let metrics = world.metrics();
    assert_eq!(metrics.sum("tollgate_consults_total", &machine), 2.0);
    assert_eq!(
        metrics.sum("tollgate_consults_total", &[("interceptor", "Renamed")]),
        1.0
    );
    assert_eq!(metrics.sum("tollgate_reloads_total", &[("outcome", "applied")]), 1.0);
    let revision = world.standing().revision;
    assert_ne!(revision, world.config.revision);
    assert_eq!(metrics.sum("tollgate_config_info", &[]), 1.0, "one configuration runs");
    assert_eq!(metrics.sum("tollgate_config_info", &[("revision", &revision)]), 1.0);
    assert_eq!(metrics.sum("tollgate_audit_records_total", &[]), 3.0);
}

#[tokio::test]
async fn a_breaker_stays_open_where_its_interceptor_is_the_same() {
    let world = world().await;
    let down = Reply::Raw(503, "text/plain", "down".into());
    world.hook.reply(Trigger::PreSignup, down);
    for at in 0..5 {
        world.sign_up(&format!("ann{at}@example.com")).await;
    }
    let state = || {
        world
            .metrics()
            .sum("tollgate_interceptor_breaker_state", &[("interceptor", "PRE_SIGNUP")])
    };
    assert_eq!(state(), 2.0);

    // An item before it moves it, and changes nothing of it.
    world.change(
        "[[interceptor]]\nname = \"PRE_SIGNUP\"",
        "[[interceptor]]\nname = \"First\"\ntrigger = \"PRE_SIGNUP\"\nendpoint = \"http://127.0.0.1:1/first\"\nenabled = false\n\
         secret = { file = \"hook.key\" }\non_failure = \"deny\"\n\n[[interceptor]]\nname = \"PRE_SIGNUP\"",
    );
    world.reloaded().await;
    assert_eq!(state(), 2.0);

    world.change("/PRE_SIGNUP\"", "/PRE_SIGNUP\"\ntimeout = \"4s\"");
    world.reloaded().await;
    assert_eq!(state(), 0.0, "another interceptor begins anew");
}

#[tokio::test]
async fn what_was_learned_of_an_upstream_that_is_the_same_is_kept() {
    let world = world().await;
    world.log_in().await;
    let before = (
        world.arrived("/jwks"),
        world.arrived("/.well-known/openid-configuration"),
    );
    world.change("environment = \"test\"", "environment = \"other\"");
    world.reloaded().await;
    world.log_in().await;
    let after = (
        world.arrived("/jwks"),
        world.arrived("/.well-known/openid-configuration"),
    );
    assert_eq!(after, before);
    assert_eq!(
        world.hook.event(Trigger::PreSessionCreation)["interceptor_context"]["environment_id"],
        "other"
    );
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_open_ones_go_on() {
    let (first, second) = (Certificate::make(), Certificate::make());
    let stub = stub::Stub::start(|_| stub::reply(200, "text/plain", "here".to_owned())).await;
    let hook = crate::world::Hook::start().await;
    let setup = Setup::keycloak()
        .https()
        .section("listen", &first.setting)
        .more(UNWATCHED);
    let proxy = crate::world::Proxy::start(&setup, &stub.url(), &hook).await;
    let page = || Request::get(format!("{}/", proxy.url)).body(Full::default()).unwrap();
    let early = first.client(true);
    assert_eq!(early.request(page()).await.unwrap().status(), 200);

    second.replace(&first);
    proxy.reloaded().await;
    let answer = early.request(page()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "here");
    assert_eq!(second.client(true).request(page()).await.unwrap().status(), 200);
    assert!(first.client(true).request(page()).await.is_err(), "a new connection");
}

#[tokio::test]
async fn a_new_address_is_bound_before_the_old_one_is_let_go() {
    let world = world().await;
    let held = world.hook.hold(Trigger::PreSignup);
    let (old, new) = (world.address, free_address());
    let in_flight = tokio::spawn(signup_at(&world.url));
    world.hook.was_asked(Trigger::PreSignup).await;
    world.change(&format!("address = \"{old}\""), &format!("address = \"{new}\""));
    world.reloaded().await;
    let moved = crate::world::client::Client::new(&format!("http://{new}"));
    let jwks = moved.call("GET", "/jwks").header("host", &old.to_string()).send().await;
    assert_eq!(jwks.status, 200, "{jwks:?}");
    held.release();
    let status = in_flight.await.unwrap();
    assert!(status < 400, "the request in flight got {status}");
    crate::world::until("the old address is let go", || async {
        tokio::net::TcpStream::connect(old).await.is_err()
    })
    .await;
}

/// Signs somebody up, apart from the world's borrows.
fn signup_at(url: &str) -> impl Future<Output = u16> + use<> {
    let client = crate::world::client::Client::new(url);
    async move {
        let fields = [
            ("name", "Ann"),
            ("email", "ann@example.com"),
            ("password", "a password"),
        ];
        client.call("POST", "/signup").form(&fields).send().await.status
    }
}

#[tokio::test]
async fn the_revision_covers_the_files_that_decisions_depend_on() {
    let world = world().await;
    let revision = || world.standing().revision;
    let first = revision();
    let page = world.folder.path().join("denied.html");
    std::fs::write(&page, "<p>{{message}}</p>").unwrap();
    let text = world.text();
    world.write(&format!("{text}\n[denial]\npage = \"denied.html\"\n"));
    world.reloaded().await;
    let second = revision();
    assert_ne!(first, second);

    std::fs::write(&page, "<b>{{message}}</b>").unwrap();
    world.reloaded().await;
    let third = revision();
    assert_ne!(second, third, "a page is other text");

    // A file of the same name in the place of a built-in preset.
    let preset = std::fs::read_to_string("presets/generic.toml").unwrap();
    let own = world.folder.path().join("own.toml");
    std::fs::write(&own, &preset).unwrap();
    world.change("preset = \"generic\"", "preset = \"own.toml\"");
    world.reloaded().await;
    let fourth = revision();
    std::fs::write(&own, format!("{preset}\n# Another line.\n")).unwrap();
    world.reloaded().await;
    assert_ne!(fourth, revision(), "the preset's text counts");
    assert_eq!(world.machine_token("reports:read").await.status, 200);
    assert_eq!(
        world.audit().last().unwrap().entry.revision.as_deref(),
        Some(revision().as_str())
    );
}

#[tokio::test]
async fn redaction_changes_without_a_restart() {
    let world = world().await;
    world.sign_up("ann@example.com").await;
    assert_eq!(world.audit()[0].entry.user_email.as_deref(), Some("ann@example.com"));
    let text = world.text();
    world.write(&format!("{text}\n[audit]\nredact = {{ user_email = \"drop\" }}\n"));
    world.reloaded().await;
    world.sign_up("bob@example.com").await;
    assert_eq!(world.audit()[1].entry.user_email, None);
}

#[tokio::test]
async fn claims_of_the_old_configuration_are_not_lost() {
    let world = world().await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let tokens = world.log_in().await;
    world.change("environment = \"test\"", "environment = \"other\"");
    world.reloaded().await;
    assert_eq!(world.get("/userinfo").bearer(&tokens.access).send().await.status, 200);
    assert_eq!(keys::verified(&tokens.id, &world.jwks().await)["plan"], "gold");
}
