//! Says in an operator's words what `toml` and `serde` have to say about a value.

use std::borrow::Cow;

use super::{example, mask};

/// A mistake in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Whether the value may be a secret under a name that we do not know.
    pub(super) hide: bool,
}

/// What a key that does not parse is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind<'r> {
    /// A required key is not there.
    Missing(&'r str),
    /// There is a key that nobody reads.
    Unknown(&'r str),
    /// The value is wrong.
    Value,
}

/// The message in the words of serde where `toml` has its own for the same mistake: keys of an enum's variant.
pub(super) fn uniform(raw: &str) -> Cow<'_, str> {
    let keys = raw.strip_prefix("unexpected keys in table: ");
    match keys.and_then(|keys| keys.split_once(", available keys: ")) {
        Some((unknown, known)) => {
            let unknown = unknown.split(", ").next().unwrap_or_default();
            let known: Vec<_> = known.split(", ").map(|key| format!("`{key}`")).collect();
            format!("unknown field `{unknown}`, expected one of {}", known.join(", ")).into()
        }
        None => raw.into(),
    }
}

/// What a message of serde is about.
pub(super) fn kind(raw: &str) -> Kind<'_> {
    if let Some(rest) = raw.strip_prefix("missing field ") {
        Kind::Missing(quoted(rest).next().unwrap_or_default())
    } else if let Some(rest) = raw.strip_prefix("unknown field ") {
        Kind::Unknown(quoted(rest).next().unwrap_or_default())
    } else {
        Kind::Value
    }
}

/// A required key is missing from the table at `path`.
pub(super) fn missing(path: &[String], key: &str) -> Words {
    let mut full = path.to_vec();
    full.push(key.to_owned());
    let example = example::of(&full);
    Words {
        message: match example {
            Some(example) if example.starts_with('[') => format!("the section `[{key}]` is missing"),
            _ => format!("`{key}` is missing {}", within(path)),
        },
        hint: example.map(|example| match example.contains('\n') {
            true => format!("add\n  {}", example.replace('\n', "\n  ")),
            false => format!("add `{example}`"),
        }),
        hide: false,
    }
}

/// A key that nobody reads; `path` is its own.
pub(super) fn unknown(raw: &str, path: &[String], key: &str) -> Words {
    let known: Vec<&str> = quoted(raw).skip(1).collect();
    let near = nearest(key, &known);
    let parent = path.split_last().map_or(path, |(_, parent)| parent);
    Words {
        message: format!("unknown key `{key}` {}", within(parent)),
        hint: match near {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if known.is_empty() => Some("nothing can be set here; remove it".to_owned()),
            None => Some(format!("known here: {}", listed(&known, "and"))),
        },
        hide: near.is_none_or(mask::is_secret),
    }
}

/// A value that is wrong; `path` is its own.
pub(super) fn value(raw: &str, path: &[String]) -> Words {
    let subject = subject(path);
    let secret = mask::holds_secret(path);
    let example = example::of(path);
    let key = path.iter().rfind(|step| !is_index(step)).map_or("", String::as_str);
    if raw.contains("untagged enum SecretSource") {
        let place = if key == "secret" { "hook_secret" } else { key };
        return Words {
            message: format!("{subject} must say where the secret is kept, not hold the secret itself"),
            hint: Some(format!(
                "write `{key} = {{ file = \"certs/{}.key\" }}`, or `{key} = {{ env = \"{}\" }}` for an environment variable",
                place.replace('_', "-").trim_end_matches("-secret"),
                place.to_ascii_uppercase()
            )),
            hide: true,
        };
    }
    let or_example = |hint: Option<String>| {
        hint.or_else(|| example::meaning(path).map(str::to_owned)).or_else(|| {
            example
                .filter(|_| !raw.contains("write it like"))
                .map(|example| format!("for example `{example}`"))
        })
    };
    let (message, hint) = if let Some(rest) = raw.strip_prefix("unknown variant ") {
        let (found, known) = choices(rest);
        (
            format!(
                "{subject} must be {}{}",
                listed(&known, "or"),
                found_text(secret, &format!("`{found}`"))
            ),
            nearest(found, &known).map(|near| format!("did you mean `{near}`?")),
        )
    } else if let Some((found, expected)) = mismatch(raw) {
        let expected = expectation(expected);
        (
            format!("{subject} must be {expected}{}", found_text(secret, &found)),
            None,
        )
    } else if raw.starts_with("wanted string or table") {
        (format!("{subject} must be text in quotes or a table"), None)
    } else if raw.starts_with("wanted exactly 1 element") {
        (format!("{subject} must have exactly one entry"), None)
    } else if raw == "invalid socket address syntax" {
        (format!("{subject} must be {}", expectation("socket address")), None)
    } else if secret {
        (format!("{subject} cannot be read"), None)
    } else {
        (format!("{subject}: {raw}"), None)
    };
    Words {
        message,
        hint: or_example(hint),
        hide: secret,
    }
}

