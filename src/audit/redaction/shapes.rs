//! What a secret looks like in the middle of a text.

use std::{borrow::Cow, sync::LazyLock};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use regex::{Captures, Regex, RegexSet};
use serde_json::{Map, Value};

use super::{
    MASK,
    names::{Meaning, meaning},
};

/// Masks the parts of a text that look like a secret: a compact JWS or JWE, a sealed token, an `Authorization` value, a private key, the
/// user part of a URL, and `name=value` where the name is a secret's.
pub(super) fn mask_text(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    if is_word(text) {
        return masked;
    }
    // Most text has none of the shapes, and one look at it says so.
    for index in SHAPES.any.matches(text) {
        if let (Some(shape), Some((_, mask))) = (SHAPES.each.get(index), PATTERNS.get(index))
            && let Cow::Owned(new) = shape.replace_all(&masked, mask)
        {
            masked = Cow::Owned(new);
        }
    }
    masked
}

/// A name, a number, an id: too short for a token, and without what every other shape has in it.
fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.len() < 40 && text.bytes().all(plain) && !text.contains("whsec_")
}

type Mask = fn(&Captures<'_>) -> String;

struct Shapes {
    any: RegexSet,
    each: Vec<Regex>,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    let patterns = PATTERNS.map(|(pattern, _)| pattern);
    let constant = "the patterns are constants, compiled in every test";
    Shapes {
        any: RegexSet::new(patterns).expect(constant),
        each: patterns.map(|pattern| Regex::new(pattern).expect(constant)).into(),
    }
});

fn whole(_: &Captures<'_>) -> String {
    MASK.into()
}

fn user_part(_: &Captures<'_>) -> String {
    format!("://{MASK}@")
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

/// In this order, for a later one may find what an earlier one left: the name before a masked value. ASCII classes only: with those of
/// Unicode, long text in other scripts takes many times as long.
const PATTERNS: [(&str, Mask); 8] = [
    (
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
        whole,
    ),
    // A compact JWS or JWE whose header begins with `{"`, cut off ones too.
    (r"eyJ[0-9A-Za-z_-]*(\.[0-9A-Za-z_-]*)+|eyJ[0-9A-Za-z_-]{37,}", whole),
    // One whose header begins with white space.
    (r"(?-u:\b)e[0-9A-Za-z_-]{15,}(\.[0-9A-Za-z_-]*){2,4}", if_header),
    (r"(?-u:\b)(tg[0-9]\.|whsec_)[0-9A-Za-z_+/=.-]{8,}", whole),
    (
        r"(?-u:\b)((?i-u:bearer|basic|dpop|digest|negotiate))[ \t]+([0-9A-Za-z_+/=.~-]{12,})",
        if_scheme,
    ),
    (r"://[^ \t\r\n/?#@]*:[^ \t\r\n/?#@]*@", user_part),
    (
        r#"([0-9A-Za-z_.\[\]-]+)(=|%3[Dd])("[^"]*"?|'[^']*'?|[^ \t\r\n&;"'<>,\\]+)"#,
        if_named,
    ),
    // A piece of JSON in a sentence, its quotes escaped or not.
    (
        r#"([0-9A-Za-z_.-]+)(\\?"[ \t\r\n]*:[ \t\r\n]*)("(?:[^"\\]|\\.)*"?|\\"[^"]*"?|-?[0-9.]+)"#,
        if_named,
    ),
];

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
