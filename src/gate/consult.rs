//! Asking the interceptors, and recording what they said before anybody sees its effect.

use std::sync::Arc;

use http::Response;
use serde_json::{Map, Value};

use super::{
    Gate,
    recognise::{Content, Recognised},
};
use crate::{
    audit::Entry,
    body::Body,
    event::{Context, Event, TokenClaims, Trigger},
    exchange::Exchange,
    facts::{self, Materials},
    refusal::Refusal,
    verdict::{Additions, DecidedBy, Decision, Remembered},
};

/// How many events one request may make (users of an import). More are refused: each would wait for its answer in turn.
const MOST_EVENTS: usize = 50;

/// What ALLOW comes to.
#[derive(Default)]
pub(super) struct Allowed {
    /// What it adds.
    pub(super) additions: Additions,
    /// What is kept with the refresh token.
    pub(super) remember: Vec<Remembered>,
}

impl Gate {
    /// A gate before: ask, then forward what was judged.
    pub(super) async fn consult_before(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        recognised: &mut Recognised,
        caller: Option<&Map<String, Value>>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(trigger) = recognised.route.trigger else {
            return Err(Refusal::ourselves("the route consults and names no trigger"));
        };
        let mut allowed = Vec::new();
        for item in items(recognised)? {
            let event = self.event_before(exchange, recognised, trigger, caller, item)?;
            let asked = self.ask(&event, &TokenClaims::default(), &[]).await?;
            allowed.push((event, asked.additions));
        }
        let answer = Box::pin(self.forward(exchange, recognised)).await?;
        if !answer.status().is_client_error() && !answer.status().is_server_error() {
            self.after_accounts(allowed).await;
        }
        Ok(answer)
    }

    /// Asks whoever applies, except those whose `remembered` ALLOW counts again, records every consultation, and gives what ALLOW
    /// comes to. About a session only once its user was asked about.
    ///
    /// # Errors
    /// DENY, a failure policy's deny, or an audit that cannot be written.
    pub(super) async fn ask(
        &self,
        event: &Event,
        existing: &TokenClaims,
        remembered: &[Remembered],
    ) -> Result<Allowed, Refusal> {
        if event.trigger == Trigger::PreSessionCreation {
            self.late_signup(event).await?;
        }
        self.ask_now(event, existing, remembered).await
    }

    pub(super) async fn ask_now(
        &self,
        event: &Event,
        existing: &TokenClaims,
        remembered: &[Remembered],
    ) -> Result<Allowed, Refusal> {
        if !self.interceptors.applies(event) {
            return Ok(Allowed::default());
        }
        let paused = self.metrics.paused(event.trigger);
        let verdict = self.interceptors.consult_again(event, existing, remembered).await;
        drop(paused);
        self.metrics.judged(event.trigger, &verdict);
        self.record_consults(event, &verdict);
        self.audit
            .record(Entry::of_verdict(event, &verdict))
            .await
            .map_err(|e| Refusal::ourselves(format!("the audit cannot be written: {e}")))?;
        match verdict.decision {
            Decision::Allow(additions) => Ok(Allowed {
                additions,
                remember: verdict.remember,
            }),
            Decision::Deny { message } => Err(denial(
                message,
                &verdict.consultations.last().map(|c| (c.decided_by, &c.interceptor)),
            )),
        }
    }

    /// The circumstances that every event has.
    pub(super) fn context(&self, exchange: &Exchange, operation: &str) -> Context {
        let place = self.geo.place(exchange.client_ip);
        Context {
            environment_id: self.environment.clone(),
            device_type: Some(exchange.device_type().to_owned()),
            region: place.region,
            city: place.city,
            ip_address: Some(exchange.client_ip),
            user_agent: exchange.user_agent().map(str::to_owned),
            triggered_at: exchange.arrival.received,
            request_id: exchange.arrival.request_id.clone(),
            trace_id: Some(exchange.arrival.trace.id().to_owned()),
            traceparent: Some(exchange.arrival.trace.traceparent().to_owned()),
            operation: Some(operation.to_owned()),
            ..Context::default()
        }
    }

    fn event_before(
        &self,
        exchange: &Exchange,
        recognised: &Recognised,
        trigger: Trigger,
        caller: Option<&Map<String, Value>>,
        item: Option<&Value>,
    ) -> Result<Event, Refusal> {
        let mut context = self.context(exchange, &recognised.route.name);
        let materials = Materials {
            form: recognised.form(),
            query: Some(&recognised.query),
            captures: Some(&recognised.captures),
            json: match &recognised.content {
                Content::Json(document) => Some(document),
                _ => None,
            },
            item,
            claims: None,
            caller,
            signup_attributes: if trigger == Trigger::PreSignup {
                &self.signup_attributes
            } else {
                &[]
            },
        };
        let data = facts::gather(&recognised.route, &materials, &mut context);
        facts::check_email(&data).map_err(|e| Refusal::client(http::StatusCode::BAD_REQUEST, e.to_string()))?;
        Ok(Event { trigger, context, data })
    }
}

/// The elements that one event each is made for: none, where the route makes just one event.
fn items(recognised: &Recognised) -> Result<Vec<Option<&Value>>, Refusal> {
    let Some(pointer) = &recognised.route.each else {
        return Ok(vec![None]);
    };
    let Content::Json(document) = &recognised.content else {
        return Ok(vec![None]);
    };
    match document.pointer(pointer) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= MOST_EVENTS => Ok(items.iter().map(Some).collect()),
        Some(Value::Array(_)) => Err(Refusal::rule(
            "invalid_request",
            format!("at most {MOST_EVENTS} accounts can be made by one request through this proxy; send them in parts"),
        )),
        Some(_) => Err(Refusal::rule(
            "invalid_request",
            format!("`{pointer}` must be an array"),
        )),
    }
}

fn denial(message: Option<String>, last: &Option<(DecidedBy, &String)>) -> Refusal {
    match last {
        Some((DecidedBy::Endpoint, _)) | None => Refusal::denied(message),
        Some((rule, interceptor)) => Refusal::failed_closed(format!(
            "the interceptor `{interceptor}` gave no valid verdict ({rule:?})"
        )),
    }
}
