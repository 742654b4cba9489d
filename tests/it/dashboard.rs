//! The operator's side, as a browser sees it.

mod access;
mod fuzz;
mod hostile;
mod log;
mod login;
mod pages;
mod trial;

use std::fs;

use tollgate::clock::Clock;

use crate::world::{Answer, Setup, World, client::Client, hook::SECRET, keys, proxy, setup::Places};

/// A page as a browser asks for it.
async fn page(dashboard: &Client, target: &str) -> Answer {
    dashboard.call("GET", target).header("accept", "text/html").send().await
}

/// A page that is expected to be there.
async fn text(dashboard: &Client, target: &str) -> String {
    let answer = page(dashboard, target).await;
    assert_eq!(answer.status, 200, "{target}: {answer:?}");
    answer.text()
}

/// The token that the forms of a page carry.
fn csrf(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=\"csrf\" value=\"")
        .unwrap_or_else(|| panic!("no form: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

/// One decision of every kind that the demo provider has requests for.
async fn decide(world: &World) {
    world.sign_up("ada.new@example.com").await;
    let tokens = world.log_in().await;
    world.machine_token("reports:read").await;
    world.invite(&tokens.access, "guest@example.com").await;
}

/// What a start with these lines in `[admin]` says is wrong.
async fn refused(lines: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hook.key"), SECRET).unwrap();
    fs::write(folder.path().join("short.token"), "short-secret").unwrap();
    let text = Setup::generic().section("admin", lines).toml(&Places {
        address: "127.0.0.1:0",
        public: "127.0.0.1:1",
        upstream: "http://127.0.0.1:1",
        hooks: "http://127.0.0.1:2",
        keys: keys::shared().to_str().unwrap(),
    });
    let started = proxy::start(folder.path(), &text, Clock::system()).await;
    started.err().expect("it must not start").to_string()
}
