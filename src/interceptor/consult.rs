//! One interceptor's part in a verdict: call, read, judge, and where that fails, its policies.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{
    Interceptor, OnRefresh, Policy,
    answer::{Answer, Head, Placing, document, down, invalid},
    call::Call,
    exchange::Exchange,
    refused::refused_claims,
    together::SharedMinute,
};
use crate::{
    clock::Clock,
    event::{Context, Event, TokenClaims, Trigger},
    verdict::{Additions, Claims, Consultation, DecidedBy, Effect, Failure, FailureKind, Remembered},
};

/// What an interceptor is asked, and what stands already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) event: &'a Event,
    /// The claims of the upstream's tokens.
    pub(super) existing: &'a TokenClaims,
    /// What the interceptors before this one add.
    pub(super) earlier: &'a Additions,
    pub(super) clock: &'a Clock,
    /// Where replicas count their fail-opens together.
    pub(super) others: Option<&'a dyn SharedMinute>,
}

/// The time that all interceptors of one request have together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    length: Duration,
    end: Instant,
}

impl Budget {
    /// A budget that begins to run now.
    pub(super) fn start(length: Duration) -> Self {
        let end = Instant::now() + length;
        Self { length, end }
    }
}

impl Interceptor {
    /// Asks within the budget, minding cap, breaker and fail-open limit, and writes the log line.
    pub(super) async fn ask(&self, question: &Question<'_>, budget: Budget) -> Consultation {
        let mut consultation = self.open();
        self.ask_guarded(question, budget, &mut consultation).await;
        self.log(question.event, &consultation);
        consultation
    }

    /// The part that an ALLOW of earlier plays again, judged by the rules of now; `None` where the interceptor is to be asked.
    pub(super) fn recall(&self, question: &Question<'_>, remembered: &[Remembered]) -> Option<Consultation> {
        if self.settings.on_refresh != OnRefresh::Reuse {
            return None;
        }
        let kept = remembered.iter().find(|kept| kept.interceptor == self.name())?;
        let mut consultation = self.open();
        let answer = Answer {
            claims: kept.claims.clone(),
            ..Answer::allow()
        };
        // What does not fit the upstream's tokens or the settings any more is asked about anew.
        self.take(question, answer, &mut consultation).ok()?;
        consultation.decided_by = DecidedBy::Remembered;
        self.log(question.event, &consultation);
        Some(consultation)
    }

    /// Asks without minding or touching cap, breaker and fail-open limit.
    pub(super) async fn try_out(&self, question: &Question<'_>, record: &mut Vec<Exchange>) -> Consultation {
        let mut consultation = self.open();
        match self.body(question.event) {
            Ok(body) => {
                let deadline = Instant::now() + self.settings.timeout.0;
                self.call(question, body, deadline, &mut consultation, Some(record))
                    .await;
            }
            Err(failure) => deny(&mut consultation, DecidedBy::OnFailure, failure),
        }
        consultation
    }

    async fn ask_guarded(&self, question: &Question<'_>, budget: Budget, consultation: &mut Consultation) {
        let Ok(_slot) = self.slots.try_acquire() else {
            let cap = self.settings.max_concurrent;
            let failure = down(format!(
                "{cap} consultations are under way, as many as `max_concurrent` allows"
            ));
            // Denied whatever `on_failure` says: who sends enough requests must not open the gate by that.
            return deny(consultation, DecidedBy::ConcurrencyCap, failure);
        };
        let Some(_counted) = self.per_client.admit(question.event.context.ip_address) else {
            let most = self.per_client.most();
            let failure = down(format!(
                "{most} consultations are under way for this client, as many as `max_concurrent_per_client` allows"
            ));
            return deny(consultation, DecidedBy::ConcurrencyCap, failure);
        };
        let body = match self.body(question.event) {
            Ok(body) => body,
            // Likewise: the size of an event is in the hands of whoever sent the request.
            Err(failure) => return deny(consultation, DecidedBy::OnFailure, failure),
        };
        self.ask_admitted(question, body, budget, consultation).await;

        let would_open = consultation.failure.is_some() && consultation.effect == Effect::Allow;
        let may_open = self
            .fail_open_limit
            .admit(would_open, self.name(), question.others)
            .await;
        if would_open && !may_open {
            consultation.effect = Effect::Deny;
            consultation.decided_by = DecidedBy::FailOpenLimit;
        }
    }

