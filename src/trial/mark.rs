//! What is wrong with a document, and where.

use serde::Serialize;

use super::places::Places;
use crate::json::{self, Malformed};

/// Something to say about a place of an event or an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Whether it stands in the way.
    pub severity: Severity,
    /// The value that is meant (RFC 6901); empty for the whole document, absent where it could not be read.
    pub pointer: Option<String>,
    /// The line, from 1, where the document is text.
    pub line: Option<usize>,
    /// The character in the line, from 1.
    pub column: Option<usize>,
    /// What is to be said. Shows no value.
    pub message: String,
}

/// Whether a mark stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot be taken like this.
    Error,
    /// It can, and may still be a mistake.
    Note,
}

impl Mark {
    /// About the value at a pointer, which has no place yet.
    pub(super) fn new(severity: Severity, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity,
            pointer: Some(pointer.into()),
            line: None,
            column: None,
            message: message.into(),
        }
    }

    /// The text is not JSON as Tollgate takes it.
    pub(super) fn malformed(text: &str, malformed: &Malformed) -> Self {
        let (line, byte) = malformed.place();
        let words = malformed.to_string();
        // The place stands beside the message, not in it.
        let message = words.split(" at line ").next().unwrap_or(&words).to_owned();
        let before = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let before = before.get(..byte.saturating_sub(1)).unwrap_or(before);
        Self {
            severity: Severity::Error,
            pointer: None,
            line: Some(line.max(1)),
            column: Some(before.chars().count() + 1),
            message,
        }
    }

    /// The same marks with their places in `text`. A value that is missing is looked for in what it would stand in.
    pub fn placed(marks: Vec<Self>, text: &str) -> Vec<Self> {
        if marks.is_empty() || json::parse(text.as_bytes()).is_err() {
            return marks;
        }
        let places = Places::of(text);
        let placed = marks.into_iter().map(|mark| {
            let place = mark.pointer.as_deref().and_then(|pointer| places.nearest(pointer));
            match place {
                Some((line, column)) => Self {
                    line: Some(line),
                    column: Some(column),
                    ..mark
                },
                None => mark,
            }
        });
        placed.collect()
    }

    /// Whether it stands in the way.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_syntax_is_marked_by_character_and_without_its_place_in_the_words() {
        let text = "{\n  \"naïve\": x\n}";
        let mark = Mark::malformed(text, &json::parse(text.as_bytes()).unwrap_err());
        assert_eq!(
            (mark.line, mark.column, mark.pointer.clone()),
            (Some(2), Some(12), None)
        );
        assert!(!mark.message.contains("line"), "{mark:?}");
    }

    #[test]
    fn a_missing_member_is_marked_where_it_would_stand() {
        let marks = vec![Mark::new(Severity::Error, "/a/b", "is missing")];
        let placed = Mark::placed(marks, "{\n  \"a\": {}\n}");
        assert_eq!((placed[0].line, placed[0].column), (Some(2), Some(3)));
    }
}
