//! An e-mail address beside the form in which two spellings of it compare equal.

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

/// An address that means two domains to two readers, such as `a@b@c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the e-mail address has more than one `@`")]
pub struct Ambiguous;

/// Takes the spaces around a user's `email` off, as upstreams do before they act on it, and adds `email_normalized` and
/// `email_domain`: NFKC in lower case, the domain in its ASCII form (UTS 46), so that an interceptor compares what cannot be
/// spelled in another way.
///
/// An address that is none is left to the upstream, which has rules of its own for that.
///
/// # Errors
/// An address with more than one `@` outside quotes.
pub(super) fn describe(user: &mut Map<String, Value>) -> Result<(), Ambiguous> {
    let Some(email) = user.get("email").and_then(Value::as_str) else {
        return Ok(());
    };
    let email = email.trim().to_owned();
    user.insert("email".into(), email.as_str().into());
    let Some((local, domain)) = email.rsplit_once('@') else {
        return Ok(());
    };
    // A compatibility form may be an `@` in disguise.
    let (local, plain_domain) = (fold(local), fold(domain));
    if (local.contains('@') && !is_quoted(&local)) || plain_domain.contains('@') {
        return Err(Ambiguous);
    }
    let Ok(domain) = idna::domain_to_ascii_strict(domain) else {
        return Ok(());
    };
    if local.is_empty() || domain.is_empty() {
        return Ok(());
    }
    user.insert("email_normalized".into(), format!("{local}@{domain}").into());
    user.insert("email_domain".into(), domain.into());
    Ok(())
}

/// Compatibility forms and case folded.
fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// A quoted local part (RFC 5321 §4.1.2).
fn is_quoted(local: &str) -> bool {
    local.len() > 2 && local.starts_with('"') && local.ends_with('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(email: &str) -> Result<(String, String), Ambiguous> {
        let mut user = Map::from_iter([("email".to_owned(), email.into())]);
        describe(&mut user)?;
        let text = |name: &str| user.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((text("email_normalized"), text("email_domain")))
    }

    #[test]
    fn spellings_of_one_address_compare_equal() {
        for (email, normalized, domain) in [
            ("Ada@Example.COM", "ada@example.com", "example.com"),
            (
                "ada@bücher.example",
                "ada@xn--bcher-kva.example",
                "xn--bcher-kva.example",
            ),
            (
                "ada@BU\u{308}CHER.example",
                "ada@xn--bcher-kva.example",
                "xn--bcher-kva.example",
            ),
            ("ada@\u{212a}elvin.example", "ada@kelvin.example", "kelvin.example"),
            ("ａda@ｅxample.com", "ada@example.com", "example.com"),
            ("\"a@b\"@example.com", "\"a@b\"@example.com", "example.com"),
        ] {
            assert_eq!(described(email).unwrap(), (normalized.into(), domain.into()), "{email}");
        }
    }

    #[test]
    fn spaces_around_an_address_are_no_part_of_it() {
        let mut user = Map::from_iter([("email".to_owned(), " Ada@example.com\u{a0}".into())]);
        describe(&mut user).unwrap();
        assert_eq!(
            (&user["email"], &user["email_normalized"]),
            (&"Ada@example.com".into(), &"ada@example.com".into())
        );
    }

    #[test]
    fn an_address_with_two_domains_is_refused() {
        for email in [
            "a@b@c",
            "a@evil.example@acme.example",
            "a\u{ff20}evil.example@acme.example",
            "a@evil.example\u{ff20}acme.example",
        ] {
            assert_eq!(described(email), Err(Ambiguous), "{email}");
        }
    }

    #[test]
    fn what_is_no_address_is_left_to_the_upstream() {
        for email in ["a", "@b", "a@", "a@b c", "a@-"] {
            assert_eq!(described(email), Ok(Default::default()), "{email}");
        }
    }
}
