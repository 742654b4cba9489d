//! The event in an editor: its lines, and what is wrong where.

use askama::Template;

use crate::{escape::in_json, trial::Mark};

/// A text with marks.
pub(super) struct Editor {
    pub(super) lines: Vec<Line>,
    pub(super) marks: Vec<ShownMark>,
}

/// A line, and the worst that is said about it: `fail`, `info` or nothing.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) mark: &'static str,
}

/// A mark for a list.
pub(super) struct ShownMark {
    pub(super) icon: &'static str,
    /// 0 where there is none.
    pub(super) line: usize,
    pub(super) place: String,
    pub(super) pointer: String,
    pub(super) message: String,
}

/// The part that changes while somebody writes.
#[derive(Template)]
#[template(path = "interceptor/test/marks.html")]
pub(super) struct Marks {
    pub(super) editor: Editor,
}

impl Editor {
    pub(super) fn new(text: &str, marks: &[Mark]) -> Self {
        Self {
            lines: numbered(&unified(text), marks),
            marks: marks.iter().map(ShownMark::of).collect(),
        }
    }

    /// Whether the event can be sent.
    pub(super) fn is_sound(&self) -> bool {
        self.marks.iter().all(|mark| mark.icon != "fail")
    }
}

impl ShownMark {
    pub(super) fn of(mark: &Mark) -> Self {
        Self {
            icon: icon(mark),
            line: mark.line.unwrap_or(0),
            place: match (mark.line, mark.column) {
                (Some(line), Some(column)) => format!("{line}:{column}"),
                _ => String::new(),
            },
            pointer: mark.pointer.clone().unwrap_or_default(),
            message: mark.message.clone(),
        }
    }
}

/// The lines of a text, safe to show, each with the worst that is said about it.
pub(super) fn numbered(text: &str, marks: &[Mark]) -> Vec<Line> {
    let lines = text.split('\n').enumerate().map(|(index, line)| {
        let mut here = marks.iter().filter(|mark| mark.line == Some(index + 1));
        let mark = match (here.clone().any(Mark::is_error), here.next()) {
            (true, _) => "fail",
            (false, Some(_)) => "info",
            (false, None) => "",
        };
        Line {
            text: in_json(line).into_owned(),
            mark,
        }
    });
    lines.collect()
}

/// The text with the line ends and indentation that the editor works with. Forms send CRLF (HTML §4.10.22.4), and a tab would be
/// shown as an escape.
pub(super) fn unified(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\t', "  ");
    text.trim_end().to_owned()
}

fn icon(mark: &Mark) -> &'static str {
    if mark.is_error() { "fail" } else { "info" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_sends_back_is_what_was_shown() {
        let text = "{\n  \"a\": \"\u{202e}\"\n}";
        let shown = Editor::new(&text.replace("\n  ", "\r\n\t"), &[]);
        let lines: Vec<_> = shown.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, ["{", "  \"a\": \"\\u202e\"", "}"]);
    }
}
