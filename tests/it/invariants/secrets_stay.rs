//! Invariant 5: Passwords, codes, refresh tokens, assertions, client secrets, cookies and whole tokens never reach an interceptor,
//! a log, the audit or an error.

use std::fs;

use serde_json::json;
use tollgate::{
    demo::provider::{AccessTokens, Client},
    event::Trigger,
    secret::Secret,
};

use crate::world::{CALLBACK, Reply, Setup, VERIFIER, World, hook::SECRET, log, until};

/// Everything that was written down or sent to the interceptor.
struct Traces(Vec<(&'static str, Vec<u8>)>);

impl Traces {
    fn of(world: &World) -> Self {
        let mut traces = vec![("the log", log::text().into_bytes())];
        for entry in fs::read_dir(world.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("audit.db") {
                traces.push(("the audit", fs::read(path).unwrap()));
            }
        }
        for asked in world.hook.all() {
            traces.push(("an event", asked.body.to_vec()));
            traces.push(("an event's headers", format!("{:?}", asked.headers).into_bytes()));
        }
        Self(traces)
    }

    fn have_no(&self, what: &str, secret: &str) {
        assert!(secret.len() > 7, "{what} is no canary: {secret:?}");
        for (place, bytes) in &self.0 {
            let found = bytes.windows(secret.len()).position(|part| part == secret.as_bytes());
            if let Some(at) = found {
                let around = &bytes[at.saturating_sub(200)..(at + secret.len() + 50).min(bytes.len())];
                panic!("{what} is in {place}: …{}…", String::from_utf8_lossy(around));
            }
        }
    }
}

/// Lies where the traces of the audit are looked for.
const SINK: &str = "[[audit.sink]]\nname = \"lines\"\nto = { file = \"audit.db-events\" }";

/// Every secret of this test has its own name in it, so that it can be found wherever it went.
async fn world() -> World {
    World::populated(Setup::generic().more(SINK), |mut options| {
        options.clients.push(
            Client::confidential("canary", "canary-client-secret")
                .grants(&["authorization_code", "refresh_token", "password", "client_credentials"])
                .scopes(&["openid", "profile", "email"])
                .redirect_uri(CALLBACK),
        );
        for user in &mut options.users {
            user.password = Some(Secret::new("canary-login-password"));
        }
        options
    })
    .await
}

#[tokio::test]
async fn no_secret_of_a_client_a_user_or_an_operator_is_written_down_or_sent_on() {
    let world = world().await;
    world.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let mut errors = Vec::new();

    // Signup, allowed and denied, with a password, a cookie and a bearer in it.
    for reply in [Reply::Allow, Reply::Deny("No".into())] {
        world.hook.reply(Trigger::PreSignup, reply);
        let answer = world
            .post("/signup")
            .header("cookie", "session=canary-cookie-value")
            .header("authorization", "Bearer canary-bearer-value")
            .header("referer", "http://elsewhere.example/?code=canary-referer-code")
            .form(&[
                ("email", "ann@example.com"),
                ("password", "canary-signup-password"),
                ("password-confirm", "canary-signup-password"),
            ])
            .send()
            .await;
        errors.push(answer.text());
    }

    // Sessions by code, password and refresh, allowed and denied.
    let code = code(&world).await;
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_assertion", "eyJh.eyJzdWIiOiJjYW5hcnkifQ.canary-assertion"),
    ];
    let tokens = token(&world, &redeem[..4]).await.json();
    let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
    let refreshed = token(&world, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)])
        .await
        .json();
    world.hook.deny(Trigger::PreSessionCreation, "No");
    let password = [
        ("grant_type", "password"),
        ("username", "ada@example.com"),
        ("password", "canary-login-password"),
        ("client_assertion", "eyJh.eyJzdWIiOiJjYW5hcnkifQ.canary-assertion"),
    ];
    errors.push(token(&world, &password).await.text());

    // What is refused before anybody is asked, and what the upstream refuses.
    let doubled = "grant_type=password&password=canary-doubled-password&password=canary-doubled-password";
    errors.push(
        world
            .post("/token")
            .body("application/x-www-form-urlencoded", doubled)
            .send()
            .await
            .text(),
    );
    errors.push(
        world
            .post("/token?client_secret=canary-query-secret")
            .body("application/json", "{\"password\":\"canary-json-password\"}")
            .send()
            .await
            .text(),
    );
    errors.push(
        world
            .get("/userinfo")
            .bearer("eyJh.canary-forged.token")
            .send()
            .await
            .text(),
    );
    errors.push(world.get("//x?code=canary-path-code").send().await.text());
    errors.push(
        world
            .get("/authorize?response_type=token&login_hint=x&password=canary-authorize-password")
            .send()
            .await
            .text(),
    );
    world
        .recorded("the revocation is recorded", |r| {
            r.entry.reason.as_deref() == Some("access_token revoked")
        })
        .await;
    let sent = world.folder.path().join("audit.db-events");
    until("the sink has every record", || async {
        fs::read_to_string(&sent).unwrap().lines().count() == world.audit().len()
    })
    .await;

    let mut traces = Traces::of(&world);
    traces
        .0
        .extend(errors.into_iter().map(|text| ("an error", text.into_bytes())));
    for canary in [
        "canary-client-secret",
        "canary-login-password",
        "canary-signup-password",
        "canary-cookie-value",
        "canary-bearer-value",
        "canary-referer-code",
        "canary-assertion",
        "canary-doubled-password",
        "canary-query-secret",
        "canary-json-password",
        "canary-forged",
        "canary-path-code",
        "canary-authorize-password",
        "Y2FuYXJ5OmNhbmFyeS1jbGllbnQtc2VjcmV0",
        SECRET,
        "canary-hook-secret",
        VERIFIER,
    ] {
        traces.have_no(canary, canary);
    }
    traces.have_no("the code", &code);
    for answer in [&tokens, &refreshed] {
        for name in ["access_token", "id_token", "refresh_token"] {
            let token = answer[name].as_str().unwrap();
            traces.have_no(name, token);
            traces.have_no(name, token.rsplit('.').next().unwrap());
        }
    }
    for token in world.provider.issued() {
        traces.have_no("a token of the upstream", &token);
    }
}

