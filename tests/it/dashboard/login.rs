//! Logging in at the provider.

use http::Uri;
use jiff::{SignedDuration, Timestamp};
use tollgate::{clock::Clock, demo::provider::Client as ProviderClient, event::Trigger};

use super::csrf;
use crate::world::{
    Answer, Setup, World,
    client::Client,
    proxy::{ADMIN_TOKEN, free_address},
};

/// A world whose dashboard lets people log in; Ada has this role.
async fn world(role: &str) -> World {
    world_at(role, Clock::system()).await
}

async fn world_at(role: &str, clock: Clock) -> World {
    let admin = free_address();
    let lines = format!(
        "address = \"{admin}\"\nlogin = {{ client_id = \"tollgate\", client_secret = {{ file = \"admin.token\" }}, \
         roles = \"/roles\", viewers = [\"support\"], operators = [\"ops\"] }}"
    );
    let setup = Setup::generic().section("admin", &lines).at(clock);
    World::populated(setup, |mut options| {
        options.clients.push(
            ProviderClient::confidential("tollgate", ADMIN_TOKEN)
                .grants(&["authorization_code"])
                .scopes(&["openid", "profile", "email"])
                .redirect_uri(&format!("http://{admin}/login/callback")),
        );
        for user in options.users.iter_mut().filter(|user| user.id == "ada") {
            user.roles = vec![role.to_owned()];
        }
        options
    })
    .await
}

/// The value of a cookie that an answer sets, as the browser sends it back.
fn cookie(answer: &Answer, name: &str) -> String {
    let mut cookies = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap());
    let set = cookies
        .find(|cookie| cookie.starts_with(&format!("{name}=")))
        .unwrap_or_else(|| panic!("no `{name}`: {answer:?}"));
    set.split(';').next().unwrap().to_owned()
}

/// Goes to the provider, logs Ada in there, and gives where she is sent back to, with the cookie of the login.
async fn at_the_provider(world: &World, dashboard: &Client) -> (String, String) {
    let begun = dashboard.call("GET", "/login/start?next=/keys").send().await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let url: Uri = begun.header("location").unwrap().parse().unwrap();
    assert_eq!(
        format!("http://{}", url.authority().unwrap()),
        world.url,
        "the public address"
    );
    let query: Vec<(String, String)> = form_urlencoded::parse(url.query().unwrap().as_bytes())
        .into_owned()
        .collect();
    let parameter = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    assert_eq!(parameter("response_type"), Some("code"));
    assert_eq!(parameter("code_challenge_method"), Some("S256"));
    assert!(parameter("nonce").is_some_and(|nonce| nonce.len() > 20));
    let mut fields: Vec<(&str, &str)> = query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.extend([("login_hint", "ada@example.com"), ("password", "correct-horse")]);
    let sent_back = world.post("/authorize").form(&fields).send().await;
    let location = sent_back.header("location").unwrap_or_else(|| panic!("{sent_back:?}"));
    let back = location
        .strip_prefix(&format!("http://{}", world.admin))
        .unwrap_or_else(|| panic!("{location}"));
    (back.to_owned(), cookie(&begun, "tollgate-login"))
}

async fn log_in(world: &World, dashboard: &Client) -> Answer {
    let (back, login) = at_the_provider(world, dashboard).await;
    dashboard
        .call("GET", &back)
        .header("cookie", &login)
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .send()
        .await
}

async fn get(dashboard: &Client, target: &str, cookie: &str) -> Answer {
    dashboard
        .call("GET", target)
        .header("cookie", cookie)
        .header("accept", "text/html")
        .send()
        .await
}

