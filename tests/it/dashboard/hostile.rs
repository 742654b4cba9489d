//! Text from outside is shown as text, whatever it is, and no secret is shown at all.

use std::fs;

use serde_json::json;
use tollgate::event::Trigger;

use super::{page, text};
use crate::world::{Reply, Setup, World, client::Client, proxy::ADMIN_TOKEN};

/// Fragments that run, load, close or open something in a page that shows them as they are.
const PAYLOADS: [&str; 40] = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=//evil.example>",
    "<a href=javascript:alert(1)>x</a>",
    "<form action=//evil.example><button>x",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<math><mtext><style><img src=x onerror=alert(1)>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css'</style>",
    "<textarea autofocus onfocus=alert(1)></textarea>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</pre><img src=x onerror=alert(1)>",
    "\"><script>alert(1)</script>",
    "'><script>alert(1)</script>",
    "\" autofocus onfocus=alert(1) x=\"",
    "' onmouseover=alert(1) x='",
    "\"/onclick=\"alert(1)",
    "<div hx-get=/log hx-trigger=load>",
    "\" hx-get=\"/log\" hx-trigger=\"load\" x=\"",
    "<div data-hx-post=/logout data-hx-trigger=load>",
    "<!--<img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "{{7*7}}<b>",
    "{% raw %}<b>x</b>",
    "&lt;script&gt;<script>alert(1)</script>",
    "<xss style=animation-name:x onanimationend=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
];

#[tokio::test]
async fn no_payload_in_any_field_of_a_record_comes_out_of_a_page_as_it_went_in() {
    let world = World::start("").await;
    for payload in PAYLOADS {
        // Name, user agent, client and form values come from clients; message, reason, annotations and warnings from the endpoint.
        world.hook.reply(
            Trigger::PreSignup,
            Reply::Json(json!({
                "decision": "DENY",
                "error": {"message": payload, "reason": payload},
                "response": {"annotations": {payload: payload}, "warnings": [payload]},
            })),
        );
        let answer = world
            .post("/signup")
            .header("user-agent", payload)
            .form(&[
                ("name", payload),
                ("email", "ada@example.com"),
                ("client_id", payload),
                (payload, payload),
            ])
            .send()
            .await;
        assert_eq!(answer.status, 403, "{payload}: {answer:?}");
    }
    let records = world.audit();
    assert_eq!(records.len(), PAYLOADS.len());
    let dashboard = world.dashboard();
    let mut pages = vec![
        "/".to_owned(),
        "/log".to_owned(),
        "/interceptors/PRE_SIGNUP/log".to_owned(),
        "/log/rows".to_owned(),
    ];
    pages.extend(records.iter().map(|record| format!("/log/{}", record.seq)));
    for target in pages {
        let shown = text(&dashboard, &target).await;
        let escaped = |payload: &&str| shown.contains(&escaped(payload));
        assert!(PAYLOADS.iter().any(escaped), "{target} shows none of it: {shown}");
        shows_none(&target, &shown);
    }
    // What stands in an address comes back in forms and links.
    for payload in PAYLOADS {
        let encoded: String = form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        let encoded = encoded.replace('+', "%20");
        for target in [
            format!(
                "/log?text={encoded}&user={encoded}&client={encoded}&request={encoded}&realm={encoded}&operation={encoded}"
            ),
            format!("/log?since={encoded}&status={encoded}&trigger={encoded}"),
            format!("/log?interceptor={encoded}&decided_by={encoded}&kind=consult"),
            format!("/interceptors/{}", encoded.replace("%2F", "_")),
            format!("/log/{}", encoded.replace("%2F", "_")),
            format!("/?range={encoded}"),
        ] {
            let answer = page(&dashboard, &target).await;
            assert!(answer.status < 500, "{target}: {answer:?}");
            shows_none(&target, &answer.text());
        }
    }
}

#[tokio::test]
async fn a_request_that_is_asked_about_is_shown_as_text() {
    let world = World::start("").await;
    let dashboard = world.dashboard();
    let token = super::csrf(&text(&dashboard, "/routes").await);
    for payload in PAYLOADS {
        let fields = [
            ("csrf", token.as_str()),
            ("method", "POST"),
            ("url", payload),
            ("form", payload),
            ("headers", payload),
        ];
        let answer = dashboard.call("POST", "/routes").form(&fields).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        shows_none("/routes", &answer.text());
    }
}

