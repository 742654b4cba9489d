//! Text that a terminal cannot be made to obey.

use std::{borrow::Cow, fmt::Write};

/// Control characters, line breaks included, and the marks that reorder or hide text become `\u{202e}` and the like.
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    replace(text, is_obeyed, |out, c| write!(out, "\\u{{{:x}}}", u32::from(c)))
}

/// The same, in a text that is coloured on purpose: its ESC stay.
pub fn for_coloured_terminal(text: &str) -> Cow<'_, str> {
    let obeyed = |c| is_obeyed(c) && c != '\u{1b}';
    replace(text, obeyed, |out, c| write!(out, "\\u{{{:x}}}", u32::from(c)))
}

/// The same characters as JSON escapes. `json` is JSON on one line, so such a character can stand in a string only.
pub fn in_json(json: &str) -> Cow<'_, str> {
    replace(json, is_obeyed, |out, c| write!(out, "\\u{:04x}", u32::from(c)))
}

fn replace(
    text: &str,
    obeyed: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char) -> std::fmt::Result,
) -> Cow<'_, str> {
    // Most text is plain ASCII, and that is told at a glance.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.contains(&obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) {
            // Writing to a String cannot fail.
            let _ = escape(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a terminal or a reader would obey a character instead of seeing it: C0, DEL and C1 controls (ESC and the 8-bit CSI among them), Unicode's own line breaks, the marks of the bidirectional algorithm
/// (UAX #9: U+061C, U+200E..F, U+202A..E, U+2066..9) and characters without width.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sees_what_it_would_have_obeyed() {
        assert_eq!(for_terminal("ada@example.com — ok"), "ada@example.com — ok");
        assert_eq!(
            for_terminal("a\r\n\u{1b}[31m\u{202e}\u{2066}\u{9b}\u{7f}"),
            "a\\u{d}\\u{a}\\u{1b}[31m\\u{202e}\\u{2066}\\u{9b}\\u{7f}"
        );
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "a\u{7f}\u{9b}\u{202e}\u{2069}\n";
        let json = serde_json::to_string(text).unwrap();
        let escaped = in_json(&json);
        assert!(escaped.bytes().all(|b| (0x20..0x7f).contains(&b)), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
