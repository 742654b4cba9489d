//! Recorded events sent again, and what has changed in the answers.

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use super::submission::{Submission, masked};
use crate::{
    audit::{Decider, Kind, MASK, Record, redact},
    event::Trigger,
    interceptor::Interceptors,
    verdict::{ClaimsMember, DecidedBy, Effect, FailureKind},
};

/// A recorded consultation that was repeated.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The record's place in the audit.
    pub record: String,
    /// When it was written.
    pub time: Timestamp,
    /// Who was asked.
    pub interceptor: Option<String>,
    /// When.
    pub trigger: Option<Trigger>,
    /// Whom it was about: the e-mail address, the user's id or the client.
    pub about: Option<String>,
    /// Where the recorded event has a placeholder for what was removed (RFC 6901): the endpoint sees other values than then.
    pub masked: Vec<String>,
    /// How long the answer took, if one was waited for.
    pub duration_ms: Option<u64>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of repeating.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Decision, message and claims are the same.
    Same,
    /// Something is not.
    Different {
        /// What.
        differences: Vec<Difference>,
    },
    /// The endpoint was away or its answer cannot be taken: that says nothing about its rules.
    Failed {
        /// Away, or there and wrong.
        kind: FailureKind,
        /// What happened.
        detail: String,
    },
    /// It could not be repeated.
    Skipped {
        /// Why.
        why: String,
    },
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// `decision`, `message`, `organization_membership`, or a claim like `access_token.plan`.
    pub what: String,
    /// What was recorded; null where there was nothing.
    pub before: Value,
    /// What came now, with secrets masked as in a record.
    pub after: Value,
}

/// How much is asked of the endpoints, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many are asked at once; at least one.
    pub at_once: usize,
    /// When no more are asked; what is under way is waited for.
    pub until: Option<Instant>,
}

/// Asks about every recorded consultation again: as a dry run, with fresh ids, time stamps and signatures. The outcomes come in the order
/// of the records. Those of an answer that was remembered are left out: nobody was asked then.
pub async fn replay(interceptors: &Interceptors, records: Vec<Record>, pace: Pace, now: Timestamp) -> Vec<Replayed> {
    let remembered = Some(Decider::Interceptor(DecidedBy::Remembered));
    let asked = records
        .into_iter()
        .filter(|record| record.entry.decided_by != remembered);
    let repeated = asked.map(|record| async move {
        match pace.until {
            Some(until) if Instant::now() >= until => Replayed {
                outcome: Outcome::Skipped {
                    why: "time was up before it was its turn".to_owned(),
                },
                ..Replayed::of(&record)
            },
            _ => repeat(interceptors, record, now).await,
        }
    });
    stream::iter(repeated).buffered(pace.at_once.max(1)).collect().await
}

impl Replayed {
    fn of(record: &Record) -> Self {
        let entry = &record.entry;
        let about = [&entry.user_email, &entry.user_id, &entry.client_id];
        Self {
            record: record.place(),
            time: record.time,
            interceptor: entry.interceptor.clone(),
            trigger: entry.trigger,
            about: about.into_iter().flatten().next().cloned(),
            masked: entry.event.as_ref().map(masked).unwrap_or_default(),
            duration_ms: None,
            outcome: Outcome::Same,
        }
    }
}

async fn repeat(interceptors: &Interceptors, record: Record, now: Timestamp) -> Replayed {
    let mut replayed = Replayed::of(&record);
    let (name, submission) = match prepare(interceptors, &record, now) {
        Ok(prepared) => prepared,
        Err(why) => {
            replayed.outcome = Outcome::Skipped { why };
            return replayed;
        }
    };
    let Some(trial) = interceptors
        .consult_one(name, &submission.event, &submission.existing)
        .await
    else {
        return replayed;
    };
    let consultation = trial.consultation;
    replayed.duration_ms = u64::try_from(consultation.duration.as_millis()).ok();
    replayed.outcome = match consultation.failure {
        Some(failure) => Outcome::Failed {
            kind: failure.kind,
            detail: failure.detail,
        },
        None => {
            // Masked like the record, so that what was removed then is not taken for a difference.
            let answer = consultation.answer.map(redact);
            let after = Said::new(Some(consultation.effect), consultation.message, answer.as_ref());
            let differences = recorded(&record).differences(&after);
            if differences.is_empty() {
                Outcome::Same
            } else {
                Outcome::Different { differences }
            }
        }
    };
    replayed
}

fn prepare<'r>(
    interceptors: &Interceptors,
    record: &'r Record,
    now: Timestamp,
) -> Result<(&'r str, Submission), String> {
    let entry = &record.entry;
    let (Kind::Consult, Some(name), Some(event)) = (entry.kind, &entry.interceptor, &entry.event) else {
        return Err("it is no record of a consultation with its event".to_owned());
    };
    let interceptor = interceptors
        .named(name)
        .ok_or_else(|| format!("the configuration has no interceptor `{name}`"))?;
    if entry.trigger != Some(interceptor.trigger()) {
        return Err(format!("`{name}` is asked at {} now", interceptor.trigger()));
    }
    let environment = event
        .pointer("/interceptor_context/environment_id")
        .and_then(Value::as_str);
    let read = Submission::of(
        event.clone(),
        interceptor.trigger(),
        environment.unwrap_or_default(),
        now,
    );
    let mut submission = read.map_err(|marks| {
        let mistake = marks.iter().find(|mark| mark.is_error());
        let words = mistake.map(|m| format!("`{}` {}", m.pointer.as_deref().unwrap_or_default(), m.message));
        format!("its event cannot be sent any more: {}", words.unwrap_or_default())
    })?;
    submission.event.context.request_id = Uuid::now_v7().to_string();
    submission.event.context.trace_id = None;
    Ok((name, submission))
}