#[tokio::test]
async fn neither_a_wrap_nor_what_is_in_it_is_written_down() {
    let setup = Setup::generic().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"deny\"\non_refresh = \"reuse\"",
    );
    let setup = setup.section("tokens", "opaque = \"jwt\"\naudience = [\"https://api.example.com/*\"]");
    let world = World::populated(setup, |mut options| {
        options.clients[0].access_tokens = AccessTokens::Opaque;
        options
    })
    .await;
    // The answer is recorded once, when it was given; where it is only remembered, its values are not written again.
    world
        .hook
        .claims(Trigger::PreSessionCreation, json!({"plan": "canary-remembered-claim"}));
    let tokens = world.log_in().await;
    let answers = || {
        let records = world.audit();
        let has = |record: &tollgate::audit::Record| record.to_json().contains("canary-remembered-claim");
        records.iter().filter(|record| has(record)).count()
    };
    let before = answers();
    let mut errors = Vec::new();
    let mut held = vec![tokens.access.clone(), tokens.refresh.clone()];
    for refresh in [tokens.refresh.clone(), format!("{}A", tokens.refresh)] {
        let answer = world
            .post("/token")
            .basic("web", "web-secret")
            .form(&[("grant_type", "refresh_token"), ("refresh_token", &refresh)])
            .send()
            .await;
        if answer.status == 200 {
            held.extend(["access_token", "refresh_token"].map(|name| answer.json()[name].as_str().unwrap().to_owned()));
        } else {
            errors.push(answer.text());
        }
    }
    errors.push(world.get("/userinfo").bearer(&tokens.refresh).send().await.text());
    assert_eq!((answers(), errors.len(), held.len()), (before, 2, 4));
    let mut traces = Traces::of(&world);
    traces
        .0
        .extend(errors.into_iter().map(|text| ("an error", text.into_bytes())));
    for token in &held {
        traces.have_no("a wrap", token);
        traces.have_no("the end of a wrap", &token[token.len() - 20..]);
    }
    for token in world.provider.issued() {
        traces.have_no("a token of the upstream", &token);
    }
}

#[tokio::test]
async fn an_interceptor_that_echoes_secrets_back_does_not_get_them_into_the_audit() {
    let world = world().await;
    world.hook.reply(
        Trigger::PreSignup,
        Reply::Json(json!({"decision": "ALLOW", "response": {
            "annotations": {"password": "canary-echoed-password", "note": "Bearer canary-echoed-bearer-0123456789"},
            "warnings": ["authorization: Basic Y2FuYXJ5LWVjaG9lZC1iYXNpYw=="]
        }})),
    );
    assert_eq!(world.sign_up("ann@example.com").await.status, 201);
    let traces = Traces::of(&world);
    traces.have_no("a password", "canary-echoed-password");
    traces.have_no("a bearer", "canary-echoed-bearer-0123456789");
    traces.have_no("a basic", "Y2FuYXJ5LWVjaG9lZC1iYXNpYw==");
}

#[tokio::test]
async fn no_text_from_outside_begins_a_line_of_the_log_or_colours_a_terminal() {
    let world = world().await;
    let line = "x\r\n2026-01-01T00:00:00Z  INFO a-forged-line \u{1b}[31m\u{202e}";
    for reply in [
        json!({"decision": "DENY", "error": {"message": line, "reason": line}}),
        json!({"decision": line}),
        json!({"decision": "ALLOW", "response": {"reason": line, "warnings": [line], "annotations": {line: line}}}),
        json!({"decision": "ALLOW", "response": {"claims": {line: line}}}),
    ] {
        for trigger in [Trigger::PreSignup, Trigger::PreM2mTokenCreation] {
            world.hook.reply(trigger, Reply::Json(reply.clone()));
        }
        world
            .post("/signup")
            .form(&[("email", &format!("{line}@example.com")), ("name", line), (line, line)])
            .send()
            .await;
        world.machine_token("admin").await;
    }
    token(&world, &[("grant_type", line), ("scope", line)]).await;
    token(&world, &[(line, "x"), ("grant_type", "password")]).await;
    world
        .post("/token")
        .basic(line, "x")
        .form(&[("grant_type", "x")])
        .send()
        .await;
    let logged = log::text();
    for (n, line) in logged.lines().enumerate() {
        if line.contains("a-forged-line") {
            let odd = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}');
            assert!(!line.starts_with("2026-01-01T00:00:00Z"), "{n}: {line}");
            assert!(!line.contains(odd), "{n}: {line:?}");
        }
    }
    assert!(logged.contains("a-forged-line"), "the test shows nothing");
}

async fn code(world: &World) -> String {
    let answer = world
        .post("/authorize")
        .form(&[
            ("client_id", "canary"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid"),
            ("code_challenge", &crate::world::challenge()),
            ("code_challenge_method", "S256"),
            ("login_hint", "ada@example.com"),
            ("password", "canary-login-password"),
        ])
        .send()
        .await;
    answer.location_parameter("code").unwrap()
}

async fn token(world: &World, form: &[(&str, &str)]) -> crate::world::Answer {
    world
        .post("/token")
        .basic("canary", "canary-client-secret")
        .form(form)
        .send()
        .await
}
