//! What a secret looks like in the middle of a text.

use std::{borrow::Cow, sync::LazyLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::{
    MASK,
    names::{Meaning, meaning},
};

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

type Mask = fn(&Captures<'_>) -> String;

static SHAPES: LazyLock<[(Regex, Mask); 8]> = LazyLock::new(|| {
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
        shape(
            r#"([\w.\[\]-]+)(=|%3[Dd])("[^"]*"?|'[^']*'?|[^\s&;"'<>,\\]+)"#,
            if_named,
        ),
        // A piece of JSON in a sentence, its quotes escaped or not.
        shape(
            r#"([\w.-]+)(\\?"\s*:\s*)("(?:[^"\\]|\\.)*"?|\\"[^"]*"?|-?[0-9.]+)"#,
            if_named,
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    const JWS: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl";

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
                r#"body was {"password": "two \"words","pin":12,"a":"b"} and {\"code\": \"a b\",\"c\":1}"#,
                r#"body was {"password": [redacted],"pin":[redacted],"a":"b"} and {\"code\": [redacted],\"c\":1}"#,
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
}
