//! Text that neither a browser nor a person can be deceived by.

use std::fmt::{self, Write};

use askama::filters::Escaper;

use crate::escape::is_obeyed;

/// The escaper of every template: HTML's special characters as references; control characters, line breaks among them, and the
/// marks that reorder or hide text as `\u{202e}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        string.chars().try_for_each(|c| write_char(&mut dest, c))
    }

    fn write_escaped_char<W: Write>(&self, mut dest: W, c: char) -> fmt::Result {
        write_char(&mut dest, c)
    }
}

fn write_char(dest: &mut impl Write, c: char) -> fmt::Result {
    match c {
        '&' => dest.write_str("&amp;"),
        '<' => dest.write_str("&lt;"),
        '>' => dest.write_str("&gt;"),
        '"' => dest.write_str("&quot;"),
        '\'' => dest.write_str("&#39;"),
        c if is_obeyed(c) => write!(dest, "\\u{{{:x}}}", u32::from(c)),
        c => dest.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_obeyed() {
        let mut out = String::new();
        Html.write_escaped_str(&mut out, "<a href=\"x\" b='y'>&\r\n\u{1b}[31m\u{202e}ä")
            .unwrap();
        assert_eq!(
            out,
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\\u{d}\\u{a}\\u{1b}[31m\\u{202e}ä"
        );
    }
}
