//! Endpoints that are scripted byte for byte, over real sockets.

mod bad_answers;
mod chain;
mod guards;
mod hook;
mod log;
mod request;
mod settings;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::hook::{Hook, Step};
use super::{Interceptors, Settings, sample};
use crate::{
    clock::{Clock, Period},
    event::{Event, TokenClaims, Trigger},
    verdict::{Decision, Verdict},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Interceptors as the file would have them, with their secrets in a folder of their own.
struct World {
    interceptors: Interceptors,
    _folder: TempDir,
}

impl World {
    /// Builds from the tables of `[[interceptor]]`; what a test does not care about is filled in.
    fn of(tables: impl IntoIterator<Item = Value>) -> Self {
        Self::within(Period::secs(60), tables)
    }

    fn within(budget: Period, tables: impl IntoIterator<Item = Value>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), SECRET).unwrap();
        std::fs::write(folder.path().join("old"), "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC0=").unwrap();
        let settings: Vec<Settings> = tables.into_iter().map(settings_of).collect();
        let clock = Clock::fixed(jiff::Timestamp::from_second(1_700_000_000).unwrap());
        let interceptors = Interceptors::build(&settings, budget, folder.path(), clock).unwrap();
        Self {
            interceptors,
            _folder: folder,
        }
    }

    async fn session(&self) -> Verdict {
        let (event, existing) = session();
        self.interceptors.consult(&event, &existing).await
    }
}

/// A setting as the file would have it, patient enough for a busy machine.
fn settings_of(table: Value) -> Settings {
    let mut whole = json!({"name": "hook", "trigger": "PRE_SESSION_CREATION", "secret": {"file": "secret"},
        "on_failure": "deny", "timeout": "30s"});
    let members = whole.as_object_mut().unwrap();
    members.extend(table.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

fn session() -> (Event, TokenClaims) {
    sample(Trigger::PreSessionCreation, jiff::Timestamp::UNIX_EPOCH)
}

fn denied(verdict: &Verdict) -> bool {
    matches!(verdict.decision, Decision::Deny { .. })
}

#[tokio::test]
async fn a_204_is_allow_with_nothing_to_add() {
    let hook = Hook::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let verdict = World::of([json!({"endpoint": hook.url()})]).session().await;
    assert_eq!(verdict.decision, Decision::Allow(Default::default()));
    assert_eq!(verdict.consultations[0].status, Some(204));
    assert!(verdict.consultations[0].failure.is_none());
}

#[tokio::test]
async fn an_allow_adds_its_claims_to_both_tokens() {
    let hook = Hook::saying(
        json!({"decision": "ALLOW", "response": {"claims": {"plan": "gold"}, "reason": "paid",
        "annotations": {"crm": 7}, "warnings": ["card expires"]}}),
    )
    .await;
    let verdict = World::of([json!({"endpoint": hook.url()})]).session().await;
    let Decision::Allow(additions) = &verdict.decision else {
        panic!("{verdict:?}")
    };
    assert!(!additions.is_empty());
    assert_eq!(additions.access_token["plan"], "gold");
    assert_eq!(additions.id_token["plan"], "gold");
    let consultation = &verdict.consultations[0];
    assert_eq!(consultation.reason.as_deref(), Some("paid"));
    assert_eq!(consultation.annotations["crm"], 7);
    assert_eq!(consultation.warnings, ["card expires"]);
    assert_eq!(consultation.answer.as_ref().unwrap()["decision"], "ALLOW");
}

#[tokio::test]
async fn a_deny_carries_its_message_and_one_without_has_none() {
    let with = Hook::saying(json!({"decision": "DENY", "error": {"message": "SSO only.", "reason": "r"}})).await;
    let verdict = World::of([json!({"endpoint": with.url()})]).session().await;
    let message = Some("SSO only.".to_owned());
    assert_eq!(verdict.decision, Decision::Deny { message });
    assert_eq!(verdict.consultations[0].reason.as_deref(), Some("r"));
    let without = Hook::saying(json!({"decision": "DENY"})).await;
    let verdict = World::of([json!({"endpoint": without.url()})]).session().await;
    assert_eq!(verdict.decision, Decision::Deny { message: None });
    assert!(verdict.consultations[0].failure.is_none());
}

#[tokio::test]
async fn numbers_of_claims_keep_their_text() {
    let body = r#"{"decision":"ALLOW","response":{"claims":{"n":12345678901234567890.10}}}"#;
    let hook = Hook::scripted([vec![Step::send(&hook::json_answer(body))]]).await;
    let verdict = World::of([json!({"endpoint": hook.url()})]).session().await;
    let Decision::Allow(additions) = &verdict.decision else {
        panic!("{verdict:?}")
    };
    assert_eq!(additions.access_token["n"].to_string(), "12345678901234567890.10");
}
