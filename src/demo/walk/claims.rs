//! A token's claims before and after, side by side.

use serde_json::{Map, Value};

/// One line for each claim: `+` was added, `~` was changed, `-` was taken away, `=` stayed.
pub(super) fn side_by_side(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let mut lines = vec![format!(
        "  {:NAME$} {:VALUE$} {}",
        "", "from the provider", "what the client holds"
    )];
    for (name, value) in before {
        let (mark, now) = match after.get(name) {
            Some(now) if now == value => (' ', "=".to_owned()),
            Some(now) => ('~', short(now)),
            None => ('-', String::new()),
        };
        lines.push(format!("{mark} {name:NAME$} {:VALUE$} {now}", short(value)));
    }
    for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        lines.push(format!("+ {name:NAME$} {:VALUE$} {}", "", short(value)));
    }
    lines
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    let length = text.chars().count();
    if length <= VALUE {
        return text;
    }
    if length > SEALED {
        let start: String = text.chars().take(VALUE - 20).collect();
        return format!("{start}… ({length} bytes)");
    }
    let start: String = text.chars().take(VALUE - 1).collect();
    format!("{start}…")
}

const NAME: usize = 18;
const VALUE: usize = 33;
/// Nothing that a person would read is longer.
const SEALED: usize = 200;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_added_changed_taken_and_kept_is_told_apart() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let before = map(json!({"sub": "ada", "scope": "a b", "gone": 1}));
        let after = map(json!({"sub": "ada", "scope": "a", "sealed": "x".repeat(300)}));
        let text = side_by_side(&before, &after);
        let lines: Vec<Vec<&str>> = text.iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["sub", "\"ada\"", "="]);
        assert_eq!(lines[2], ["~", "scope", "\"a", "b\"", "\"a\""]);
        assert_eq!(lines[3], ["-", "gone", "1"]);
        assert_eq!(lines[4], ["+", "sealed", "\"xxxxxxxxxxxx…", "(302", "bytes)"]);
        assert!(text.iter().all(|line| line.chars().count() <= 90));
    }
}
