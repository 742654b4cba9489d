//! The log as the product writes it, in both formats.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tollgate::{
    config::{Log, LogFormat},
    event::Trigger,
};
use tracing::{Dispatch, subscriber::DefaultGuard};

use crate::world::{Reply, World};

/// What was logged by this test, and nothing of others.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// From now on, as `tollgate run` would write it. The proxy's tasks run in this thread.
    fn of(format: LogFormat) -> (Self, DefaultGuard) {
        let lines = Self::default();
        let log = Log {
            format,
            level: "trace,hyper=info,h2=info".into(),
        };
        let writer = lines.clone();
        let subscriber = log.subscriber(None, false, move || writer.clone());
        let guard = tracing::dispatcher::set_default(&Dispatch::new(subscriber));
        (lines, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn objects(&self) -> Vec<Value> {
        let text = self.text();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}

const HOSTILE: &str =
    "x\r\n2026-01-01T00:00:00Z  INFO forged \u{1b}[31m\u{9b}31m\u{202e}\u{2066}\u{200b}\u{2028}\u{7f}";

/// Every field that a client or an interceptor controls says something that would begin a line or steer a terminal.
async fn say_hostile_things(world: &World) {
    let encoded: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes())
        .collect::<String>()
        .replace('+', "%20");
    world
        .post("/signup")
        .header("user-agent", "x\u{202e}\u{9b}forged")
        .form(&[
            ("email", &format!("{HOSTILE}@example.com")),
            ("name", HOSTILE),
            (HOSTILE, HOSTILE),
        ])
        .send()
        .await;
    for form in [
        vec![("grant_type", HOSTILE), ("client_id", HOSTILE), ("scope", HOSTILE)],
        vec![(HOSTILE, HOSTILE)],
        vec![("logout_token", HOSTILE)],
    ] {
        world.post("/token").form(&form).send().await;
        world.post("/.tollgate/backchannel-logout").form(&form).send().await;
    }
    world
        .post("/token")
        .basic(HOSTILE, HOSTILE)
        .form(&[("grant_type", "x")])
        .send()
        .await;
    world.get(&format!("/{encoded}?{encoded}={encoded}")).send().await;
    world.get("/\u{202e}forged\u{9b}").send().await;
    world.call("FORGED-METHOD", "/token").send().await;
    let header = URL_SAFE_NO_PAD.encode(json!({"kid": HOSTILE, "typ": HOSTILE, "alg": "RS256"}).to_string());
    let payload = URL_SAFE_NO_PAD.encode(json!({"iss": HOSTILE, "sub": HOSTILE, "aud": HOSTILE}).to_string());
    let token = format!("{header}.{payload}.c2ln");
    world.get("/userinfo").bearer(&token).send().await;
    world
        .post("/.tollgate/backchannel-logout")
        .form(&[("logout_token", &token)])
        .send()
        .await;
    for document in [
        json!({"decision": "DENY", "error": {"message": HOSTILE, "reason": HOSTILE}}),
        json!({"decision": HOSTILE}),
        json!({"decision": "ALLOW", "response": {"reason": HOSTILE, "claims": {HOSTILE: HOSTILE}}}),
    ] {
        world
            .hook
            .reply(Trigger::PreM2mTokenCreation, Reply::Json(document.clone()));
        world.machine_token("").await;
        world.hook.reply(Trigger::PreSignup, Reply::Json(document));
        world.sign_up("ann@example.com").await;
    }
    world.hook.reply(
        Trigger::PreSignup,
        Reply::Raw(200, "text/plain; x=\"forged\"", HOSTILE.into()),
    );
    world.sign_up("ann@example.com").await;
}

fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

#[tokio::test]
async fn no_client_writes_a_line_of_the_text_log_or_steers_a_terminal() {
    let (lines, _guard) = Lines::of(LogFormat::Text);
    say_hostile_things(&World::start("").await).await;
    let text = lines.text();
    assert!(text.contains("forged"), "the test shows nothing:\n{text}");
    for line in text.lines() {
        assert!(!line.contains(is_obeyed), "{line:?}");
        let time = line.split(' ').next().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "no line of ours: {line}");
        assert_ne!(time, "2026-01-01T00:00:00Z", "{line}");
    }
}

#[tokio::test]
async fn no_client_writes_an_object_of_the_json_log_or_steers_a_terminal() {
    let (lines, _guard) = Lines::of(LogFormat::Json);
    say_hostile_things(&World::start("").await).await;
    let text = lines.text();
    assert!(text.contains("forged"), "the test shows nothing");
    for line in text.lines() {
        assert!(!line.contains(is_obeyed), "{line:?}");
    }
    for object in lines.objects() {
        let level = object["level"].as_str().unwrap();
        assert!(matches!(level, "ERROR" | "WARN" | "INFO" | "DEBUG" | "TRACE"));
        assert!(object["message"].is_string() || level == "TRACE", "{object}");
    }
}

#[tokio::test]
async fn a_recognised_request_is_one_line_with_the_documented_fields() {
    let (lines, _guard) = Lines::of(LogFormat::Json);
    let world = World::start("").await;
    world.log_in().await;
    world.hook.deny(Trigger::PreSignup, "No");
    world.sign_up("ann@example.com").await;
    let objects = lines.objects();
    let with = |field: &'static str| objects.iter().filter(move |object| object.get(field).is_some());
    for (operation, many) in [("token", 1), ("signup", 1)] {
        let of_it: Vec<_> = with("operation")
            .filter(|object| object["operation"] == operation)
            .collect();
        assert_eq!(of_it.len(), many, "{of_it:?}");
        let request_id = &of_it[0]["request_id"];
        let consults = with("interceptor.name").filter(|object| object["request_id"] == *request_id);
        assert_eq!(consults.count(), 1, "one line for each consultation");
    }

    let page = std::fs::read_to_string("docs/observability.md").unwrap();
    let ours = objects.iter().filter(|o| {
        o["target"].as_str().unwrap().starts_with("tollgate") && o["level"] != "DEBUG" && o["level"] != "TRACE"
    });
    for object in ours {
        for field in object.as_object().unwrap().keys() {
            assert!(
                page.contains(&format!("`{field}`")),
                "`{field}` is not documented: {object}"
            );
        }
    }
}

#[tokio::test]
async fn no_line_of_either_format_has_a_secret() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let (lines, _guard) = Lines::of(format);
        let world = World::start("").await;
        let tokens = world.log_in().await;
        world.get("/userinfo").bearer(&tokens.access).send().await;
        world.get("/userinfo?access_token=canary-query-token").send().await;
        let text = lines.text();
        for secret in [
            "canary-query-token",
            "web-secret",
            "correct-horse",
            crate::world::VERIFIER,
            crate::world::hook::SECRET,
            tokens.access.as_str(),
            tokens.id.as_str(),
            tokens.refresh.as_str(),
        ] {
            assert!(!text.contains(secret), "{secret} is in the log");
        }
    }
}
