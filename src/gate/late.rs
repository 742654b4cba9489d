//! A signup that nobody was asked about: noticed at the first token of its user, and asked about then.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value};

use super::{
    Gate,
    accounts::{created, is_marked, text, values},
    consult::Allowed,
};
use crate::{
    audit::Entry,
    event::{Connection, Context, Event, TokenClaims, Trigger},
    facts::{self, Materials},
    refusal::{Fault, Refusal},
    upstream::{LateSignup, ServiceAccount, ServiceError},
};

/// How many users are remembered; past that the upstream is looked at again.
const MOST: usize = 100_000;

/// Users that need not be asked about, so that the upstream is looked at once for each. Only ever saves a look.
#[derive(Default)]
pub(super) struct Asked(Mutex<HashSet<(String, String)>>);

/// What the upstream knows of a user.
enum Standing {
    /// Asked about, or older than the obligation to ask.
    Settled,
    /// Nobody was asked: the account, and the providers that it came through.
    Unasked(Value, Vec<Connection>),
}

impl Asked {
    /// Remembers a user of a realm.
    pub(super) fn keep(&self, realm: Option<&str>, id: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((realm.unwrap_or_default().to_owned(), id.to_owned()));
    }

    fn has(&self, realm: Option<&str>, id: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&(realm.unwrap_or_default().to_owned(), id.to_owned()))
    }
}

impl Gate {
    /// Asks `PRE_SIGNUP` about the user of a session whose account is marked as asked about by nobody. Where the upstream
    /// cannot be looked at, the interceptors are asked: in doubt a question too many.
    ///
    /// # Errors
    /// DENY, which also disables the account; a failure policy's deny, which does not.
    pub(super) async fn late_signup(&self, session: &Event) -> Result<(), Refusal> {
        let (Some(late), Some(service)) = (self.late_signup, &self.service_account) else {
            return Ok(());
        };
        let mut event = signup(session);
        if !self.interceptors.applies(&event) {
            return Ok(());
        }
        let realm = event.context.realm.clone();
        let id = event.context.user_id.clone();
        if id.as_deref().is_some_and(|id| self.asked.has(realm.as_deref(), id)) {
            return Ok(());
        }
        let standing = match &id {
            Some(id) => standing(service, late, &event.context, id)
                .await
                .map_err(|e| e.to_string()),
            None => Err("the token does not say whose it is".to_owned()),
        };
        match (standing, &id) {
            (Ok(Standing::Settled), Some(id)) => {
                self.asked.keep(realm.as_deref(), id);
                return Ok(());
            }
            (Ok(Standing::Unasked(account, connections)), _) => {
                describe(&mut event, service, &account);
                event.context.connection_details = connections;
            }
            (Ok(Standing::Settled), None) => {}
            (Err(why), _) => tracing::warn!(
                request_id = %event.context.request_id,
                "whether somebody was asked about a user cannot be seen, so they are asked about now: {why}",
            ),
        }
        match self.ask_now(&event, &TokenClaims::default(), &[]).await {
            Ok(Allowed { additions, .. }) => {
                if let Some(id) = &id {
                    self.mark_as_asked(&event.context, id).await;
                }
                if let Some(asked) = &additions.organization_membership {
                    self.see_to_membership(&event, Ok(id), asked).await;
                }
                Ok(())
            }
            Err(refusal) => {
                if refusal.fault() == Fault::Denied
                    && let Some(id) = &id
                {
                    self.disable(service, &event, id).await;
                }
                Err(refusal)
            }
        }
    }

    async fn disable(&self, service: &ServiceAccount, event: &Event, id: &str) {
        let values = values(&event.context).with("user", id);
        let outcome = service.call(&service.accounts().disable, &values).await;
        let outcome = outcome.map(drop).map_err(|e| e.to_string());
        let request_id = &event.context.request_id;
        if let Err(why) = &outcome {
            tracing::warn!(request_id, user.id = id, "a denied account was not disabled: {why}");
        }
        if let Err(e) = self.audit.record(vec![Entry::of_disabling(event, outcome)]).await {
            tracing::error!(request_id, "that an account was disabled cannot be recorded: {e}");
        }
    }
}

async fn standing(
    service: &ServiceAccount,
    late: LateSignup,
    context: &Context,
    id: &str,
) -> Result<Standing, ServiceError> {
    let accounts = service.accounts();
    let values = values(context).with("user", id);
    let account = service.call(&accounts.get, &values).await?;
    if created(&account, &accounts.created_ms).is_some_and(|created| created < late.since)
        || is_marked(service, &values).await?
    {
        return Ok(Standing::Settled);
    }
    let identities = service.call(&accounts.identities, &values).await?;
    let aliases = identities.as_array().into_iter().flatten();
    let connections = aliases
        .filter_map(|identity| text(identity, &accounts.identity))
        .map(|alias| Connection {
            id: alias.to_owned(),
            ..Connection::default()
        });
    Ok(Standing::Unasked(account, connections.collect()))
}

/// The signup that the session is the first sign of, as far as its tokens tell.
fn signup(session: &Event) -> Event {
    let mut data = Map::new();
    if let Some(Value::Object(user)) = session.data.get("user") {
        let mut user = user.clone();
        user.retain(|name, _| !matches!(name.as_str(), "roles" | "memberships"));
        data.insert("user".into(), Value::Object(user));
    }
    Event {
        trigger: Trigger::PreSignup,
        context: Context {
            late: true,
            ..session.context.clone()
        },
        data,
    }
}

/// Tokens hold what the client asked for; the account has it all.
fn describe(event: &mut Event, service: &ServiceAccount, account: &Value) {
    let materials = Materials {
        json: Some(account),
        ..Materials::default()
    };
    event.data = facts::gather_all(&service.accounts().facts, &materials, &mut event.context);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_late_signup_tells_of_the_user_and_of_no_claims() {
        let session = Event {
            trigger: Trigger::PreSessionCreation,
            context: Context {
                user_id: Some("u1".into()),
                operation: Some("token".into()),
                ..Context::default()
            },
            data: serde_json::from_value(json!({
                "user": {"id": "u1", "email": "a@b.example", "roles": ["admin"]}, "claims": {"access_token": {"x": 1}},
            }))
            .unwrap(),
        };
        let event = signup(&session);
        assert_eq!(event.trigger, Trigger::PreSignup);
        assert!(event.context.late);
        assert_eq!(event.context.operation.as_deref(), Some("token"));
        assert_eq!(json!(event.data), json!({"user": {"id": "u1", "email": "a@b.example"}}));
    }

    #[test]
    fn a_user_is_remembered_in_its_realm() {
        let asked = Asked::default();
        asked.keep(Some("a"), "u1");
        assert!(asked.has(Some("a"), "u1"));
        assert!(!asked.has(Some("b"), "u1"));
    }
}
