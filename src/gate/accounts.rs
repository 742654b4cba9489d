//! What follows at the upstream from an ALLOW, once the account is there: its mark, and its membership.

use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use super::Gate;
use crate::{
    audit::Entry,
    event::{Context, Event},
    route::Captures,
    upstream::{ServiceAccount, ServiceError},
    verdict::Additions,
};

/// By how much the upstream's clock may be behind ours.
const LEEWAY_SECONDS: i64 = 60;

impl Gate {
    /// Finds the accounts that were made, marks them as asked about, and sees to their memberships. Never undoes anything.
    ///
    /// The mark is set before the answer goes on: the first token may be asked for a moment later.
    pub(super) async fn after_accounts(self: &Arc<Self>, allowed: Vec<(Event, Additions)>) {
        for (event, additions) in allowed {
            let asked = additions.organization_membership;
            let marks = self.late_signup.is_some() && self.interceptors.applies(&event);
            if !marks && asked.is_none() {
                continue;
            }
            let made = self.account_made(&event).await;
            if marks && let Ok(Some(id)) = &made {
                self.mark_as_asked(&event.context, id).await;
            }
            if let Some(asked) = asked {
                let gate = Arc::clone(self);
                self.room
                    .tasks
                    .spawn(async move { gate.see_to_membership(&event, made, &asked).await });
            }
        }
    }

    /// Makes the membership that an ALLOW asked for, and records what came of it.
    pub(super) async fn see_to_membership(&self, event: &Event, made: Result<Option<String>, String>, asked: &Value) {
        let outcome = match made {
            Ok(Some(id)) => self.join(&event.context, &id, asked).await,
            Ok(None) => Err("the upstream made no account by this request".to_owned()),
            Err(why) => Err(why),
        };
        let roles = asked.get("roles").and_then(Value::as_array);
        let warnings = match roles {
            Some(roles) if !roles.is_empty() => {
                vec!["`roles` were left out: the upstream's organizations have no roles of their members".to_owned()]
            }
            _ => Vec::new(),
        };
        let request_id = &event.context.request_id;
        if let Err(why) = &outcome {
            tracing::warn!(request_id, "a membership was not created: {why}");
        }
        let entry = Entry::of_membership(event, asked, outcome, warnings);
        if let Err(e) = self.audit.record(vec![entry]).await {
            tracing::error!(request_id, "the outcome of a membership cannot be recorded: {e}");
        }
    }

    /// Marks an account; what fails is logged, and the user is asked about once more.
    pub(super) async fn mark_as_asked(&self, context: &Context, id: &str) {
        let Some(service) = &self.service_account else { return };
        match mark(service, &values(context).with("user", id)).await {
            Ok(()) => self.asked.keep(context.realm.as_deref(), id),
            Err(e) => tracing::warn!(
                request_id = %context.request_id,
                user.id = id,
                "an account was not marked as asked about, so it will be asked about again: {e}",
            ),
        }
    }

    /// The id of the account that a request made: the one that is exactly as it was judged, and new. Another account
    /// with that name or that address is not it: a form that the upstream refused must not vouch for it.
    async fn account_made(&self, event: &Event) -> Result<Option<String>, String> {
        let service = self
            .service_account
            .as_ref()
            .ok_or_else(|| "there is no `service_account` in `[upstream]`".to_owned())?;
        let accounts = service.accounts();
        let judged = |field: &str| event.data.get("user")?.get(field)?.as_str();
        let values = values(&event.context);
        let found = match (judged("email"), judged("username")) {
            (Some(email), _) => service.call(&accounts.by_email, &values.with("email", email)).await,
            (None, Some(name)) => {
                service
                    .call(&accounts.by_username, &values.with("username", name))
                    .await
            }
            (None, None) => return Ok(None),
        };
        let found = found.map_err(|e| e.to_string())?;
        let earliest = event.context.triggered_at.saturating_sub(LEEWAY_SECONDS.seconds());
        let earliest = earliest.unwrap_or(Timestamp::MIN);
        let is_it = |account: &&Value| {
            let same = |field: &str| {
                let is = text(account, &format!("/{field}"));
                judged(field).is_none_or(|was| is.is_some_and(|is| is.to_lowercase() == was.to_lowercase()))
            };
            let new = created(account, &accounts.created_ms).is_some_and(|created| created >= earliest);
            same("email") && same("username") && new
        };
        let account = found.as_array().into_iter().flatten().find(is_it);
        Ok(account.and_then(|account| text(account, "/id")).map(str::to_owned))
    }

    async fn join(&self, context: &Context, id: &str, asked: &Value) -> Result<(), String> {
        let service = self
            .service_account
            .as_ref()
            .ok_or_else(|| "there is no `service_account` in `[upstream]`".to_owned())?;
        let membership = &service.accounts().membership;
        let values = values(context).with("user", id);
        let organization = match (
            text(asked, "/organization_id"),
            text(asked, "/external_organization_id"),
        ) {
            (Some(id), _) => id.to_owned(),
            (None, Some(external)) => organization(service, &values.with("external", external), external)
                .await
                .map_err(|e| e.to_string())?
                .ok_or_else(|| "the upstream has no organization of that external id".to_owned())?,
            (None, None) => return Err("it names no organization".to_owned()),
        };
        let joined = service
            .call(&membership.add, &values.with("organization", &organization))
            .await;
        joined.map(drop).map_err(|e| e.to_string())
    }
}

/// What calls are filled in with.
pub(super) fn values(context: &Context) -> Captures {
    let realm = context.realm.as_deref().map(|realm| ("realm", realm));
    realm.into_iter().collect()
}

/// Whether an account has the mark.
pub(super) async fn is_marked(service: &ServiceAccount, values: &Captures) -> Result<bool, ServiceError> {
    let mark = &service.accounts().mark;
    let marks = service.call(&mark.of_user, &values.with("mark", &mark.name)).await?;
    Ok(named(&marks, &mark.name).is_some())
}

/// When an account was made.
pub(super) fn created(account: &Value, pointer: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(account.pointer(pointer)?.as_i64()?).ok()
}

/// A text in a JSON document.
pub(super) fn text<'a>(document: &'a Value, pointer: &str) -> Option<&'a str> {
    document.pointer(pointer)?.as_str()
}

async fn mark(service: &ServiceAccount, values: &Captures) -> Result<(), ServiceError> {
    let mark = &service.accounts().mark;
    let values = values.with("mark", &mark.name);
    let mut known = service.call(&mark.find, &values).await?;
    if named(&known, &mark.name).is_none() {
        // Another replica may make it at the same moment; then it is there.
        let made = service.call(&mark.make, &values).await;
        known = service.call(&mark.find, &values).await?;
        if named(&known, &mark.name).is_none() {
            made?;
        }
    }
    let id = named(&known, &mark.name).unwrap_or_default();
    service.call(&mark.set, &values.with("id", id)).await.map(drop)
}

async fn organization(
    service: &ServiceAccount,
    values: &Captures,
    external: &str,
) -> Result<Option<String>, ServiceError> {
    let membership = &service.accounts().membership;
    for call in &membership.find {
        let found = service.call(call, values).await?;
        let is_it = |item: &&Value| {
            membership
                .external
                .iter()
                .any(|place| text(item, place) == Some(external))
        };
        let item = found.as_array().into_iter().flatten().find(is_it);
        if let Some(id) = item.and_then(|item| text(item, "/id")) {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}

/// The id of the item with exactly that name.
fn named<'a>(items: &'a Value, name: &str) -> Option<&'a str> {
    let mut items = items.as_array()?.iter();
    text(items.find(|item| text(item, "/name") == Some(name))?, "/id")
}
