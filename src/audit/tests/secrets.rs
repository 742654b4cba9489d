use std::fs;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::*;
use crate::verdict::{Failure, FailureKind};

/// Makes canaries: each is unique and must never be seen again.
#[derive(Default)]
struct Canaries(Vec<String>);

impl Canaries {
    fn fresh(&mut self) -> String {
        let canary = format!("c4naRy{:04}x7Qz", self.0.len());
        self.0.push(canary.clone());
        canary
    }

    fn jws(&mut self) -> String {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"RS256","kid":"{}"}}"#, self.fresh()));
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{}"}}"#, self.fresh()));
        self.0.extend([header.clone(), payload.clone()]);
        format!("{header}.{payload}.{}", self.fresh())
    }

    /// A sentence with a secret in each of the shapes that text can carry.
    fn sentence(&mut self) -> String {
        format!(
            "got {} then Bearer {} from https://ada:{}@host/cb?code={}&refresh_token={} with tg1.{} and {{\"password\":\"a {}\"}} and {{\\\"otp\\\":\\\"a {}\\\"}} and secret='a {}'",
            self.jws(),
            self.fresh(),
            self.fresh(),
            self.fresh(),
            self.fresh(),
            self.fresh(),
            self.fresh(),
            self.fresh(),
            self.fresh()
        )
    }

    /// An object with a secret under each name that stands for one, at several depths.
    fn object(&mut self) -> Map<String, Value> {
        let mut members = Map::new();
        for name in [
            "password",
            "passwd",
            "newPassword",
            "client_secret",
            "secret",
            "token",
            "access_token",
            "id_token",
            "refresh_token",
            "code",
            "device_code",
            "code_verifier",
            "assertion",
            "client_assertion",
            "subject_token",
            "authorization",
            "Authorization",
            "cookie",
            "Set-Cookie",
            "credential",
            "otp",
            "totp",
            "pin",
            "private_key",
            "api_key",
            "X-Api-Key",
            "SAMLResponse",
            "recovery_codes",
        ] {
            members.insert(name.into(), self.fresh().into());
            members.insert(format!("list {name}"), json!([self.fresh(), [self.fresh()]]));
        }
        members.insert(
            "claims".into(),
            json!({"access_token": {"nested": {"client_secret": self.fresh()}, "text": self.sentence()}}),
        );
        members.insert(
            "credentials".into(),
            json!([{"type": "password", "value": self.fresh(), "deep": {"er": self.fresh()}}]),
        );
        members.insert("pairs".into(), json!([{"name": "otp", "value": self.fresh()}]));
        members.insert(
            "as text".into(),
            json!({"password": format!("two {}", self.fresh())}).to_string().into(),
        );
        members.insert(self.jws(), json!("a token for a name"));
        members
    }
}

#[tokio::test]
async fn no_secret_reaches_the_file_or_what_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let mut canaries = Canaries::default();
    let c = &mut canaries;
    let mut event = event();
    event.data = c.object();
    event.context.request_id = c.jws();
    event.context.trace_id = Some(c.jws());
    event.context.client_id = Some(c.sentence());
    event.context.user_id = Some(c.jws());
    event.context.user_email = Some(c.sentence());
    event.context.realm = Some(c.jws());
    event.context.operation = Some(c.sentence());
    event.context.user_agent = Some(c.sentence());
    let mut consultation = consultation();
    consultation.interceptor = c.sentence();
    consultation.id = c.jws();
    consultation.failure = Some(Failure {
        kind: FailureKind::Invalid,
        detail: c.sentence(),
    });
    consultation.message = Some(c.sentence());
    consultation.reason = Some(c.sentence());
    consultation.warnings = vec![c.sentence(), c.jws()];
    consultation.annotations = c.object();
    consultation.answer = Some(json!({"decision": "ALLOW", "response": c.object()}));
    consultation.additions.access_token.insert(c.jws(), json!(1));
    let audit = open(dir.path());
    let mut entries = vec![
        Entry::of_consult(&event, &consultation),
        Entry::of_revocation(&event, &c.jws(), Err(c.sentence())),
        Entry::of_refusal(c.jws(), c.sentence()).within(&event.context),
        Entry::of_failure(c.jws(), c.sentence()).about(&event),
    ];
    entries[0].revision = Some(c.jws());
    audit.record(entries).await.unwrap();

    let mut seen = Vec::new();
    let scan = |seen: &mut Vec<u8>| {
        for name in ["audit.db", "audit.db-wal", "audit.db-shm", "audit.db.lock"] {
            seen.extend(fs::read(dir.path().join(name)).unwrap_or_default());
        }
    };
    scan(&mut seen);
    let reader = reader(dir.path());
    reader.list(&Query::default(), clock().now(), &mut seen).unwrap();
    reader.list_json(&Query::default(), clock().now(), &mut seen).unwrap();
    for seq in ["1", "2", "3", "4"] {
        reader.show(seq, &mut seen).unwrap();
        reader.show_json(seq, &mut seen).unwrap();
    }
    drop(reader);
    audit.close().await;
    scan(&mut seen);

    let seen = String::from_utf8_lossy(&seen);
    let leaked: Vec<_> = canaries
        .0
        .iter()
        .filter(|canary| seen.contains(canary.as_str()))
        .collect();
    assert!(canaries.0.len() > 200);
    assert!(leaked.is_empty(), "{leaked:?}");
    assert!(seen.contains("[redacted]") && seen.contains("a token for a name"));
}

#[tokio::test]
async fn what_a_terminal_would_obey_is_escaped_in_the_file_and_when_printed() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = "a\r\n\u{1b}[31mred\u{202e}\u{2066}\u{9b}2J\u{7f}\u{2028}";
    let mut event = event();
    event.context.client_id = Some(hostile.into());
    event.context.user_email = Some(hostile.into());
    event.data = serde_json::from_value(json!({ hostile: hostile })).unwrap();
    let mut consultation = consultation();
    consultation.interceptor = hostile.into();
    consultation.message = Some(hostile.into());
    consultation.reason = Some(hostile.into());
    consultation.warnings = vec![hostile.into()];
    consultation.annotations = event.data.clone();
    let audit = open(dir.path());
    audit
        .record(vec![Entry::of_consult(&event, &consultation)])
        .await
        .unwrap();

    let body: String = raw(dir.path())
        .query_row("SELECT body FROM record", [], |row| row.get(0))
        .unwrap();
    let mut printed = Vec::new();
    let reader = reader(dir.path());
    reader.list(&Query::default(), clock().now(), &mut printed).unwrap();
    reader
        .list_json(&Query::default(), clock().now(), &mut printed)
        .unwrap();
    reader.show("1", &mut printed).unwrap();
    reader.show_json("1", &mut printed).unwrap();
    for text in [body, String::from_utf8(printed).unwrap()] {
        let obeyed = |c: &char| *c != '\n' && (c.is_control() || "\u{202e}\u{2066}\u{2028}".contains(*c));
        assert_eq!(text.chars().find(obeyed), None, "{text}");
    }
    // Nothing is lost by that.
    assert_eq!(all(dir.path())[0].entry.client_id.as_deref(), Some(hostile));
}
