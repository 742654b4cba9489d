//! Secrets are masked by the name they stand under and by the shape they have.

mod names;
mod shapes;

use std::borrow::Cow;

use serde_json::{Map, Value};

use self::{
    names::{Meaning, meaning},
    shapes::mask_text,
};

/// What stands in a secret's place.
pub const MASK: &str = "[redacted]";

/// Masks, at any depth, text and numbers under a secret's name, and whatever looks like a secret anywhere, names included.
pub fn redact(mut value: Value) -> Value {
    walk(&mut value, Meaning::Plain, 0, Names::Judged);
    value
}

/// Masks whatever looks like a secret, and takes no notice of names; for members that are named by us.
pub(super) fn mask_texts(value: &mut Value) {
    walk(value, Meaning::Plain, 0, Names::Ours);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Judged,
    Ours,
}

fn walk(value: &mut Value, named: Meaning, depth: usize, names: Names) {
    if depth > MAX_DEPTH {
        *value = "[too deep]".into();
        return;
    }
    match value {
        Value::String(_) | Value::Number(_) if named != Meaning::Plain => *value = MASK.into(),
        Value::String(text) => walk_text(text, depth),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, named, depth + 1, names)),
        Value::Object(members) => {
            let below = if named == Meaning::Secret {
                named
            } else {
                Meaning::Plain
            };
            walk_members(members, below, depth, names);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn walk_members(members: &mut Map<String, Value>, above: Meaning, depth: usize, names: Names) {
    // `{"name": "password", "value": "…"}`: the name stands in a value.
    let names_its_value = names == Names::Judged
        && ["name", "key", "type", "id"]
            .iter()
            .filter_map(|member| members.get(*member)?.as_str())
            .any(|name| meaning(name) != Meaning::Plain);
    let mut renames = false;
    for (name, value) in members.iter_mut() {
        let named = match names {
            Names::Ours => Meaning::Plain,
            Names::Judged if above == Meaning::Secret => above,
            Names::Judged if names_its_value && matches!(name.as_str(), "value" | "values") => Meaning::Secret,
            Names::Judged => meaning(name),
        };
        walk(value, named, depth + 1, names);
        renames |= matches!(shown(name), Cow::Owned(_));
    }
    if renames {
        let walked = std::mem::take(members).into_iter();
        *members = walked.map(|(name, value)| (shown(&name).into_owned(), value)).collect();
    }
}

/// A member's name as it is stored.
fn shown(name: &str) -> Cow<'_, str> {
    // serde_json takes an object whose first member has such a name for a number or raw text, so a record with one could not be read again.
    if name.contains(PRIVATE) {
        return Cow::Owned(mask_text(&name.replace(PRIVATE, "serde_json::private::")).into_owned());
    }
    mask_text(name)
}

/// JSON that is carried as text is looked into like any other.
fn walk_text(text: &mut String, depth: usize) {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(inner) = serde_json::from_str::<Value>(text)
    {
        let mut redacted = inner.clone();
        walk(&mut redacted, Meaning::Plain, depth + 1, Names::Judged);
        if redacted != inner {
            *text = redacted.to_string();
        }
        return;
    }
    if let Cow::Owned(masked) = mask_text(text) {
        *text = masked;
    }
}

const PRIVATE: &str = "$serde_json::private::";

/// Deeper than any event or answer that is accepted, and shallow enough that the record can be read again.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JWS: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl";

    #[test]
    fn a_secret_is_masked_at_any_depth_and_claims_stay_readable() {
        let event = json!({
            "data": {
                "user": {"email": "ada@example.com", "password": "canary", "credentials": [{"type": "password", "value": "canary", "temporary": false}]},
                "claims": {"access_token": {"sub": "u1", "refresh_token": "canary", "realm_access": {"roles": ["admin"]}}, "id_token": {"email_verified": true}},
                "attributes": [{"name": "otp", "value": ["canary"]}, {"name": "city", "value": "Ulm"}],
                "pin": 1234, "code": "canary", "postal_code": "89073", "token": JWS, "tokens": ["canary", {"kid": "k"}],
                "note": format!("sent {JWS}, then left"),
            }
        });
        let redacted = redact(event);
        let expected = json!({
            "data": {
                "user": {"email": "ada@example.com", "password": MASK, "credentials": [{"type": MASK, "value": MASK, "temporary": false}]},
                "claims": {"access_token": {"sub": "u1", "refresh_token": MASK, "realm_access": {"roles": ["admin"]}}, "id_token": {"email_verified": true}},
                "attributes": [{"name": "otp", "value": [MASK]}, {"name": "city", "value": "Ulm"}],
                "pin": MASK, "code": MASK, "postal_code": "89073", "token": MASK, "tokens": [MASK, {"kid": "k"}],
                "note": format!("sent {MASK}, then left"),
            }
        });
        assert_eq!(redacted, expected);
    }

    #[test]
    fn json_in_a_text_is_looked_into() {
        let text =
            json!({"password": "two words", "pin": 12, "inner": json!({"code": ["a b"]}).to_string()}).to_string();
        let expected = json!({"password": MASK, "pin": MASK, "inner": json!({"code": [MASK]}).to_string()}).to_string();
        assert_eq!(redact(json!({ "raw": text })), json!({ "raw": expected }));
        let spaced = json!({"raw": "{ \"plan\": 1.50 }"});
        assert_eq!(redact(spaced.clone()), spaced);
    }

    #[test]
    fn members_that_serde_json_would_misread_are_renamed() {
        let value: Value =
            redact(json!({"attributes": {"$serde_json::private::Number": "x", "$serde_json::private::RawValue": "{"}}));
        let read: Value = serde_json::from_str(&value.to_string()).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn depth_is_bounded() {
        let mut value = json!("bottom");
        for _ in 0..500 {
            value = json!([value]);
        }
        assert!(serde_json::from_str::<Value>(&redact(value).to_string()).is_ok());
    }
}
