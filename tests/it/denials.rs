//! How a denial looks to whoever reads it: a program, a browser, the provider's own console.

use std::fs;

use serde_json::json;
use tollgate::event::Trigger;

use crate::world::{Fate, Idp, Reply, Setup, World, stub};

const HOSTILE: &str = "<script>alert(1)</script> \"quoted\" & 'so' {{back}}\u{202e}\u{0007} line\nbreak";

#[tokio::test]
async fn an_oauth_client_reads_json_with_400() {
    let world = World::start("").await;
    world.hook.deny(Trigger::PreM2mTokenCreation, "Not \"today\" ü");
    let answer = world.machine_token("admin").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.json(),
        json!({"error": "access_denied", "error_description": "Not \"today\" ü"})
    );
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn an_operator_can_choose_another_status() {
    let world = World::start("[denial]\nstatus = 403").await;
    world.hook.deny(Trigger::PreM2mTokenCreation, "No");
    assert_eq!(world.machine_token("admin").await.status, 403);
    let failed = World::with(
        Setup::generic()
            .policy(Trigger::PreM2mTokenCreation, "on_failure = \"deny\"")
            .more("[denial]\nstatus = 401"),
    )
    .await;
    failed.hook.reply(
        Trigger::PreM2mTokenCreation,
        Reply::Raw(500, "text/plain", String::new()),
    );
    assert_eq!(failed.machine_token("admin").await.status, 401);
}

#[tokio::test]
async fn a_denial_without_words_is_one_general_sentence_and_a_request_id() {
    let world = World::start("").await;
    for reply in [
        Reply::Json(json!({"decision": "DENY"})),
        Reply::Raw(500, "text/plain", "secret of the endpoint".into()),
        Reply::Json(json!({"decision": "MAYBE"})),
    ] {
        world.hook.reply(Trigger::PreM2mTokenCreation, reply);
        let answer = world.machine_token("admin").await;
        let text = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(text.contains(answer.header("x-request-id").unwrap()), "{text}");
        assert!(
            !text.contains("secret") && !text.contains("PRE_M2M") && !text.contains("127.0.0.1"),
            "{text}"
        );
    }
    let ids: Vec<_> = world.audit().iter().map(|r| r.entry.request_id.clone()).collect();
    assert!(ids.iter().all(|id| !id.is_empty()));
}

