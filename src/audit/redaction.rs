//! Secrets are masked by the name they stand under and by the shape they have.

use std::{borrow::Cow, sync::LazyLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::names::{Meaning, meaning};

/// What stands in a secret's place.
pub(super) const MASK: &str = "[redacted]";

/// Masks, at any depth, text and numbers under a secret's name, and whatever looks like a secret anywhere, names included.
pub(super) fn redact(value: Value) -> Value {
    walk(value, Meaning::Plain, 0, Names::Judged)
}

/// Masks whatever looks like a secret, and takes no notice of names; for members that are named by us.
pub(super) fn mask_texts(value: Value) -> Value {
    walk(value, Meaning::Plain, 0, Names::Ours)
}

/// Masks the parts of a text that look like a secret: a compact JWS or JWE, a sealed token, an `Authorization` value, a private key, the
/// user part of a URL, and `name=value` where the name is a secret's.
pub(super) fn mask_text(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    for (shape, mask) in SHAPES.iter() {
        // Most text has none of the shapes, and then nothing is copied.
        if let Cow::Owned(new) = shape.replace_all(&masked, mask) {
            masked = Cow::Owned(new);
        }
    }
    masked
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Judged,
    Ours,
}

fn walk(value: Value, named: Meaning, depth: usize, names: Names) -> Value {
    if depth > MAX_DEPTH {
        return Value::from("[too deep]");
    }
    match value {
        Value::String(_) | Value::Number(_) if named != Meaning::Plain => MASK.into(),
        Value::String(text) => match mask_text(&text) {
            Cow::Borrowed(_) => Value::String(text),
            Cow::Owned(masked) => Value::String(masked),
        },
        Value::Array(items) => items
            .into_iter()
            .map(|item| walk(item, named, depth + 1, names))
            .collect(),
        Value::Object(members) => {
            let below = if named == Meaning::Secret {
                named
            } else {
                Meaning::Plain
            };
            Value::Object(walk_members(members, below, depth, names))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn walk_members(members: Map<String, Value>, above: Meaning, depth: usize, names: Names) -> Map<String, Value> {
    // `{"name": "password", "value": "…"}`: the name stands in a value.
    let names_its_value = names == Names::Judged
        && ["name", "key", "type", "id"]
            .iter()
            .filter_map(|member| members.get(*member)?.as_str())
            .any(|name| meaning(name) != Meaning::Plain);
    let walked = members.into_iter().map(|(name, value)| {
        let named = match names {
            Names::Ours => Meaning::Plain,
            Names::Judged if above == Meaning::Secret => above,
            Names::Judged if names_its_value && matches!(name.as_str(), "value" | "values") => Meaning::Secret,
            Names::Judged => meaning(&name),
        };
        let value = walk(value, named, depth + 1, names);
        // serde_json takes an object whose first member has such a name for a number or raw text, so a record with one could not be read again.
        let name = name.replace("$serde_json::private::", "serde_json::private::");
        (mask_text(&name).into_owned(), value)
    });
    walked.collect()
}

type Mask = fn(&Captures<'_>) -> String;

static SHAPES: LazyLock<[(Regex, Mask); 7]> = LazyLock::new(|| {
    let shape = |pattern: &str, mask: Mask| (Regex::new(pattern).expect("the pattern is a constant"), mask);
    [
        shape(
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
            whole,
        ),
        // A compact JWS or JWE whose header begins with `{"`, cut off ones too.
        shape(r"eyJ[\w-]*(\.[\w-]*)+|eyJ[\w-]{37,}", whole),
        // One whose header begins with white space.
        shape(r"\be[\w-]{15,}(\.[\w-]*){2,4}", if_header),
        shape(r"\b(tg[0-9]\.|whsec_)[\w+/=.-]{8,}", whole),
        shape(
            r"(?i)\b(bearer|basic|dpop|digest|negotiate)\s+([\w+/=.~-]{12,})",
            if_scheme,
        ),
        shape(r"://[^\s/?#@]*:[^\s/?#@]*@", |_| format!("://{MASK}@")),
        shape(r#"([\w.\[\]-]+)(=|%3[Dd]|\\?"\s*:\s*\\?")([^\s&;"'<>,\\]+)"#, if_named),
    ]
});

fn whole(_: &Captures<'_>) -> String {
    MASK.into()
}

fn if_header(found: &Captures<'_>) -> String {
    let token = &found[0];
    let header = token.split('.').next().unwrap_or_default();
    let is_object = URL_SAFE_NO_PAD
        .decode(header)
        .is_ok_and(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok());
    if is_object { MASK.into() } else { token.into() }
}

fn if_scheme(found: &Captures<'_>) -> String {
    // `Basic authentication` is prose; base64 has digits, capitals inside or padding.
    let value = &found[2];
    let prose = value
        .chars()
        .skip(1)
        .all(|c| c.is_ascii_lowercase() || c == '.' || c == '-');
    if prose {
        found[0].into()
    } else {
        format!("{} {MASK}", &found[1])
    }
}

fn if_named(found: &Captures<'_>) -> String {
    match meaning(&found[1]) {
        Meaning::Plain => found[0].into(),
        Meaning::Secret | Meaning::SecretUnlessObject => format!("{}{}{MASK}", &found[1], &found[2]),
    }
}

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
    fn a_secret_is_known_by_its_shape() {
        let spaced = format!(
            "{}.{}.c2ln",
            URL_SAFE_NO_PAD.encode("{ \"alg\":\"RS256\"}"),
            URL_SAFE_NO_PAD.encode("{}")
        );
        for (text, masked) in [
            (JWS, MASK),
            ("eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn", MASK),
            ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIi", MASK),
            (&spaced, MASK),
            ("tg1.AAAAAAAAAAAA.BBBB", MASK),
            ("key whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "key [redacted]"),
            (
                "Authorization: Bearer abcDEF123456789",
                "Authorization: Bearer [redacted]",
            ),
            ("got Basic dXNlcjpwYXNz", "got Basic [redacted]"),
            (
                "connect to https://ada:pw@host/x failed",
                "connect to https://[redacted]@host/x failed",
            ),
            (
                "https://app/cb?code=abc&state=x",
                "https://app/cb?code=[redacted]&state=x",
            ),
            (
                "body was {\"password\": \"pw\",\"a\":\"b\"}",
                "body was {\"password\": \"[redacted]\",\"a\":\"b\"}",
            ),
            (
                "x -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
                "x [redacted]",
            ),
            ("x -----BEGIN RSA PRIVATE KEY-----\nMIIE", "x [redacted]"),
        ] {
            assert_eq!(mask_text(text), masked);
        }
    }

    #[test]
    fn ordinary_text_is_kept() {
        for text in [
            "Basic authentication is off",
            "eye-doctor-in-munich.example.co.uk",
            "evening-in-paris-at-eight.example.com.de",
            "status=503",
            "a=b&c=d",
            "the upstream's token: signature wrong",
            "https://host:8443/realms/x",
            "ada@example.com",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        ] {
            assert_eq!(mask_text(text), text);
        }
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