    async fn ask_admitted(
        &self,
        question: &Question<'_>,
        body: Bytes,
        budget: Budget,
        consultation: &mut Consultation,
    ) {
        let now = Instant::now();
        if now >= budget.end {
            let failure = down("the interceptors before this one used up the time that all have together");
            return self.fail(consultation, failure);
        }
        let Some(pass) = self.breaker.admit() else {
            self.fail(consultation, down("the breaker is open: the endpoint was down lately"));
            consultation.decided_by = DecidedBy::Breaker;
            return;
        };
        let deadline = budget.end.min(now + self.settings.timeout.0);
        self.call(question, body, deadline, consultation, None).await;
        let is_down = consultation
            .failure
            .as_ref()
            .is_some_and(|f| f.kind == FailureKind::Down);
        // A call that the interceptors before it left less than half of its time says nothing about this endpoint.
        let wanted = self.settings.timeout.0.min(budget.length);
        let cut_short = deadline - now < wanted / 2 && Instant::now() >= deadline;
        let ours = consultation.decided_by == DecidedBy::ConcurrencyCap;
        if !(is_down && (cut_short || ours)) {
            pass.report(is_down);
        }
    }

    async fn call(
        &self,
        question: &Question<'_>,
        body: Bytes,
        deadline: Instant,
        consultation: &mut Consultation,
        record: Option<&mut Vec<Exchange>>,
    ) {
        let started = Instant::now();
        let id = consultation.id.clone();
        let call = Call {
            id: &id,
            body,
            trace_id: question.event.context.trace_id.as_deref(),
            recorded: question
                .event
                .context
                .traceparent
                .as_ref()
                .is_none_or(|trace| trace.ends_with("-01")),
            deadline,
            clock: question.clock,
        };
        let called = self.caller.call(&call, record).await;
        consultation.duration = started.elapsed();
        consultation.attempts = called.attempts;
        consultation.status = called.status;
        let judged = called
            .outcome
            .and_then(|(head, body)| self.judge(question, head, &body, consultation));
        let Err(failure) = judged else { return };
        if let Some(last) = consultation.attempts.last_mut() {
            last.failure.get_or_insert_with(|| failure.clone());
        }
        self.name_refused(question, consultation);
        self.fail(consultation, failure);
        // Load of our own must not open the gate either.
        if called.late >= TOO_LATE && consultation.effect == Effect::Allow {
            let late = called.late.as_millis();
            let failure = down(format!(
                "Tollgate was too busy to see within {late} ms that the time was up, so the endpoint's silence says nothing"
            ));
            deny(consultation, DecidedBy::ConcurrencyCap, failure);
        }
    }

    /// Of an ALLOW that cannot be taken, names the claims that are to blame.
    fn name_refused(&self, question: &Question<'_>, consultation: &mut Consultation) {
        let is_allow = |answer: &&Value| answer.get("decision").and_then(Value::as_str) == Some("ALLOW");
        if let Some(answer) = consultation.answer.as_ref().filter(is_allow) {
            consultation.refused = refused_claims(answer, &self.placing(question), question.existing, question.earlier);
        }
    }

