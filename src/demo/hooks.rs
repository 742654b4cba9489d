//! Four sample interceptors on one small server, to be read as examples.
//!
//! An interceptor is an HTTP endpoint. It verifies the signature, reads the event, and answers ALLOW or DENY: that is
//! all. Each rule has a file of its own; what they share is here and in `signature`.

mod invitation;
mod machine;
mod session;
mod signature;
mod signup;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Map, Value, json};

use self::{invitation::Seats, machine::Quota, signature::Key};
use super::server::Server;
use crate::{clock::Clock, event::Trigger, secret::Secret};

/// The running interceptors. They stop when this is dropped.
pub struct Hooks {
    server: Server,
    secrets: Vec<(Trigger, Secret)>,
    consults: Arc<Mutex<Vec<Consult>>>,
}

/// One event that was asked about, and what was answered.
#[derive(Clone, Debug)]
pub struct Consult {
    /// The trigger of the endpoint that was asked.
    pub trigger: Trigger,
    /// The event as it arrived.
    pub event: Value,
    /// The answer as it left.
    pub answer: Value,
}

/// What an interceptor answers.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    /// Go on, and add these claims to the tokens.
    Allow(Map<String, Value>),
    /// Stop, and tell the user why.
    Deny(String),
}

/// One endpoint: the key that its events are signed with, and its rule.
struct Endpoint {
    trigger: Trigger,
    key: Key,
    rule: Rule,
    clock: Clock,
    consults: Arc<Mutex<Vec<Consult>>>,
}

type Rule = Box<dyn Fn(&Value) -> Answer + Send + Sync>;

impl Hooks {
    /// Makes a secret for each endpoint and serves them on a free loopback port.
    ///
    /// # Errors
    /// No port can be bound, or the system has no randomness for secrets.
    pub async fn start(clock: Clock) -> io::Result<Self> {
        let (seats, quota) = (Seats::new(), Quota::new(clock.clone()));
        let rules: [(Trigger, Rule); 4] = [
            (Trigger::PreSignup, Box::new(signup::decide)),
            (Trigger::PreSessionCreation, Box::new(session::decide)),
            (Trigger::PreUserInvitation, Box::new(move |event| seats.decide(event))),
            (Trigger::PreM2mTokenCreation, Box::new(move |event| quota.decide(event))),
        ];
        let consults = Arc::new(Mutex::new(Vec::new()));
        let mut secrets = Vec::new();
        let mut routes = Router::new();
        for (trigger, rule) in rules {
            let (key, secret) = Key::generate()
                .map_err(|_| io::Error::other("the sample interceptors could not make their secrets"))?;
            secrets.push((trigger, secret));
            let endpoint = Endpoint {
                trigger,
                key,
                rule,
                clock: clock.clone(),
                consults: consults.clone(),
            };
            routes = routes.route(path(trigger), post(consult).with_state(Arc::new(endpoint)));
        }
        let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), routes).await?;
        Ok(Self {
            server,
            secrets,
            consults,
        })
    }

    /// The `endpoint` of the interceptor for a trigger.
    pub fn endpoint(&self, trigger: Trigger) -> String {
        format!("http://{}{}", self.server.address(), path(trigger))
    }

    /// Each trigger's `secret`, in the form `whsec_…`.
    pub fn secrets(&self) -> &[(Trigger, Secret)] {
        &self.secrets
    }

    /// Everything that was asked with a good signature, in order.
    pub fn consults(&self) -> Vec<Consult> {
        self.consults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("address", &self.server.address())
            .finish_non_exhaustive()
    }
}

/// What every interceptor does: nobody but the proxy is answered, and the rule sees the event as it was signed.
async fn consult(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(why) = endpoint.key.verify(&headers, &body, endpoint.clock.now()) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": why.to_string()}))).into_response();
    }
    let Ok(event) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if text(&event, "/trigger_point") != Some(endpoint.trigger.as_str()) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let answer = match (endpoint.rule)(&event) {
        Answer::Allow(claims) if claims.is_empty() => json!({"decision": "ALLOW"}),
        Answer::Allow(claims) => json!({"decision": "ALLOW", "response": {"claims": claims}}),
        Answer::Deny(message) => json!({"decision": "DENY", "error": {"message": message}}),
    };
    let seen = Consult {
        trigger: endpoint.trigger,
        event,
        answer: answer.clone(),
    };
    endpoint
        .consults
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seen);
    Json(answer).into_response()
}

impl Answer {
    /// ALLOW with nothing to add.
    fn allow() -> Self {
        Self::Allow(Map::new())
    }
}

/// A text of the event, by its JSON pointer.
fn text<'e>(event: &'e Value, pointer: &str) -> Option<&'e str> {
    event.pointer(pointer).and_then(Value::as_str)
}

/// Whether this is a test or a replay: nobody obeys the answer, so the question must leave no trace.
fn is_dry_run(event: &Value) -> bool {
    event.pointer("/interceptor_context/dry_run") == Some(&Value::Bool(true))
}

/// The domain of an e-mail address: behind the last `@`, in lower case, without a dot at its end. A careless reading
/// here is how such rules are passed by (`x@mailinator.com.`, `a@b@mailinator.com`).
fn domain(email: &str) -> Option<String> {
    let (_, domain) = email.rsplit_once('@')?;
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    (!domain.is_empty()).then_some(domain)
}

fn path(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::PreSignup => "/signup",
        Trigger::PreSessionCreation => "/session",
        Trigger::PreUserInvitation => "/invitation",
        Trigger::PreM2mTokenCreation => "/machine",
        Trigger::PreClientRegistration => "/registration",
    }
}

#[cfg(test)]
mod tests;
