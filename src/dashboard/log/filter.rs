//! What somebody looks for, as it stands in the address: a saved view is its URL.

use serde::Deserialize;

use crate::{audit::Query, verdict::Effect};

/// The fields of the form. Empty is the same as absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Filter {
    pub(in crate::dashboard) text: String,
    pub(in crate::dashboard) user: String,
    pub(in crate::dashboard) client: String,
    pub(in crate::dashboard) request: String,
    pub(in crate::dashboard) trigger: String,
    pub(in crate::dashboard) decision: String,
    pub(in crate::dashboard) decided_by: String,
    pub(in crate::dashboard) interceptor: String,
    pub(in crate::dashboard) kind: String,
    pub(in crate::dashboard) realm: String,
    pub(in crate::dashboard) operation: String,
    pub(in crate::dashboard) status: String,
    pub(in crate::dashboard) since: String,
    pub(in crate::dashboard) until: String,
    pub(in crate::dashboard) before: String,
    pub(in crate::dashboard) after: String,
    /// Whether the list follows what happens.
    pub(in crate::dashboard) live: String,
}

impl Filter {
    /// The query that is meant, or which fields cannot be read, and why.
    pub(in crate::dashboard) fn query(&self) -> Result<Query, Vec<String>> {
        let mut wrong = Vec::new();
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let query = Query {
            since: read(&self.since, "From", &mut wrong),
            until: read(&self.until, "To", &mut wrong),
            trigger: read(&self.trigger, "Trigger", &mut wrong),
            kind: read(&self.kind, "Kind", &mut wrong),
            decision: match self.decision.trim() {
                "" => None,
                "allow" => Some(Effect::Allow),
                "deny" => Some(Effect::Deny),
                _ => {
                    wrong.push("Decision: write `allow` or `deny`".into());
                    None
                }
            },
            decided_by: text(&self.decided_by),
            interceptor: text(&self.interceptor),
            client: text(&self.client),
            user: text(&self.user),
            realm: text(&self.realm),
            operation: text(&self.operation),
            status: number(&self.status, "Status", &mut wrong),
            request: text(&self.request),
            text: text(&self.text),
            before: number(&self.before, "before", &mut wrong),
            after: number(&self.after, "after", &mut wrong),
            limit: Some(PAGE),
        };
        if wrong.is_empty() { Ok(query) } else { Err(wrong) }
    }

    /// The address of this view with another position or mode.
    pub(in crate::dashboard) fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let more = more.iter().copied().filter(|(_, value)| !value.is_empty());
        query.extend_pairs(self.conditions()).extend_pairs(more);
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// Whether more is asked than the fields that are always shown have.
    pub(in crate::dashboard) fn has_more(&self) -> bool {
        let rest = [
            &self.request,
            &self.kind,
            &self.realm,
            &self.operation,
            &self.status,
            &self.since,
            &self.until,
            &self.decided_by,
        ];
        rest.iter().any(|value| !value.is_empty())
    }

    /// Whether anything is asked.
    pub(in crate::dashboard) fn is_empty(&self) -> bool {
        self.conditions().next().is_none()
    }

    /// Whether this value is asked of this field.
    pub(in crate::dashboard) fn has(&self, field: &str, value: &str) -> bool {
        self.conditions().any(|asked| asked == (field, value))
    }

    fn conditions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("text", self.text.as_str()),
            ("user", &self.user),
            ("client", &self.client),
            ("request", &self.request),
            ("trigger", &self.trigger),
            ("decision", &self.decision),
            ("decided_by", &self.decided_by),
            ("interceptor", &self.interceptor),
            ("kind", &self.kind),
            ("realm", &self.realm),
            ("operation", &self.operation),
            ("status", &self.status),
            ("since", &self.since),
            ("until", &self.until),
        ];
        all.into_iter().filter(|(_, value)| !value.trim().is_empty())
    }
}

fn read<T: std::str::FromStr>(text: &str, field: &str, wrong: &mut Vec<String>) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    text.parse()
        .map_err(|error| wrong.push(format!("{field}: {error}")))
        .ok()
}

fn number<T: std::str::FromStr>(text: &str, field: &str, wrong: &mut Vec<String>) -> Option<T> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let read = text.parse().ok();
    if read.is_none() {
        wrong.push(format!("{field}: `{text}` is no such number; write one like `200`"));
    }
    read
}

/// Records on a page.
const PAGE: u32 = 50;
