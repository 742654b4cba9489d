//! One interceptor tried with one event: everything that there is to see.

use super::{
    claims::{Claim, Token, changes},
    curl::curl,
    mark::{Mark, Severity},
    places::escaped,
    shapes,
    submission::Submission,
};
use crate::{
    event::Trigger,
    interceptor::{Interceptors, Trial},
    json,
    verdict::{ClaimsMember, Consultation, Effect, FailureKind, RefusedClaim},
};

/// What was sent, what came back, what it was taken for, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The interceptor's name.
    pub interceptor: String,
    /// When it is asked.
    pub trigger: Trigger,
    /// What went over the wire, and the verdict that production would have.
    pub trial: Trial,
    /// What is odd about the event.
    pub event_notes: Vec<Mark>,
    /// What is wrong with the answer, field by field.
    pub answer_marks: Vec<Mark>,
    /// The access token's claims; empty where no token is handed out.
    pub access_token: Vec<Claim>,
    /// The ID token's, likewise.
    pub id_token: Vec<Claim>,
    /// The call as a command, if one was made.
    pub curl: Option<String>,
}

/// Asks one interceptor about the event as a dry run, whatever its conditions say; `None` when there is none of that name. It takes no
/// longer than the interceptor's timeout.
pub async fn try_out(interceptors: &Interceptors, name: &str, submission: &Submission) -> Option<Report> {
    let Submission { event, existing, notes } = submission;
    let interceptor = interceptors.named(name)?;
    let trial = interceptors.consult_one(name, event, existing).await?;
    let consultation = &trial.consultation;
    let last = trial.exchanges.last();
    let body = last
        .and_then(|exchange| exchange.answer.as_ref())
        .map(|answer| answer.body.as_ref());
    Some(Report {
        interceptor: name.to_owned(),
        trigger: event.trigger,
        event_notes: notes.clone(),
        answer_marks: answer_marks(consultation, body.unwrap_or_default()),
        access_token: changes(Token::Access, existing, consultation),
        id_token: changes(Token::Id, existing, consultation),
        curl: last.map(|exchange| curl(&exchange.request, interceptor.settings())),
        trial,
    })
}

impl Report {
    /// What production would have done.
    pub fn consultation(&self) -> &Consultation {
        &self.trial.consultation
    }

    /// Whether the request would have gone on.
    pub fn allows(&self) -> bool {
        self.trial.consultation.effect == Effect::Allow
    }
}

fn answer_marks(consultation: &Consultation, body: &[u8]) -> Vec<Mark> {
    let invalid = consultation.failure.as_ref().filter(|f| f.kind == FailureKind::Invalid);
    let text = String::from_utf8_lossy(body);
    let Some(answer) = &consultation.answer else {
        // Status, content type and size are judged before the body is read, and are no mistake in it.
        return match (invalid, json::parse(body)) {
            (Some(_), Err(malformed)) if consultation.status == Some(200) && !body.is_empty() => {
                vec![Mark::malformed(&text, &malformed)]
            }
            _ => Vec::new(),
        };
    };
    let mut marks = Vec::new();
    shapes::ANSWER.judge(answer, "", &mut marks);
    for RefusedClaim { member, name, why } in &consultation.refused {
        let pointer = format!("{}/{}", ClaimsMember::pointer(*member), escaped(name));
        marks.push(Mark::new(Severity::Error, pointer, why));
    }
    // What no field alone is to blame for.
    if let Some(failure) = invalid
        && !marks.iter().any(Mark::is_error)
    {
        marks.push(Mark::new(Severity::Error, "", &failure.detail));
    }
    Mark::placed(marks, &text)
}
