//! What must not be shown when a line of the configuration is.

use std::ops::Range;

use super::tree::Entry;

/// What stands where something was masked.
const MASK: &str = "***";

/// Whether a key names something secret. `tokens` and `keys` are tables and folders, not secrets.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let anywhere = ["secret", "passw", "passphrase", "credential", "bearer", "apikey"];
    let last = key.rsplit(['_', '-']).next().unwrap_or_default();
    anywhere.iter().any(|word| key.contains(word)) || ["token", "key", "value", "pin", "pass"].contains(&last)
}

/// Whether the value at a path is, or is inside, something secret. `{ file = … }` and `{ env = … }` name places.
pub(super) fn holds_secret(path: &[String]) -> bool {
    let names = || path.iter().filter(|step| step.parse::<usize>().is_err());
    let names_a_place = names().next_back().is_some_and(|last| last == "file" || last == "env");
    !names_a_place && names().any(|name| is_secret(name))
}

/// The bytes of all texts in the file that stand where a secret does.
pub(super) fn secrets(entries: &[Entry]) -> Vec<Range<usize>> {
    let secret = entries.iter().filter(|e| e.is_plain && holds_secret(&e.path));
    secret.map(|entry| entry.value.clone()).collect()
}

/// Replaces ranges of a line, and passwords in URLs, by `***`. Also says where in the result a byte of the line is.
pub(super) fn cover(line: &str, ranges: &[Range<usize>], byte: usize) -> (String, usize) {
    let mut shown = String::new();
    let mut moved = None;
    let mut last_was_masked = false;
    for (at, c) in line.char_indices() {
        if at >= byte && moved.is_none() {
            moved = Some(shown.len());
        }
        let masked = ranges.iter().any(|range| range.contains(&at));
        if !masked {
            shown.push(c);
        } else if !last_was_masked {
            shown.push_str(MASK);
        }
        last_was_masked = masked;
    }
    let moved = moved.unwrap_or(shown.len());
    (shown, moved)
}

/// The user information of every URL in a text (RFC 3986 §3.2.1): it may hold a password.
pub(super) fn user_information(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices("://") {
        let start = start + "://".len();
        let authority = text.get(start..).unwrap_or_default();
        let end = authority
            .find(|c: char| c.is_whitespace() || "/\"'?#".contains(c))
            .unwrap_or(authority.len());
        if let Some(at) = authority.get(..end).and_then(|authority| authority.rfind('@')) {
            found.push(start..start + at);
        }
    }
    found
}

/// A message with the user information of URLs masked.
pub(super) fn without_passwords(message: &str) -> String {
    cover(message, &user_information(message), 0).0
}

/// What to hide in a line that is not valid TOML, so that nothing says for certain what is a value: everything after
/// the `=` of a secret's key, and the whole line where it has no key, for it may go on a text from above.
pub(super) fn unparsed(line: &str) -> Option<Range<usize>> {
    let start = line.len() - line.trim_start().len();
    if line.trim_start().starts_with(['[', '#']) {
        return None;
    }
    for (at, _) in line.match_indices('=') {
        let name = line.get(..at).unwrap_or_default().trim_end();
        let name = name
            .rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .find(|word| !word.is_empty());
        if name.is_some_and(is_secret) {
            return Some(at + 1..line.len());
        }
    }
    (!line.contains('=')).then_some(start..line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets_are_told_from_others() {
        for key in [
            "secret",
            "previous_secret",
            "capsule_secret",
            "password",
            "bearer",
            "api_key",
            "token",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["tokens", "keys", "endpoint", "on_failure", "certificate", "name"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn what_is_left_of_a_masked_line_keeps_its_places() {
        let line = "hook = { secret = \"abc\", nam = 1 }";
        let nam = line.find("nam").unwrap();
        let (shown, at) = cover(line, Some(18..23).as_slice(), nam);
        assert_eq!(shown, "hook = { secret = ***, nam = 1 }");
        assert!(shown[at..].starts_with("nam"));
    }

    #[test]
    fn a_password_in_a_url_is_masked() {
        assert_eq!(
            without_passwords("`postgres://tollgate:pw@db/audit` is no store"),
            "`postgres://***@db/audit` is no store"
        );
        assert_eq!(without_passwords("https://example.com/@me"), "https://example.com/@me");
    }

    #[test]
    fn a_line_that_is_not_toml_hides_what_could_be_a_secret() {
        let shown = |line: &str| cover(line, unparsed(line).as_slice(), 0).0;
        assert_eq!(shown("secret = whsec_abc"), "secret =***");
        assert_eq!(
            shown("hook = { name = \"x\", secret = \"abc }"),
            "hook = { name = \"x\", secret =***"
        );
        assert_eq!(shown("  abc\"\"\""), "  ***");
        assert_eq!(shown("address = 0.0.0.0"), "address = 0.0.0.0");
        assert_eq!(shown("[listen"), "[listen");
    }
}
