//! An event that somebody wants to try: read from text and judged, before it is sent.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    mark::{Mark, Severity},
    shapes,
};
use crate::{
    audit::MASK,
    event::{Event, TokenClaims, Trigger},
    interceptor::sample,
    json,
};

/// An event that can be sent, always marked as a dry run.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The event.
    pub event: Event,
    /// The claims that the upstream's tokens would have.
    pub existing: TokenClaims,
    /// What is odd about it and does not stand in the way.
    pub notes: Vec<Mark>,
}

impl Submission {
    /// A realistic event of the trigger.
    pub fn sample(trigger: Trigger, environment: &str, now: Timestamp) -> Self {
        let (mut event, existing) = sample(trigger, now);
        environment.clone_into(&mut event.context.environment_id);
        Self {
            event,
            existing,
            notes: Vec::new(),
        }
    }

    /// Reads an event of `trigger`. The environment and the time are filled in where they are missing.
    ///
    /// # Errors
    /// Everything that keeps it from being an event that Tollgate sends, and the notes with it, each with its place.
    pub fn read(text: &str, trigger: Trigger, environment: &str, now: Timestamp) -> Result<Self, Vec<Mark>> {
        let document = match json::parse(text.as_bytes()) {
            Ok(document) => document,
            Err(malformed) => return Err(vec![Mark::malformed(text, &malformed)]),
        };
        let placed = |marks| Mark::placed(marks, text);
        Self::of(document, trigger, environment, now)
            .map(|read| Self {
                notes: placed(read.notes),
                ..read
            })
            .map_err(placed)
    }

    /// The same of a document that was read already; its marks have pointers only.
    pub(super) fn of(
        mut document: Value,
        trigger: Trigger,
        environment: &str,
        now: Timestamp,
    ) -> Result<Self, Vec<Mark>> {
        let mut notes = Vec::new();
        shapes::event(trigger).judge(&document, "", &mut notes);
        for pointer in masked(&document) {
            let message = "was removed when the event was recorded: the endpoint gets this placeholder";
            notes.push(Mark::new(Severity::Note, pointer, message));
        }
        if notes.iter().any(Mark::is_error) {
            return Err(notes);
        }
        if let Some(context) = document.get_mut("interceptor_context").and_then(Value::as_object_mut) {
            context.entry("environment_id").or_insert_with(|| environment.into());
            context.entry("triggered_at").or_insert_with(|| now.to_string().into());
        }
        let mut event: Event = match serde_json::from_value(document) {
            Ok(event) => event,
            Err(error) => {
                notes.push(Mark::new(Severity::Error, "", error.to_string()));
                return Err(notes);
            }
        };
        event.context.dry_run = true;
        let claims = event.data.get("claims").cloned().unwrap_or(Value::Null);
        Ok(Self {
            existing: serde_json::from_value(claims).unwrap_or_default(),
            event,
            notes,
        })
    }

    /// The event as somebody would edit it.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.event).unwrap_or_default()
    }
}

/// The places (RFC 6901) of what was masked when the document was recorded.
pub fn masked(document: &Value) -> Vec<String> {
    fn walk(value: &Value, pointer: &str, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text.contains(MASK) => found.push(pointer.to_owned()),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{pointer}/{index}"), found);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    walk(member, &format!("{pointer}/{}", super::places::escaped(name)), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document, "", &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Submission, Vec<Mark>> {
        Submission::read(text, Trigger::PreSignup, "test", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_sample_reads_back_as_it_is_shown() {
        for trigger in Trigger::ALL {
            let sample = Submission::sample(trigger, "test", Timestamp::UNIX_EPOCH);
            let read = Submission::read(&sample.text(), trigger, "other", Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!((read.event, read.existing), (sample.event, sample.existing));
            assert_eq!(read.notes, []);
        }
    }

    #[test]
    fn what_is_missing_is_filled_in_and_the_event_is_always_a_dry_run() {
        let text = r#"{"trigger_point":"PRE_SIGNUP","interceptor_context":{"dry_run":false},"data":{"user":{}}}"#;
        let read = read(text).unwrap();
        assert!(read.event.context.dry_run);
        assert_eq!(read.event.context.environment_id, "test");
        assert_eq!(read.notes.len(), 2, "{:?}", read.notes);
    }

    #[test]
    fn every_mistake_is_marked_with_its_line() {
        let text = "{\n \"trigger_point\": \"PRE_SESSION_CREATION\",\n \"interceptor_context\": {\n  \"ip_address\": \"x\"\n },\n \"data\": []\n}";
        let marks = read(text).unwrap_err();
        let errors: Vec<_> = marks.iter().filter(|mark| mark.is_error()).collect();
        let lines: Vec<_> = errors.iter().map(|mark| mark.line.unwrap()).collect();
        assert_eq!(lines, [2, 4, 6], "{marks:?}");
    }

    #[test]
    fn what_was_masked_is_named() {
        let document = serde_json::json!({"a": ["x", format!("sent {MASK}")], "b/c": MASK, "d": 1});
        assert_eq!(masked(&document), ["/a/1", "/b~1c"]);
    }
}