#[tokio::test]
async fn an_operator_logs_in_by_code_and_pkce_and_no_interceptor_can_keep_them_out() {
    let world = world("ops").await;
    world.hook.deny(Trigger::PreSessionCreation, "Nobody");
    let dashboard = world.dashboard();
    let page = get(&dashboard, "/keys", "").await;
    assert_eq!(page.status, 401);
    assert!(
        page.text().contains("href=\"/login/start?next=%2Fkeys\""),
        "{}",
        page.text()
    );
    let welcome = log_in(&world, &dashboard).await;
    assert_eq!(welcome.status, 200, "{welcome:?}");
    assert!(welcome.text().contains("href=\"/keys\""), "{}", welcome.text());
    let session = cookie(&welcome, "tollgate-admin");
    let keys = get(&dashboard, "/keys", &session).await;
    assert_eq!(keys.status, 200);
    let shown = keys.text();
    assert!(
        shown.contains("ada@example.com") && shown.contains(">operator<"),
        "{shown}"
    );
    let out = dashboard
        .call("POST", "/logout")
        .header("cookie", &session)
        .form(&[("csrf", &csrf(&shown))])
        .send()
        .await;
    assert_eq!(out.status, 303);
    assert_eq!(get(&dashboard, "/keys", &session).await.status, 401);
    world.change("environment = \"test\"", "environment = \"other\"");
    world.reload().await;
    assert_eq!(
        get(&dashboard, "/keys", &session).await.status,
        401,
        "a reload brings no session back"
    );
}

#[tokio::test]
async fn a_viewer_looks_and_does_not_act() {
    let world = world("support").await;
    let dashboard = world.dashboard();
    let session = cookie(&log_in(&world, &dashboard).await, "tollgate-admin");
    let routes = get(&dashboard, "/routes", &session).await.text();
    assert!(routes.contains(">viewer<"), "{routes}");
    let post = |target: String, csrf: String| {
        let (dashboard, session) = (dashboard.clone(), session.clone());
        async move {
            let fields = [("csrf", csrf.as_str()), ("method", "GET"), ("url", "/")];
            dashboard
                .call("POST", &target)
                .header("cookie", &session)
                .form(&fields)
                .send()
                .await
                .status
        }
    };
    assert_eq!(
        post("/routes".into(), csrf(&routes)).await,
        200,
        "asking what would happen is no act"
    );
    let tab = get(&dashboard, "/interceptors/PRE_SIGNUP/test", &session).await.text();
    assert!(tab.contains("readonly") && !tab.contains("value=\"run\""), "{tab}");
    let configuration = get(&dashboard, "/configuration", &session).await.text();
    assert!(!configuration.contains("Load the file again"), "{configuration}");
    assert_eq!(post("/configuration".into(), csrf(&routes)).await, 403);
    for target in ["", "/check", "/cases", "/replay"] {
        let target = format!("/interceptors/PRE_SIGNUP/test{target}");
        assert_eq!(post(target, csrf(&routes)).await, 403);
    }
    assert!(world.hook.asked(Trigger::PreSignup).is_empty());
}

#[tokio::test]
async fn who_has_none_of_the_roles_is_told_and_gets_no_session() {
    let world = world("somebody-else").await;
    let refused = log_in(&world, &world.dashboard()).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.text().contains("ada@example.com"));
    assert!(refused.header("set-cookie").is_none(), "{refused:?}");
}

#[tokio::test]
async fn a_login_that_was_begun_elsewhere_or_is_used_twice_comes_to_nothing() {
    let world = world("ops").await;
    let dashboard = world.dashboard();
    let (back, login) = at_the_provider(&world, &dashboard).await;
    assert_eq!(get(&dashboard, &back, "").await.status, 400, "without its cookie");
    let (other, _) = at_the_provider(&world, &dashboard).await;
    assert_eq!(
        get(&dashboard, &other, &login).await.status,
        400,
        "with the cookie of another login"
    );
    let forged = back.replace("code=", "code=x");
    assert_eq!(
        get(&dashboard, &forged, &login).await.status,
        502,
        "with a code of nobody"
    );
    assert_eq!(get(&dashboard, &back, &login).await.status, 200);
    assert_eq!(get(&dashboard, &back, &login).await.status, 502, "a second time");
    assert_eq!(
        get(&dashboard, "/login/callback?error=access_denied&state=x", &login)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_session_is_over_when_the_token_that_named_the_role_is() {
    let now = Timestamp::now();
    let clock = Clock::fixed(now);
    let world = world_at("ops", clock.clone()).await;
    let dashboard = world.dashboard();
    let session = cookie(&log_in(&world, &dashboard).await, "tollgate-admin");
    assert_eq!(get(&dashboard, "/", &session).await.status, 200);
    // The demo provider's tokens live for five minutes, and sessions of the dashboard for eight hours at the most.
    clock.set(now + SignedDuration::from_secs(310));
    assert_eq!(get(&dashboard, "/", &session).await.status, 401);
}
