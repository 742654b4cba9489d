//! Which member names stand for secrets.

use std::sync::LazyLock;

use regex::Regex;

/// What a member's name says of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing: the value is looked at by itself.
    Plain,
    /// A secret where it is text or a number; an object is a set of claims or permissions and is looked into (`access_token`).
    SecretUnlessObject,
    /// A secret, and everything below it as well (`credentials`).
    Secret,
}

/// Reads a name, in whatever way it joins its words: `client_secret`, `clientSecret`, `Client-Secret`, `CLIENTSECRET`.
pub(super) fn meaning(name: &str) -> Meaning {
    let (joined, ends) = words(name);
    let words = || {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(&ends).filter_map(|(start, end)| joined.get(start..*end))
    };
    if words().last().is_some_and(|last| PLAIN_ENDINGS.contains(&last)) {
        return Meaning::Plain;
    }
    if PARTS.is_match(&joined) {
        return Meaning::Secret;
    }
    let mut before = "";
    for word in words() {
        let singular = word.strip_suffix('s').unwrap_or(word);
        let plain_code = singular == "code" && PLAIN_CODES.contains(&before);
        if (SECRET_WORDS.contains(&singular) || SECRET_WORDS.contains(&word)) && !plain_code {
            return Meaning::Secret;
        }
        before = word;
    }
    if OPEN_PARTS.iter().any(|part| joined.contains(part)) {
        return Meaning::SecretUnlessObject;
    }
    Meaning::Plain
}

/// The words of a name in lower case, cut at everything that is no letter or digit and where a capital follows a small letter: all
/// in one text, and where each ends in it.
fn words(name: &str) -> (String, Vec<usize>) {
    let (mut joined, mut ends) = (String::with_capacity(name.len()), Vec::with_capacity(4));
    let mut start = 0;
    let mut after_small = false;
    for c in name.chars() {
        let cut = !c.is_alphanumeric() || (c.is_uppercase() && after_small);
        after_small = c.is_lowercase() || c.is_numeric();
        if cut && joined.len() > start {
            start = joined.len();
            ends.push(start);
        }
        if c.is_alphanumeric() {
            joined.extend(c.to_lowercase());
        }
    }
    if joined.len() > start {
        ends.push(joined.len());
    }
    (joined, ends)
}

/// All of [`SECRET_PARTS`] at one glance.
static PARTS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&SECRET_PARTS.join("|")).expect("words are a pattern, compiled in every test"));

/// Anywhere in the name, whatever stands around them.
const SECRET_PARTS: [&str; 16] = [
    "apikey",
    "assertion",
    "authcode",
    "authorizationcode",
    "codeverifier",
    "cookie",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "passwort",
    "privatekey",
    "samlresponse",
    "secret",
    "signingkey",
    "webhookkey",
];

/// The same, where an object of that name is worth reading: the claims of `access_token`, the permissions of `authorization`.
const OPEN_PARTS: [&str; 2] = ["authorization", "token"];

/// Whole words only, or `shipping` and `mapping` would be secret for the `pin` in them.
const SECRET_WORDS: [&str; 8] = ["bearer", "code", "jwt", "otp", "pass", "pin", "pwd", "totp"];

/// What a name may end in to be about a secret without being one: `token_type`, `code_challenge_method`.
const PLAIN_ENDINGS: [&str; 7] = ["count", "lifetime", "method", "methods", "type", "types", "use"];

/// What makes a `code` a plain one: `postal_code`, `status_code`.
const PLAIN_CODES: [&str; 15] = [
    "area", "country", "currency", "error", "exit", "language", "locale", "postal", "product", "region", "response",
    "state", "status", "zip", "zone",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name_however_that_is_spelled() {
        for name in [
            "password",
            "passwd",
            "newPassword",
            "PASSWORD",
            "user.password",
            "password-confirm",
            "client_secret",
            "clientSecret",
            "CLIENTSECRET",
            "code",
            "device_code",
            "authCode",
            "recoveryCodes",
            "user_code",
            "code_verifier",
            "assertion",
            "client_assertion",
            "Cookie",
            "set-cookie",
            "credentials",
            "otp",
            "totp",
            "mfaOtp",
            "pin",
            "PIN",
            "private_key",
            "privateKey",
            "api_key",
            "apiKey",
            "x-api-key",
            "SAMLResponse",
            "pass",
            "pwd",
            "id_jwt",
        ] {
            assert_eq!(meaning(name), Meaning::Secret, "{name}");
        }
        for name in [
            "token",
            "refresh_token",
            "access_token",
            "idToken",
            "id_token_hint",
            "Authorization",
            "Proxy-Authorization",
            "tokens",
        ] {
            assert_eq!(meaning(name), Meaning::SecretUnlessObject, "{name}");
        }
    }

    #[test]
    fn an_ordinary_name_is_left_alone() {
        for name in [
            "email",
            "name",
            "shipping",
            "mapping",
            "compass",
            "option",
            "postal_code",
            "countryCode",
            "error_code",
            "status_code",
            "zip_code",
            "token_type",
            "code_challenge_method",
            "credential_type",
            "encoded",
            "barcoded",
            "",
            "_",
            "roles",
            "scope",
            "passport_country",
            "spinner",
        ] {
            assert_eq!(meaning(name), Meaning::Plain, "{name}");
        }
    }
}
