//! What came of asking, for a page.

use serde_json::Value;

use super::editor::{Line, ShownMark, numbered};
use crate::{
    interceptor::{Exchange, RawAnswer},
    trial::{Change, Claim, Mark, Report},
    verdict::{Consultation, DecidedBy, Effect, Failure, FailureKind},
};

/// Everything that there is to see.
pub(super) struct Outcome {
    /// `ok`, `stop`, `warn` or `fail`.
    pub(super) icon: &'static str,
    pub(super) title: &'static str,
    pub(super) because: String,
    /// That the case was kept, or why not.
    pub(super) saved: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) marks: Vec<ShownMark>,
    pub(super) tokens: Vec<Token>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) curl: Vec<String>,
}

/// A token's claims, before and after.
pub(super) struct Token {
    pub(super) title: &'static str,
    pub(super) summary: String,
    pub(super) changed: Vec<ShownClaim>,
    pub(super) kept: Vec<ShownClaim>,
}

/// A claim as a line of a table.
pub(super) struct ShownClaim {
    pub(super) name: String,
    /// `kept`, `added`, `replaced` or `refused`.
    pub(super) change: &'static str,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) why: String,
}

/// One call of the endpoint.
pub(super) struct Attempt {
    pub(super) number: usize,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) size: usize,
    pub(super) body: Vec<Line>,
    pub(super) signed: Vec<String>,
    pub(super) duration: String,
    pub(super) answer: Option<Answer>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) size: usize,
    pub(super) body: Vec<Line>,
    /// Bytes that are not shown.
    pub(super) more: usize,
}

impl Outcome {
    pub(super) fn of(report: &Report, saved: String) -> Self {
        let consultation = report.consultation();
        let (icon, title) = match (&consultation.failure, consultation.effect) {
            (None, Effect::Allow) => ("ok", "Allowed"),
            (None, Effect::Deny) => ("stop", "Denied"),
            (Some(_), Effect::Allow) => ("warn", "Failed, and allowed"),
            (Some(_), Effect::Deny) => ("fail", "Failed, and denied"),
        };
        let attempts = report.trial.exchanges.iter().enumerate();
        let last = report.trial.exchanges.len();
        // Marks are about the last answer.
        let shown = report
            .trial
            .exchanges
            .last()
            .and_then(|exchange| exchange.answer.as_ref())
            .map(body_text);
        let marks = Mark::placed(report.answer_marks.clone(), shown.as_ref().map_or("", |(text, _)| text));
        Self {
            icon,
            title,
            because: because(consultation),
            saved,
            facts: facts(consultation),
            tokens: [("Access token", &report.access_token), ("ID token", &report.id_token)]
                .into_iter()
                .filter(|(_, claims)| !claims.is_empty())
                .map(|(title, claims)| Token::of(title, claims))
                .collect(),
            attempts: attempts
                .map(|(index, exchange)| Attempt::of(index + 1, exchange, if index + 1 == last { &marks } else { &[] }))
                .collect(),
            marks: marks.iter().map(ShownMark::of).collect(),
            curl: report
                .curl
                .iter()
                .flat_map(|curl| curl.lines())
                .map(str::to_owned)
                .collect(),
        }
    }
}

fn because(consultation: &Consultation) -> String {
    let by = match consultation.decided_by {
        DecidedBy::Endpoint => "The endpoint decided",
        DecidedBy::OnFailure => "on_failure decided",
        DecidedBy::OnInvalid => "on_invalid decided",
        DecidedBy::Breaker => "on_failure decided, for the breaker was open",
        DecidedBy::ConcurrencyCap => "max_concurrent decided",
        DecidedBy::FailOpenLimit => "fail_open_limit decided",
        DecidedBy::Remembered => "An earlier answer decided",
    };
    let after = consultation.duration.as_millis();
    match &consultation.failure {
        None => format!("{by}, after {after} ms."),
        Some(Failure { kind, detail }) => {
            let what = match kind {
                FailureKind::Down => "the endpoint gave no answer",
                FailureKind::Invalid => "the endpoint gave an answer that cannot be taken",
            };
            format!("{by}, after {after} ms: {what}: {detail}.")
        }
    }
}

