//! The upstream's admin API, as far as the operator's service account uses it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::route::{Captures, Pattern, Sources};

/// How accounts are looked up, marked and disabled. `{realm}` is the realm that the account is in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Where the service account gets its token (RFC 6749 §4.4); here `{realm}` is the service account's own.
    pub token: Pattern,
    /// The account with the id `{user}`.
    pub get: Call,
    /// The accounts with the address `{email}`: an array.
    pub by_email: Call,
    /// The accounts with the name `{username}`: an array.
    pub by_username: Call,
    /// Where an event's facts are in an account, as `json:` sources.
    pub facts: BTreeMap<String, Sources>,
    /// Where the time at which an account was made is, as a JSON pointer to milliseconds since 1970.
    pub created_ms: String,
    /// The identity providers that the account `{user}` came through: an array.
    pub identities: Call,
    /// Where the provider's alias is in one of them, as a JSON pointer.
    pub identity: String,
    /// Makes the account `{user}` useless.
    pub disable: Call,
    /// How an account is marked as asked about.
    pub mark: Mark,
    /// How an account becomes a member of an organization.
    pub membership: Membership,
    /// What the service account must be allowed to, in the provider's words: for hints.
    pub rights: String,
}

/// A mark that only administrators can set, such as a group.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Its name, `{mark}` in the calls.
    pub name: String,
    /// The marks of the account `{user}`: an array of objects with `id` and `name`.
    pub of_user: Call,
    /// The marks of that name: likewise.
    pub find: Call,
    /// Makes the mark.
    pub make: Call,
    /// Sets the mark with the id `{id}` on the account `{user}`.
    pub set: Call,
}

/// Membership of an organization.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// The organizations that may be meant by `{external}`, tried in this order: arrays of objects with `id`.
    pub find: Vec<Call>,
    /// JSON pointers into one of them, of which one must be exactly that text.
    pub external: Vec<String>,
    /// Makes the account `{user}` a member of `{organization}`.
    pub add: Call,
}

/// One call of the admin API. `{name}`s in path, query and body are filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The method. Default: `GET`.
    #[serde(default = "get")]
    pub method: String,
    /// The path.
    pub path: Pattern,
    /// The query.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// The JSON body, if there is one.
    #[serde(default)]
    pub body: Option<Value>,
}

impl Accounts {
    /// Every path, to be put below a base.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut Pattern> {
        let Self {
            token,
            get,
            by_email,
            by_username,
            identities,
            disable,
            mark,
            membership,
            ..
        } = self;
        let marks = [&mut mark.of_user, &mut mark.find, &mut mark.make, &mut mark.set];
        let calls = [get, by_email, by_username, identities, disable]
            .into_iter()
            .chain(marks)
            .chain(&mut membership.find)
            .chain([&mut membership.add]);
        std::iter::once(token).chain(calls.map(|call| &mut call.path))
    }
}

impl Call {
    /// Path and query; `None` where a value is missing.
    pub fn target(&self, values: &Captures) -> Option<String> {
        let path = self.path.fill(values)?;
        if self.query.is_empty() {
            return Some(path);
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.query {
            query.append_pair(name, &filled(value, values)?);
        }
        Some(format!("{path}?{}", query.finish()))
    }

    /// The JSON text of the body; empty where there is none.
    pub fn content(&self, values: &Captures) -> Option<String> {
        let Some(body) = &self.body else {
            return Some(String::new());
        };
        Some(within(body, values)?.to_string())
    }
}

/// `body` with the values put into its texts.
fn within(body: &Value, values: &Captures) -> Option<Value> {
    Some(match body {
        Value::String(text) => Value::String(filled(text, values)?),
        Value::Array(items) => items
            .iter()
            .map(|item| within(item, values))
            .collect::<Option<Vec<_>>>()?
            .into(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| Some((name.clone(), within(value, values)?)))
            .collect::<Option<_>>()
            .map(Value::Object)?,
        other => other.clone(),
    })
}

/// The text with each `{name}` filled in, in one pass: a value that looks like a name stays as it is.
fn filled(text: &str, values: &Captures) -> Option<String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        out.push_str(before);
        out.push_str(values.get(name)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn get() -> String {
    "GET".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str) -> Call {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn values_are_encoded_where_they_stand_and_never_read_as_names() {
        let call = call(
            "path = \"/r/{realm}/users\"\nquery = { q = \"id:{user}\" }\nbody = { all = [\"{user}\"], on = false, user = \"{user}\" }",
        );
        let values: Captures = [("realm", "a/b"), ("user", "x&y=\"{realm}\"")].into_iter().collect();
        assert_eq!(
            call.target(&values).unwrap(),
            "/r/a%2Fb/users?q=id%3Ax%26y%3D%22%7Brealm%7D%22"
        );
        let body: Value = serde_json::from_str(&call.content(&values).unwrap()).unwrap();
        let user = "x&y=\"{realm}\"";
        assert_eq!(body, serde_json::json!({"user": user, "on": false, "all": [user]}));
    }

    #[test]
    fn a_call_without_its_values_is_not_made() {
        let call = call("path = \"/r/{realm}\"\nbody = \"{user}\"");
        let values: Captures = [("realm", "tg")].into_iter().collect();
        assert_eq!(call.target(&values).unwrap(), "/r/tg");
        assert_eq!(call.content(&values), None);
        assert_eq!(call.target(&Captures::default()), None);
    }
}
