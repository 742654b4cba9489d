//! What the walk can see: the proxy from outside, and what happened behind it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::tale::Tale;
use crate::{
    demo::{
        Demo,
        client::{Client, Reply},
        hooks::{Consult, Hooks},
        provider::{Arrival, Provider},
    },
    event::Trigger,
};

/// The client's means, and the windows into provider and interceptors.
pub(super) struct Scene<'d> {
    pub(super) http: Client,
    pub(super) public_url: String,
    pub(super) provider: &'d Provider,
    hooks: &'d Hooks,
}

/// A moment, by what had happened until then.
pub(super) struct Moment {
    consults: usize,
    issued: usize,
    requests: usize,
}

/// What happened since a moment.
pub(super) struct Since {
    /// What the interceptors were asked and answered.
    pub(super) consults: Vec<Consult>,
    /// The tokens that the provider made.
    pub(super) issued: Vec<String>,
    /// The requests that reached the provider.
    pub(super) requests: Vec<Arrival>,
}

impl<'d> Scene<'d> {
    pub(super) fn new(demo: &'d Demo) -> Self {
        Self {
            http: Client::new(),
            public_url: demo.public_url().to_owned(),
            provider: demo.provider(),
            hooks: demo.hooks(),
        }
    }

    /// A URL of the proxy.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    pub(super) fn now(&self) -> Moment {
        Moment {
            consults: self.hooks.consults().len(),
            issued: self.provider.issued().len(),
            requests: self.provider.requests().len(),
        }
    }

    pub(super) fn since(&self, then: &Moment) -> Since {
        Since {
            consults: self.hooks.consults().split_off(then.consults),
            issued: self.provider.issued().split_off(then.issued),
            requests: self.provider.requests().split_off(then.requests),
        }
    }

    /// Waits until none of these tokens counts any more: the denial does not wait for their revocation.
    pub(super) async fn revoked(&self, tokens: &[String]) -> bool {
        let deadline = Instant::now() + REVOCATION;
        while tokens.iter().any(|token| self.provider.token_is_active(token)) {
            if Instant::now() > deadline {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    }
}

impl Since {
    /// Tells which event was sent and what was answered; both must be as the story has it.
    pub(super) fn tell(&self, tale: &mut Tale<'_>, trigger: Trigger, decision: &str) {
        let of_trigger = self.consults.iter().filter(|consult| consult.trigger == trigger);
        let asked: Vec<&Consult> = of_trigger.collect();
        for consult in &asked {
            let shown = SHOWN
                .iter()
                .filter_map(|(name, pointer)| Some((name, consult.event.pointer(pointer)?)));
            let shown: Vec<String> = shown
                .map(|(name, value)| format!("{name:<14} {}", plain(value)))
                .collect();
            tale.row("event", &shown.join("\n"));
            tale.row("verdict", &verdict(&consult.answer));
        }
        tale.check(
            "one interceptor was asked, once",
            asked.len() == 1 && self.consults.len() == 1,
        );
        let decided = asked.last().and_then(|consult| consult.answer.get("decision"));
        tale.check(
            &format!("it said {decision}"),
            decided.and_then(Value::as_str) == Some(decision),
        );
    }

    /// Whether the provider got a request with that method and path.
    pub(super) fn reached(&self, method: &str, path: &str) -> bool {
        self.requests
            .iter()
            .any(|request| request.method == method && request.path == path)
    }
}

/// Tells how an OAuth client is denied (RFC 6749 §5.2), and checks that it is told why.
pub(super) fn tell_oauth_denial(tale: &mut Tale<'_>, reply: &Reply, message: &str) {
    tale.row("client sees", &format!("{}\n{}", reply.status, reply.text()));
    let body = reply.json();
    let member = |name: &str| body.get(name).and_then(Value::as_str);
    tale.check(
        "the client is told `access_denied`, and why",
        reply.status == 400 && member("error") == Some("access_denied") && member("error_description") == Some(message),
    );
}

/// The message that the interceptor denied with, for comparison with what the client sees.
pub(super) fn message(since: &Since) -> String {
    let mut denied = since.consults.iter().rev();
    let message = denied.find_map(|consult| consult.answer.pointer("/error/message")?.as_str());
    message.unwrap_or("no message").to_owned()
}

fn verdict(answer: &Value) -> String {
    let decision = answer.get("decision").map(plain).unwrap_or_default();
    match (answer.pointer("/error/message"), answer.pointer("/response/claims")) {
        (Some(message), _) => format!("{decision}: {}", plain(message)),
        (_, Some(Value::Object(claims))) => {
            let claims: Vec<String> = claims.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            format!("{decision}, with the claims\n{}", claims.join("\n"))
        }
        _ => decision,
    }
}

/// A text without its quotes, everything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The fields of an event that the walk shows; the rest is in the audit.
const SHOWN: [(&str, &str); 10] = [
    ("user.id", "/data/user/id"),
    ("user.email", "/data/user/email"),
    ("user.name", "/data/user/name"),
    ("organization", "/data/organization/id"),
    ("inviter", "/data/inviter/email"),
    ("scope", "/data/m2m_token_claims/claims/scope"),
    ("client_id", "/interceptor_context/client_id"),
    ("grant_type", "/interceptor_context/grant_type"),
    ("ip_address", "/interceptor_context/ip_address"),
    ("request_id", "/interceptor_context/request_id"),
];
const REVOCATION: Duration = Duration::from_secs(5);