    fn placing(&self, question: &Question<'_>) -> Placing<'_> {
        Placing {
            trigger: question.event.trigger,
            claims_at: self.settings.claims_at.as_deref(),
            may_override: &self.settings.may_override,
        }
    }

    fn judge(
        &self,
        question: &Question<'_>,
        head: Head,
        body: &[u8],
        consultation: &mut Consultation,
    ) -> Result<(), Failure> {
        let answer = match head {
            Head::NoContent => Answer::allow(),
            Head::Json => {
                let document = document(body)?;
                Answer::read(consultation.answer.insert(document), question.event.trigger)?
            }
        };
        self.take(question, answer, consultation)
    }

    /// Puts an answer's claims where they belong.
    fn take(&self, question: &Question<'_>, answer: Answer, consultation: &mut Consultation) -> Result<(), Failure> {
        consultation.reason = answer.reason;
        consultation.annotations = answer.annotations;
        consultation.warnings = answer.warnings;
        let (mut additions, warnings) =
            self.placing(question)
                .place(&answer.claims, question.existing, question.earlier)?;
        additions.organization_membership = answer.organization_membership;
        let earlier = &question.earlier.organization_membership;
        if earlier.is_some()
            && additions.organization_membership.is_some()
            && *earlier != additions.organization_membership
        {
            return Err(invalid(
                "`response.create_organization_membership` differs from what an earlier interceptor set",
            ));
        }
        consultation.warnings.extend(warnings);
        consultation.claims = answer.claims;
        consultation.additions = additions;
        consultation.message = answer.message;
        consultation.effect = answer.effect;
        Ok(())
    }

    /// The policy for this kind of failure speaks.
    fn fail(&self, consultation: &mut Consultation, failure: Failure) {
        let (policy, decided_by) = match failure.kind {
            FailureKind::Down => (self.settings.on_failure(), DecidedBy::OnFailure),
            FailureKind::Invalid => (self.settings.on_invalid, DecidedBy::OnInvalid),
        };
        consultation.effect = match policy {
            Policy::Allow => Effect::Allow,
            Policy::Deny => Effect::Deny,
        };
        consultation.decided_by = decided_by;
        consultation.failure = Some(failure);
    }

    fn body(&self, event: &Event) -> Result<Bytes, Failure> {
        let sent = Sent {
            display_name: self.name(),
            trigger_point: event.trigger,
            interceptor_context: &event.context,
            data: &event.data,
        };
        let body = if self.rules.is_empty() {
            serde_json::to_vec(&sent)
        } else {
            serde_json::to_value(&sent).and_then(|mut value| {
                value
                    .as_object_mut()
                    .into_iter()
                    .for_each(|members| self.rules.apply(members));
                serde_json::to_vec(&value)
            })
        };
        let body = body.map_err(|error| down(format!("the event cannot be written as JSON: {error}")))?;
        if body.len() > MAX_EVENT {
            let size = body.len();
            return Err(down(format!(
                "the event takes {size} bytes; at most {MAX_EVENT} are sent"
            )));
        }
        Ok(body.into())
    }

    fn open(&self) -> Consultation {
        Consultation {
            interceptor: self.name().to_owned(),
            id: Uuid::now_v7().to_string(),
            effect: Effect::Deny,
            decided_by: DecidedBy::Endpoint,
            failure: None,
            message: None,
            reason: None,
            claims: Claims::default(),
            additions: Additions::default(),
            annotations: Map::new(),
            warnings: Vec::new(),
            status: None,
            attempts: Vec::new(),
            duration: Duration::ZERO,
            answer: None,
            refused: Vec::new(),
        }
    }

    fn log(&self, event: &Event, consultation: &Consultation) {
        let name = self.name();
        let Consultation {
            effect,
            decided_by,
            failure,
            ..
        } = consultation;
        let failure = failure.as_ref();
        macro_rules! line {
            ($level:ident, $($message:tt)+) => {
                $level!(
                    request_id = event.context.request_id,
                    trigger = %event.trigger,
                    interceptor.name = name,
                    interceptor.id = consultation.id,
                    effect = word(effect),
                    decided_by = word(decided_by),
                    failure.kind = failure.map(|f| word(f.kind)),
                    failure.detail = failure.map(|f| f.detail.as_str()),
                    reason = consultation.reason.as_deref(),
                    status = consultation.status,
                    attempts = consultation.calls(),
                    duration_ms = u64::try_from(consultation.duration.as_millis()).unwrap_or(u64::MAX),
                    $($message)+
                )
            };
        }
        let outcome = match effect {
            Effect::Allow => "allowed",
            Effect::Deny => "denied",
        };
        match (failure, decided_by) {
            (Some(_), DecidedBy::FailOpenLimit) => line!(
                error,
                "interceptor `{name}` FAILS CLOSED: more than {:.0} % of the last minute's consultations failed",
                self.settings.fail_open_limit * 100.0
            ),
            (Some(failure), _) => line!(warn, "interceptor `{name}` failed and {outcome}: {}", failure.detail),
            (None, DecidedBy::Remembered) => {
                line!(
                    info,
                    "interceptor `{name}` {outcome} when the session began, and is not asked again"
                );
            }
            (None, _) => line!(info, "interceptor `{name}` {outcome}"),
        }
    }
}

fn deny(consultation: &mut Consultation, decided_by: DecidedBy, failure: Failure) {
    consultation.effect = Effect::Deny;
    consultation.decided_by = decided_by;
    consultation.failure = Some(failure);
}

/// A value as the audit spells it, so that one filter finds it in both.
fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The body of a request.
#[derive(Serialize)]
struct Sent<'a> {
    display_name: &'a str,
    trigger_point: Trigger,
    interceptor_context: &'a Context,
    data: &'a Map<String, Value>,
}

/// From here on it is our lateness that counts, not the endpoint's.
const TOO_LATE: Duration = Duration::from_secs(1);

/// Bytes of an event. A client decides over much of its size, and could make the endpoint slow with it.
const MAX_EVENT: usize = 256 * 1024;