/// What the record says was done.
fn recorded(record: &Record) -> Said {
    let entry = &record.entry;
    let by_endpoint = entry.decided_by == Some(Decider::Interceptor(DecidedBy::Endpoint));
    Said::new(
        entry.decision,
        entry.message.clone(),
        entry.answer.as_ref().filter(|_| by_endpoint),
    )
}

/// What an answer comes to, as far as it is compared.
struct Said {
    decision: Option<Effect>,
    message: Option<String>,
    access_token: Map<String, Value>,
    id_token: Map<String, Value>,
    membership: Value,
}

impl Said {
    fn new(decision: Option<Effect>, message: Option<String>, answer: Option<&Value>) -> Self {
        let answer = answer.filter(|_| decision == Some(Effect::Allow));
        let at = |pointer: &str| {
            answer
                .and_then(|answer| answer.pointer(pointer))
                .cloned()
                .unwrap_or_default()
        };
        let token = |member: ClaimsMember| {
            let mut claims = Map::new();
            for member in [ClaimsMember::Both, member] {
                if let Value::Object(members) = at(member.pointer()) {
                    claims.extend(members);
                }
            }
            claims
        };
        Self {
            decision,
            message,
            access_token: token(ClaimsMember::AccessToken),
            id_token: token(ClaimsMember::IdToken),
            membership: at("/response/create_organization_membership"),
        }
    }

    fn differences(&self, after: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut compare = |what: &str, before: Value, after: Value| {
            // What was removed from the record may have been the same.
            let unknown = before.as_str().is_some_and(|text| text.contains(MASK)) && !after.is_null();
            if before != after && !unknown {
                found.push(Difference {
                    what: what.to_owned(),
                    before,
                    after,
                });
            }
        };
        let json = |value: &Option<Effect>| serde_json::to_value(value).unwrap_or_default();
        compare("decision", json(&self.decision), json(&after.decision));
        if self.decision == after.decision {
            let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
            compare("message", text(&self.message), text(&after.message));
        }
        compare(
            "organization_membership",
            self.membership.clone(),
            after.membership.clone(),
        );
        for (token, before, after) in [
            ("access_token", &self.access_token, &after.access_token),
            ("id_token", &self.id_token, &after.id_token),
        ] {
            let new = after.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(new) {
                let value = |claims: &Map<String, Value>| claims.get(name).cloned().unwrap_or_default();
                compare(&format!("{token}.{name}"), value(before), value(after));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(decision: Effect, message: Option<&str>, answer: Value) -> Said {
        Said::new(Some(decision), message.map(str::to_owned), Some(&answer))
    }

    fn names(differences: &[Difference]) -> Vec<&str> {
        differences.iter().map(|d| d.what.as_str()).collect()
    }

    #[test]
    fn claims_are_compared_by_the_token_that_they_end_up_in() {
        let one = said(
            Effect::Allow,
            None,
            json!({"response": {"claims": {"plan": "gold", "seats": 4}}}),
        );
        let parts =
            json!({"access_token": {"claims": {"plan": "gold", "seats": 5}}, "id_token": {"claims": {"plan": "gold"}}});
        let other = said(Effect::Allow, None, json!({"response": parts}));
        let found = one.differences(&other);
        assert_eq!(names(&found), ["access_token.seats", "id_token.seats"]);
        assert_eq!((&found[0].before, &found[0].after), (&json!(4), &json!(5)));
        assert!(found[1].after.is_null());
        assert!(one.differences(&one).is_empty());
    }

    #[test]
    fn another_decision_is_one_difference_and_its_lost_claims_are_others() {
        let before = said(Effect::Allow, None, json!({"response": {"claims": {"plan": "gold"}}}));
        let after = said(
            Effect::Deny,
            Some("No."),
            json!({"response": {"claims": {"plan": "gold"}}}),
        );
        assert_eq!(
            names(&before.differences(&after)),
            ["decision", "access_token.plan", "id_token.plan"]
        );
        let reworded = said(Effect::Deny, Some("No!"), json!({}));
        assert_eq!(names(&after.differences(&reworded)), ["message"]);
    }

    #[test]
    fn what_was_masked_is_no_difference_unless_it_is_gone() {
        let before = said(Effect::Allow, None, json!({"response": {"claims": {"code": MASK}}}));
        let masked = said(Effect::Allow, None, json!({"response": {"claims": {"code": "other"}}}));
        assert!(before.differences(&masked).is_empty());
        let gone = said(Effect::Allow, None, json!({}));
        assert_eq!(before.differences(&gone).len(), 2);
    }
}