#[tokio::test]
async fn what_a_terminal_or_a_reader_would_obey_is_shown_as_an_escape() {
    let world = World::start("").await;
    let nasty = "a\u{202e}b\u{2066}c\u{1b}[31md\u{9b}e\u{200b}f";
    world.hook.reply(
        Trigger::PreSignup,
        Reply::Json(json!({"decision": "DENY", "error": {"message": nasty, "reason": "two\r\nlines"}})),
    );
    world
        .post("/signup")
        .form(&[("name", "Ada \u{202e}"), ("email", "ada@example.com")])
        .send()
        .await;
    let dashboard = world.dashboard();
    for target in [
        "/",
        "/log",
        "/log/1",
        "/log?text=a%E2%80%AEb",
        "/log?user=%1B%5B31m",
        "/log/export.ndjson",
        "/log/export.csv",
    ] {
        let shown = text(&dashboard, target).await;
        for bad in ['\u{202e}', '\u{2066}', '\u{1b}', '\u{9b}', '\u{200b}'] {
            assert!(!shown.contains(bad), "{target} has U+{:04X}", u32::from(bad));
        }
    }
    let shown = text(&dashboard, "/log/1").await;
    assert!(
        shown.contains("\\u{202e}") && shown.contains("two\\u{d}\\u{a}lines"),
        "{shown}"
    );
    let exported = text(&dashboard, "/log/export.ndjson").await;
    assert_eq!(exported.lines().count(), 1, "{exported}");
    let exported = text(&dashboard, "/log/export.csv").await;
    assert_eq!(exported.lines().count(), 2, "{exported}");
}

#[tokio::test]
async fn no_secret_is_on_any_page() {
    let setup = Setup::generic().section("admin", "token = { file = \"admin.token\" }");
    let world = World::with(setup).await;
    world
        .post("/signup")
        .header("cookie", "session=canary-cookie-value")
        .header("authorization", "Bearer canary-bearer-value")
        .form(&[("email", "ann@example.com"), ("password", "canary-signup-password")])
        .send()
        .await;
    let tokens = world.log_in().await;
    world.machine_token("reports:read").await;
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let dashboard = world.dashboard();
    let get = |target: String| {
        let (dashboard, bearer): (Client, String) = (dashboard.clone(), bearer.clone());
        async move {
            dashboard
                .call("GET", &target)
                .header("authorization", &bearer)
                .send()
                .await
        }
    };
    let mut targets: Vec<String> = PAGES.iter().map(|page| (*page).to_owned()).collect();
    targets.extend(world.audit().iter().map(|record| format!("/log/{}", record.seq)));
    let capsule = world.config.tokens.capsule_secret.read(&world.config.base).unwrap();
    let hook = fs::read_to_string(world.folder.path().join("hook.key")).unwrap();
    let secrets = [
        ADMIN_TOKEN,
        capsule.expose_str().unwrap(),
        hook.trim_start_matches("whsec_"),
        "canary-cookie-value",
        "canary-bearer-value",
        "canary-signup-password",
        "correct-horse",
        "web-secret",
        "batch-secret",
        &tokens.access,
        &tokens.id,
        &tokens.refresh,
    ];
    for target in targets {
        let answer = get(target.clone()).await;
        assert_eq!(answer.status, 200, "{target}");
        let shown = answer.text();
        for secret in secrets {
            assert!(!shown.contains(secret), "{target} shows {secret}");
        }
    }
}

const PAGES: [&str; 13] = [
    "/",
    "/?range=7d",
    "/interceptors",
    "/interceptors/PRE_SIGNUP",
    "/interceptors/PRE_SESSION_CREATION",
    "/interceptors/PRE_SIGNUP/log",
    "/interceptors/PRE_SIGNUP/test",
    "/log",
    "/routes",
    "/keys",
    "/metrics",
    "/log/export.ndjson",
    "/log/export.csv",
];

/// As HTML spells it.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

fn shows_none(target: &str, shown: &str) {
    for payload in PAYLOADS {
        assert!(!shown.contains(payload), "{target} has `{payload}` as it is");
    }
    for attribute in [
        "href=\"javascript:",
        "src=\"javascript:",
        "<b>x",
        "<xss",
        "<iframe",
        "onerror=alert(1)>",
    ] {
        assert!(!shown.contains(attribute), "{target} has `{attribute}`");
    }
}