fn facts(consultation: &Consultation) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    match (&consultation.message, consultation.effect) {
        (Some(message), _) => facts.push(("The person reads", message.clone())),
        (None, Effect::Deny) => facts.push((
            "The person reads",
            "one general sentence and a number to quote".to_owned(),
        )),
        (None, Effect::Allow) => {}
    }
    facts.extend(consultation.reason.clone().map(|reason| ("For the log", reason)));
    let membership = consultation.additions.organization_membership.as_ref();
    facts.extend(membership.map(|membership| ("Membership to create", membership.to_string())));
    facts.extend(consultation.warnings.iter().map(|warning| ("Warning", warning.clone())));
    let annotations = consultation.annotations.iter();
    facts.extend(annotations.map(|(name, value)| ("Annotation", format!("{name}: {value}"))));
    facts
}

impl Token {
    fn of(title: &'static str, claims: &[Claim]) -> Self {
        let count = |is: fn(&Change) -> bool| claims.iter().filter(|claim| is(&claim.change)).count();
        let parts = [
            (count(|c| matches!(c, Change::Added { .. })), "added"),
            (count(|c| matches!(c, Change::Replaced { .. })), "replaced"),
            (count(|c| matches!(c, Change::Refused { .. })), "refused"),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
        let (kept, changed): (Vec<_>, Vec<_>) = claims
            .iter()
            .partition(|claim| matches!(claim.change, Change::Kept { .. }));
        Self {
            title,
            summary: if parts.is_empty() {
                "unchanged".to_owned()
            } else {
                parts.join(", ")
            },
            changed: changed.into_iter().map(ShownClaim::of).collect(),
            kept: kept.into_iter().map(ShownClaim::of).collect(),
        }
    }
}

impl ShownClaim {
    fn of(claim: &Claim) -> Self {
        let text = |value: &Value| value.to_string();
        let (change, before, after, why) = match &claim.change {
            Change::Kept { value } => ("kept", text(value), text(value), ""),
            Change::Added { after } => ("added", String::new(), text(after), ""),
            Change::Replaced { before, after } => ("replaced", text(before), text(after), ""),
            Change::Refused { before, wanted, why } => (
                "refused",
                before.as_ref().map(text).unwrap_or_default(),
                text(wanted),
                why.as_str(),
            ),
        };
        Self {
            name: claim.name.clone(),
            change,
            before,
            after,
            why: why.to_owned(),
        }
    }
}

impl Attempt {
    fn of(number: usize, exchange: &Exchange, marks: &[Mark]) -> Self {
        let request = &exchange.request;
        Self {
            number,
            url: request.url.clone(),
            headers: request.headers.clone(),
            size: request.body.len(),
            body: numbered(&pretty(&request.body), &[]),
            signed: request.signed.lines().map(str::to_owned).collect(),
            duration: format!("{} ms", exchange.duration.as_millis()),
            answer: exchange.answer.as_ref().map(|answer| Answer::of(answer, marks)),
        }
    }
}

impl Answer {
    fn of(answer: &RawAnswer, marks: &[Mark]) -> Self {
        let (text, more) = body_text(answer);
        Self {
            status: answer.status,
            headers: answer.headers.clone(),
            size: answer.body.len(),
            body: if text.is_empty() {
                Vec::new()
            } else {
                numbered(&text, marks)
            },
            more,
        }
    }
}

/// As much of an answer's body as a page shows, and how many bytes are left out.
fn body_text(answer: &RawAnswer) -> (String, usize) {
    let shown = answer.body.get(..MOST).unwrap_or(&answer.body);
    (pretty(shown), answer.body.len() - shown.len())
}

/// JSON laid out for reading; anything else as it is.
fn pretty(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => format!("{value:#}"),
        Err(_) => String::from_utf8_lossy(bytes)
            .replace("\r\n", "\n")
            .trim_end()
            .to_owned(),
    }
}

/// Bytes of a body that a page shows.
const MOST: usize = 32 * 1024;
