//! The button on the dashboard, and who may press it.

use tollgate::event::Trigger;

use super::world;
use crate::world::{World, client::Client};

fn csrf(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

async fn shown(dashboard: &Client, target: &str) -> String {
    let answer = dashboard.call("GET", target).header("accept", "text/html").send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

async fn press(world: &World, csrf: &str) -> crate::world::Answer {
    let dashboard = world.dashboard();
    let form = [("csrf", csrf)];
    dashboard.call("POST", "/configuration").form(&form).send().await
}

#[tokio::test]
async fn the_button_applies_the_file_and_says_what_came_of_it() {
    let world = world().await;
    let dashboard = world.dashboard();
    let page = shown(&dashboard, "/configuration").await;
    assert!(page.contains(&world.config.revision), "{page}");
    assert_eq!(press(&world, "").await.status, 403, "without the token of a form");
    assert_eq!(press(&world, "forged").await.status, 403);

    let csrf = csrf(&page);
    assert!(press(&world, &csrf).await.text().contains("Nothing has changed"));
    world.change("environment = \"test\"", "environment = \"other\"");
    let answer = press(&world, &csrf).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains("The new configuration runs"),
        "{}",
        answer.text()
    );
    assert!(
        shown(&dashboard, "/")
            .await
            .contains("<span class=\"environment\" title=\"environment in the configuration\">other</span>")
    );

    world.change("on_failure = \"deny\"", "on_failure = \"open\"");
    let answer = press(&world, &csrf).await.text();
    assert!(
        answer.contains("was refused") && answer.contains("proxy.toml:"),
        "{answer}"
    );
    assert!(answer.contains("`on_failure` must be `deny` or `allow`"), "{answer}");
    assert!(answer.contains("\nhint: "), "line by line: {answer}");
    let overview = shown(&dashboard, "/").await;
    assert!(
        overview.contains("The configuration on the disk was refused") && overview.contains("/configuration"),
        "{overview}"
    );

    world.change("on_failure = \"open\"", "on_failure = \"deny\"");
    press(&world, &csrf).await;
    let overview = shown(&dashboard, "/").await;
    assert!(!overview.contains("was refused"), "{overview}");
    world.sign_up("ann@example.com").await;
    assert_eq!(
        world.hook.event(Trigger::PreSignup)["interceptor_context"]["environment_id"],
        "other"
    );
}
