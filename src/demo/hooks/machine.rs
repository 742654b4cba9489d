//! PRE_M2M_TOKEN_CREATION: how many tokens a machine gets, and what they are good for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{Answer, is_dry_run, text};
use crate::clock::Clock;

/// When each client got its tokens of the last minute. Yours would keep this where all of your servers see it.
pub(super) struct Quota {
    clock: Clock,
    given: Mutex<HashMap<String, Vec<Timestamp>>>,
}

impl Quota {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            given: Mutex::default(),
        }
    }

    /// Denies the scope `admin` and the token that is one too many; takes `reports:write` away; adds `tier`.
    pub(super) fn decide(&self, event: &Value) -> Answer {
        let Some(client) = text(event, "/data/m2m_token_claims/client_id") else {
            return Answer::Deny("The client is not known.".into());
        };
        let scope = text(event, "/data/m2m_token_claims/claims/scope").unwrap_or_default();
        let scopes: Vec<&str> = scope.split_whitespace().collect();
        if scopes.contains(&"admin") {
            return Answer::Deny("Machines do not get the scope `admin`.".into());
        }
        if !self.has_one_left(client, is_dry_run(event)) {
            return Answer::Deny(format!(
                "{TOKENS_A_MINUTE} tokens a minute are enough; keep the one you have."
            ));
        }
        let kept: Vec<&str> = scopes.into_iter().filter(|scope| *scope != "reports:write").collect();
        let mut claims = Map::new();
        claims.insert("scope".into(), kept.join(" ").into());
        claims.insert("tier".into(), "standard".into());
        Answer::Allow(claims)
    }

    fn has_one_left(&self, client: &str, dry_run: bool) -> bool {
        let now = self.clock.now();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let times = given.entry(client.to_owned()).or_default();
        times.retain(|time| now - SignedDuration::from_mins(1) < *time);
        let left = times.len() < TOKENS_A_MINUTE;
        if left && !dry_run {
            times.push(now);
        }
        left
    }
}

const TOKENS_A_MINUTE: usize = 5;