#[tokio::test]
async fn a_browser_reads_a_page_in_which_nothing_of_the_message_is_markup() {
    let world = World::start("").await;
    world.hook.deny(Trigger::PreSignup, HOSTILE);
    let page = world.sign_up("eve@example.com").await;
    assert_eq!(page.status, 403);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let text = page.text();
    assert!(!text.contains("<script>"), "{text}");
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{text}");
    assert!(
        text.contains("&quot;quoted&quot; &amp; &#39;so&#39; {{back}}"),
        "{text}"
    );
    assert!(!text.contains('\u{202e}') && !text.contains('\u{0007}'));
    assert!(text.contains(page.header("x-request-id").unwrap()), "{text}");
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("script-src"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn the_page_leads_back_on_this_site_only() {
    let world = World::start("").await;
    world.hook.deny(Trigger::PreSignup, "No");
    let back = |referer: String| {
        let call = world.post("/signup").header("referer", &referer);
        call.form(&[("email", "eve@example.com")]).send()
    };
    let here = back(format!("{}/signup?step=2", world.url)).await;
    assert!(here.text().contains("/signup?step=2"), "{}", here.text());
    for elsewhere in [
        "https://evil.example/signup".to_owned(),
        format!("{}.evil.example/x", world.url),
        format!("{}@evil.example/x", world.url),
        "javascript:alert(1)".to_owned(),
    ] {
        let page = back(elsewhere.clone()).await;
        assert!(
            !page.text().contains("evil") && !page.text().contains("javascript:"),
            "{elsewhere}"
        );
    }
}

#[tokio::test]
async fn keycloaks_registration_leads_back_to_the_same_login() {
    let idp = Idp::keycloak().await;
    idp.hook.deny(Trigger::PreSignup, "No");
    let form = "/realms/tg/login-actions/registration";
    let back = async |query: &str| {
        let call = idp.post(&format!("{form}?{query}"));
        let page = call
            .form(&[("email", "eve@example.com"), ("password-confirm", "x")])
            .send();
        page.await.text()
    };
    let login = "client_id=web&tab_id=a%22b&client_data=d";
    let page = back(&format!("session_code=once&execution=e&{login}")).await;
    let place = format!("href=\"{form}?{}\"", login.replace('&', "&amp;"));
    assert!(page.contains(&place), "{page}");
    assert!(!page.contains("once"), "a code that is spent: {page}");
    let unknown = back("client_id=web").await;
    assert!(unknown.contains("href=\"/\""), "{unknown}");
}

#[tokio::test]
async fn an_operators_own_page_is_used_and_filled_in_safely() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("denied.html");
    fs::write(
        &file,
        "<h1>ACME</h1><p>{{message}}</p><i>{{ request_id }}</i><a href=\"{{back}}\">back</a>{{other}}",
    )
    .unwrap();
    let world = World::start(&format!("[denial]\npage = \"{}\"", file.display())).await;
    world.hook.deny(Trigger::PreSignup, HOSTILE);
    let page = world.sign_up("eve@example.com").await;
    let text = page.text();
    assert!(text.starts_with("<h1>ACME</h1><p>&lt;script&gt;"), "{text}");
    assert!(
        text.contains(&format!("<i>{}</i>", page.header("x-request-id").unwrap())),
        "{text}"
    );
    assert!(text.ends_with("{{other}}"), "{text}");
}

#[tokio::test]
async fn keycloaks_admin_console_shows_the_message() {
    let idp = Idp::keycloak().await;
    idp.hook.deny(Trigger::PreUserInvitation, "All 10 seats are taken");
    let answer = idp
        .post("/admin/realms/tg/users/")
        .json(&json!({"username": "eve"}))
        .send()
        .await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({"errorMessage": "All 10 seats are taken"}));

    let scim = idp
        .post("/realms/tg/scim/v2/Users")
        .body("application/scim+json", json!({"userName": "eve"}).to_string())
        .send()
        .await;
    assert_eq!(scim.status, 403);
    assert_eq!(scim.json()["detail"], "All 10 seats are taken");
    assert_eq!(
        scim.json()["schemas"],
        json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
    );
}

#[tokio::test]
async fn a_script_may_read_a_denial_where_it_might_have_read_the_answer() {
    let idp = Idp::keycloak().await;
    idp.hook.deny(Trigger::PreSessionCreation, "No");
    let tokens = idp.good_tokens();
    let answer = Fate::by(move |_| {
        let mut response = stub::json(200, &tokens);
        for (name, value) in [
            ("access-control-allow-origin", "https://app.example.com"),
            ("access-control-allow-credentials", "true"),
            ("vary", "Origin"),
            ("set-cookie", "session=1"),
            ("x-internal", "1"),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    });
    idp.stub.fate(idp.endpoints().token, answer);
    let denied = idp.redeem().await;
    assert_eq!(denied.status, 400);
    assert_eq!(
        denied.header("access-control-allow-origin"),
        Some("https://app.example.com")
    );
    assert_eq!(denied.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(denied.header("vary"), Some("Origin"));
    assert_eq!(denied.header("set-cookie"), None);
    assert_eq!(denied.header("x-internal"), None);
}

#[tokio::test]
async fn a_bad_bearer_is_challenged() {
    let world = World::start("").await;
    let tokens = world.log_in().await;
    let answer = world
        .get("/userinfo")
        .bearer(&format!("{}x", tokens.access))
        .send()
        .await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    assert_eq!(answer.json()["error"], "invalid_token");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_the_reason_in_the_readers_format() {
    let world = World::start("").await;
    let program = world.get("/x//y").send().await;
    assert_eq!(program.status, 400);
    assert!(
        program.json()["error_description"]
            .as_str()
            .unwrap()
            .contains("empty segment")
    );
    let browser = world
        .post("/signup")
        .body("text/plain", "x")
        .header("accept", "text/html")
        .send()
        .await;
    assert_eq!(browser.status, 415);
    assert!(browser.header("content-type").unwrap().starts_with("text/html"));
    let taken = "this request takes application/x-www-form-urlencoded or multipart/form-data";
    assert!(browser.text().contains(taken), "{}", browser.text());
    let idp = Idp::keycloak().await;
    let login = idp
        .post("/realms/tg/login-actions/authenticate")
        .body("text/plain", "x");
    let answer = login.send().await.text();
    assert!(answer.contains(&format!("{taken} or no body")), "{answer}");
}
