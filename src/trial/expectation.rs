//! What must come of a case.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    event::Trigger,
    verdict::{Consultation, DecidedBy, Effect},
};

/// What must come of asking. What is not named does not matter, except who decides: that is the endpoint unless something else is written,
/// so that an endpoint that is away never passes for one that denies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// `allow` or `deny`.
    pub decision: Effect,
    /// Who decides: `endpoint`, `on_failure` or `on_invalid`.
    #[serde(default = "endpoint")]
    pub decided_by: DecidedBy,
    /// The text that the user reads on DENY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// All that is added to the access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Map<String, Value>>,
    /// All that is added to the ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<Map<String, Value>>,
}

impl Expectation {
    /// The decision alone, and that the endpoint makes it.
    pub fn decision(decision: Effect) -> Self {
        Self {
            decision,
            decided_by: DecidedBy::Endpoint,
            message: None,
            access_token: None,
            id_token: None,
        }
    }

    /// What came of it now.
    pub fn of(trigger: Trigger, consultation: &Consultation) -> Self {
        let additions = &consultation.additions;
        let adds = trigger.adds_claims() && consultation.effect == Effect::Allow;
        let claims = |claims: &Map<String, Value>| adds.then(|| claims.clone());
        Self {
            decided_by: consultation.decided_by,
            message: consultation.message.clone(),
            access_token: claims(&additions.access_token),
            id_token: claims(&additions.id_token),
            ..Self::decision(consultation.effect)
        }
    }

    /// What came otherwise, a sentence each; nothing when it is met.
    pub fn unmet(&self, consultation: &Consultation) -> Vec<String> {
        let mut unmet = Vec::new();
        if consultation.effect != self.decision {
            unmet.push(format!(
                "expected {}, got {}",
                word(&self.decision),
                word(&consultation.effect)
            ));
        }
        if consultation.decided_by != self.decided_by {
            let detail = consultation
                .failure
                .as_ref()
                .map_or_else(String::new, |f| format!(": {}", f.detail));
            let (wanted, got) = (word(&self.decided_by), word(&consultation.decided_by));
            unmet.push(format!("expected that {wanted} decides, but {got} did{detail}"));
        }
        if self.message.is_some() && self.message != consultation.message {
            unmet.push(format!(
                "expected the message {}, got {}",
                word(&self.message),
                word(&consultation.message)
            ));
        }
        let additions = &consultation.additions;
        for (token, wanted, got) in [
            ("access token", &self.access_token, &additions.access_token),
            ("ID token", &self.id_token, &additions.id_token),
        ] {
            if let Some(wanted) = wanted {
                unmet.extend(differences(token, wanted, got));
            }
        }
        unmet
    }
}

fn differences(token: &str, wanted: &Map<String, Value>, got: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in wanted {
        match got.get(name) {
            None => found.push(format!("{token}: expected the claim `{name}`, got none")),
            Some(other) if other != value => {
                found.push(format!("{token}: expected `{name}` to be {value}, got {other}"))
            }
            Some(_) => {}
        }
    }
    let more = got.keys().filter(|name| !wanted.contains_key(*name));
    found.extend(more.map(|name| format!("{token}: the claim `{name}` was not expected")));
    found
}

fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => format!("`{word}`"),
        Ok(Value::Null) | Err(_) => "none".to_owned(),
        Ok(other) => other.to_string(),
    }
}

fn endpoint() -> DecidedBy {
    DecidedBy::Endpoint
}
