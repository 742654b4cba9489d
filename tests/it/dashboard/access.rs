//! Who may use it, and which requests are theirs.

use http::Request;
use http_body_util::{BodyExt, Full};

use super::{csrf, page, text};
use crate::{
    transport::Certificate,
    world::{Setup, World, client::Client, proxy::ADMIN_TOKEN as TOKEN},
};

/// A world whose dashboard asks for a token.
async fn guarded() -> World {
    World::with(Setup::generic().section("admin", "token = { file = \"admin.token\" }")).await
}

async fn status(dashboard: &Client, target: &str, headers: &[(&'static str, &str)]) -> u16 {
    let mut call = dashboard.call("GET", target);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    call.send().await.status
}

#[tokio::test]
async fn on_this_machine_alone_nobody_logs_in() {
    let world = World::start("").await;
    let dashboard = world.dashboard();
    let overview = text(&dashboard, "/").await;
    assert!(
        overview.contains("this machine") && !overview.contains("Log out"),
        "{overview}"
    );
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_misdirected_so_that_no_site_can_stand_in_for_this_one() {
    let world = World::with(Setup::generic().section("admin", "names = [\"tollgate.example.com\"]")).await;
    let dashboard = world.dashboard();
    for (host, expected) in [
        ("127.0.0.1:1", 200),
        ("localhost:9443", 200),
        ("tollgate.example.com", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("tollgate.example.com.evil.example", 421),
        ("localhost.evil.example:80", 421),
    ] {
        for target in ["/", "/healthz", "/metrics", "/assets/dashboard.css"] {
            assert_eq!(
                status(&dashboard, target, &[("host", host)]).await,
                expected,
                "{host}{target}"
            );
        }
    }
}

#[tokio::test]
async fn what_another_site_makes_a_browser_send_is_refused_and_its_links_are_not() {
    let world = World::start("").await;
    let (dashboard, host) = (world.dashboard(), world.admin.to_string());
    let own = format!("http://{host}");
    for (headers, expected) in [
        (&[("origin", own.as_str())][..], 200),
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", "http://127.0.0.1:1")], 403),
        (&[("sec-fetch-site", "same-origin")], 200),
        (&[("sec-fetch-site", "none")], 200),
        (&[("sec-fetch-site", "same-site")], 403),
        (
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-dest", "image"),
            ],
            403,
        ),
        (
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
            ],
            403,
        ),
        (
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
            200,
        ),
    ] {
        assert_eq!(status(&dashboard, "/", headers).await, expected, "{headers:?}");
    }
    // A form of another site is refused even where it would know the token.
    let answer = dashboard
        .call("POST", "/logout")
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .form(&[("csrf", "x")])
        .send()
        .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_form_without_its_token_does_nothing() {
    let world = World::start("").await;
    let dashboard = world.dashboard();
    for fields in [&[][..], &[("csrf", "")], &[("csrf", "guess")]] {
        let answer = dashboard.call("POST", "/logout").form(fields).send().await;
        assert_eq!(answer.status, 403, "{fields:?} {answer:?}");
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        assert_eq!(dashboard.call(method, "/").send().await.status, 403, "{method}");
    }
}

#[tokio::test]
async fn without_a_login_there_is_no_page_and_nothing_of_one() {
    let world = guarded().await;
    let dashboard = world.dashboard();
    for target in [
        "/",
        "/interceptors",
        "/interceptors/PRE_SIGNUP",
        "/log",
        "/routes",
        "/keys",
        "/metrics",
        "/nowhere",
    ] {
        let answer = page(&dashboard, target).await;
        assert_eq!(answer.status, 401, "{target}");
        let shown = answer.text();
        assert!(
            shown.contains("Log in") && !shown.contains("PRE_SESSION"),
            "{target}: {shown}"
        );
        assert_eq!(status(&dashboard, target, &[]).await, 401, "{target}");
    }
    for target in ["/healthz", "/readyz", "/assets/dashboard.css"] {
        assert_eq!(status(&dashboard, target, &[]).await, 200, "{target}");
    }
    for wrong in [
        "Bearer wrong",
        "Bearer ",
        "Basic Y2FuYXJ5",
        &format!("Bearer {TOKEN}x"),
        "Bearer",
    ] {
        assert_eq!(
            status(&dashboard, "/", &[("authorization", wrong)]).await,
            401,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn the_token_opens_everything_in_a_header_and_typed_in_and_a_logout_ends_that() {
    let world = guarded().await;
    let dashboard = world.dashboard();
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(status(&dashboard, "/", &[("authorization", &bearer)]).await, 200);

    let login = page(&dashboard, "/keys?x=1").await.text();
    let typed = |token: &'static str| {
        let (dashboard, csrf) = (dashboard.clone(), csrf(&login));
        async move {
            let fields = [("csrf", csrf.as_str()), ("token", token), ("next", "/keys?x=1")];
            dashboard.call("POST", "/login/token").form(&fields).send().await
        }
    };
    let wrong = typed("wrong").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("not the token") && wrong.header("set-cookie").is_none());
    let right = typed(TOKEN).await;
    assert_eq!(
        (right.status, right.header("location")),
        (303, Some("/keys?x=1")),
        "{right:?}"
    );
    let cookie = right.header("set-cookie").unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict; ") && cookie.contains("; Path=/"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure") && !cookie.contains(TOKEN), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();

    let overview = dashboard.call("GET", "/").header("cookie", &cookie).send().await;
    assert_eq!(overview.status, 200);
    let without = dashboard.call("POST", "/logout").header("cookie", &cookie).send().await;
    assert_eq!(without.status, 403);
    let fields = [("csrf", csrf(&overview.text()))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let out = dashboard
        .call("POST", "/logout")
        .header("cookie", &cookie)
        .form(&fields)
        .send()
        .await;
    assert_eq!(out.status, 303, "{out:?}");
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(
        status(&dashboard, "/", &[("cookie", &cookie)]).await,
        401,
        "it is over here, not only in the browser"
    );
}

#[tokio::test]
async fn a_cookie_that_was_changed_is_none() {
    let world = guarded().await;
    let dashboard = world.dashboard();
    for cookie in [
        "tollgate-admin=",
        "tollgate-admin=AAAA",
        "tollgate-admin=eyJpZCI6IngifQ",
        "other=x",
    ] {
        assert_eq!(status(&dashboard, "/", &[("cookie", cookie)]).await, 401, "{cookie}");
    }
}

#[tokio::test]
async fn every_answer_forbids_scripts_frames_and_copies() {
    let world = World::start("").await;
    let dashboard = world.dashboard();
    for target in ["/", "/interceptors", "/nowhere", "/healthz", "/metrics"] {
        let answer = page(&dashboard, target).await;
        let header = |name: &str| {
            answer
                .header(name)
                .unwrap_or_else(|| panic!("{target} has no {name}"))
                .to_owned()
        };
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{target}: {policy}");
        }
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        let text = answer.text();
        for forbidden in [
            "<script>",
            " style=",
            "onclick",
            "onload",
            "javascript:",
            "http://cdn",
            "https://cdn",
        ] {
            assert!(!text.contains(forbidden), "{target} has {forbidden}");
        }
    }
}

#[tokio::test]
async fn on_another_address_it_does_not_start_without_a_login() {
    for (lines, hint) in [
        ("address = \"0.0.0.0:0\"", "token = { file"),
        ("address = \"[::]:0\"", "login = {"),
        (
            "address = \"0.0.0.0:0\"\ntoken = { file = \"missing\" }",
            "openssl rand",
        ),
        (
            "address = \"0.0.0.0:0\"\ntoken = { file = \"short.token\" }",
            "openssl rand",
        ),
    ] {
        let errors = super::refused(lines).await;
        assert!(errors.contains(hint), "{lines}: {errors}");
        assert!(!errors.contains("short-secret"), "{errors}");
    }
}

#[tokio::test]
async fn over_tls_cookies_are_for_https_alone_and_both_versions_of_http_are_served() {
    let certificate = Certificate::make();
    let lines = format!("{}\ntoken = {{ file = \"admin.token\" }}", certificate.setting);
    let world = World::with(Setup::generic().section("admin", &lines)).await;
    let url = format!("https://{}", world.admin);
    for (http2, version) in [(false, http::Version::HTTP_11), (true, http::Version::HTTP_2)] {
        let client = certificate.client(http2);
        let get = |target: &str| Request::get(format!("{url}{target}")).header("accept", "text/html");
        let login = client.request(get("/").body(Full::default()).unwrap()).await.unwrap();
        assert_eq!((login.status().as_u16(), login.version()), (401, version));
        let login = login.into_body().collect().await.unwrap().to_bytes();
        let fields = form_urlencoded::Serializer::new(String::new())
            .append_pair("csrf", &csrf(&String::from_utf8_lossy(&login)))
            .append_pair("token", TOKEN)
            .finish();
        let typed = Request::post(format!("{url}/login/token"))
            .header("origin", &url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(fields))
            .unwrap();
        let answer = client.request(typed).await.unwrap();
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(
            cookie.starts_with("__Host-tollgate=") && cookie.ends_with("; Secure"),
            "{cookie}"
        );
        let cookie = cookie.split(';').next().unwrap();
        let keys = get("/keys").header("cookie", cookie).body(Full::default()).unwrap();
        assert_eq!(client.request(keys).await.unwrap().status(), 200);
    }
}