/// The known word that is nearest, if one is near enough to have been meant.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, near) = known
        .iter()
        .map(|known| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase()),
                *known,
            )
        })
        .min_by_key(|(distance, _)| *distance)?;
    let close = distance <= 1.max(near.chars().count().min(word.chars().count()) / 3);
    (close || strsim::jaro_winkler(word, near) > 0.9).then_some(near)
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn choices(rest: &str) -> (&str, Vec<&str>) {
    // The value that was found may have backticks of its own, so it ends where the list of choices begins.
    match rest.rsplit_once("`, expected ") {
        Some((found, known)) => (found.trim_start_matches('`'), quoted(known).collect()),
        None => (rest.trim_matches('`'), Vec::new()),
    }
}

fn mismatch(raw: &str) -> Option<(String, &str)> {
    let rest = raw
        .strip_prefix("invalid type: ")
        .or_else(|| raw.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let value = found.split_once('`').map(|(_, value)| value.trim_end_matches('`'));
    let found = match (found.split_whitespace().next()?, value) {
        ("integer" | "floating", Some(value)) => format!("the number {value}"),
        ("boolean", Some(value)) => format!("`{value}`"),
        ("string", _) => format!("the text {}", found.trim_start_matches("string ")),
        ("map", _) => "a table".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        _ => found.to_owned(),
    };
    Some((found, expected))
}

fn expectation(expected: &str) -> String {
    let known = match expected {
        "a string" | "str" | "path string" | "a character" => "text in quotes",
        "a boolean" => "`true` or `false`",
        "u8" => "a whole number from 0 to 255",
        "u16" | "a nonzero u16" => "a whole number up to 65535",
        "u32" | "u64" | "usize" => "a whole number, not below 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "socket address" => "an IP address and a port",
        "a sequence" => "a list in `[ ]`",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    known.to_owned()
}

fn found_text(secret: bool, found: &str) -> String {
    if secret {
        String::new()
    } else {
        format!(", found {found}")
    }
}

/// Words in ticks, one after the other.
pub(super) fn listed(words: &[&str], last: &str) -> String {
    let ticked: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match ticked.split_last() {
        Some((end, [])) => end.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
        None => "something else".to_owned(),
    }
}

fn subject(path: &[String]) -> String {
    match path.split_last() {
        None => "the file".to_owned(),
        Some((last, parent)) if is_index(last) => match parent.last() {
            Some(list) => format!("an item of `{list}`"),
            None => "an item".to_owned(),
        },
        Some((last, _)) => format!("`{last}`"),
    }
}

fn within(path: &[String]) -> String {
    match path.split_last() {
        None => "at the top level of the file".to_owned(),
        Some((last, parent)) if is_index(last) => format!("in `[[{}]]`", parent.join(".")),
        Some(_) => {
            let names: Vec<_> = path.iter().filter(|step| !is_index(step)).map(String::as_str).collect();
            format!("in `[{}]`", names.join("."))
        }
    }
}

fn is_index(step: &str) -> bool {
    step.parse::<usize>().is_ok()
}
