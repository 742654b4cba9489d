//! What the log says of a consultation.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::{
    World,
    hook::{Hook, json_answer},
};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

async fn line_of(table: Value) -> Value {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter("tollgate=info")
        .with_writer(lines.clone());
    let logging = tracing::subscriber::set_default(subscriber.finish());
    World::of([table]).session().await;
    drop(logging);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_consultation_is_one_line_with_fields_to_filter_by() {
    let hook = Hook::saying(json!({"decision": "DENY", "error": {"message": "No.", "reason": "a\r\nb"}})).await;
    let line = line_of(json!({"endpoint": hook.url()})).await;
    assert_eq!(line["level"], "INFO");
    let fields = &line["fields"];
    assert_eq!(fields["message"], "interceptor `hook` denied");
    assert_eq!(fields["interceptor.name"], "hook");
    assert_eq!(
        (&fields["effect"], &fields["decided_by"]),
        (&json!("deny"), &json!("endpoint"))
    );
    assert_eq!(fields["trigger"], "PRE_SESSION_CREATION");
    assert_eq!(fields["request_id"], "sample-request");
    assert_eq!((&fields["status"], &fields["attempts"]), (&json!(200), &json!(1)));
    assert_eq!(fields["reason"], "a\r\nb");
    assert!(fields["duration_ms"].is_u64());
}

#[tokio::test]
async fn a_failure_is_a_warning_that_shows_no_value_of_the_answer() {
    let hook = Hook::answering(&json_answer(
        r#"{"decision":"ALLOW","response":{"claims":{"sub":"s3cret"}}}"#,
    ))
    .await;
    let line = line_of(json!({"endpoint": hook.url()})).await;
    assert_eq!(
        (&line["level"], &line["fields"]["failure.kind"]),
        (&json!("WARN"), &json!("invalid"))
    );
    assert_eq!(
        line["fields"]["failure.detail"],
        "`response.claims.sub` may not be set by an interceptor"
    );
    assert!(!line.to_string().contains("s3cret"));
}
