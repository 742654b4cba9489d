//! Where every setting was written, in the file or the environment, and how a mistake in it is shown.

use std::{collections::BTreeMap, ffi::OsString, fmt, ops::Range};

use super::{
    errors::{ConfigErrors, Finding},
    layers::{Layers, Origin},
    mask,
    tree::{Entry, KeyPath},
};
use crate::misconfigured::Misconfigured;

/// The text of a configuration and the places of its settings.
#[derive(Clone, Default)]
pub(super) struct Source {
    /// The file as its operator calls it.
    pub(super) name: String,
    /// The text of the file.
    pub(super) text: String,
    /// The environment variables that set something. The one at index N has the bytes that [`Source::variable_span`]
    /// says, behind the end of the file, so that a span always names one of the two.
    pub(super) variables: Vec<String>,
    /// Their values, for the fingerprint alone. They may be secret.
    pub(super) values: Vec<String>,
    /// The variables that were offered, for reading everything again.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Every value in effect as TOML has it, by its key.
    pub(super) settings: BTreeMap<String, String>,
    /// Every setting there is.
    pub(super) entries: Vec<Entry>,
    /// Which layer each setting in effect comes from.
    pub(super) layers: Layers,
    /// Bytes of the file that are never shown.
    pub(super) hidden: Vec<Range<usize>>,
}

impl Source {
    pub(super) fn new(name: String, text: String) -> Self {
        Self {
            name,
            text,
            ..Self::default()
        }
    }

    /// The bytes that stand for a variable.
    pub(super) fn variable_span(&self, index: usize) -> Range<usize> {
        let start = self.text.len() + 1 + index;
        start..start + 1
    }

    /// The variable that a span stands for.
    pub(super) fn variable(&self, span: &Range<usize>) -> Option<&str> {
        let index = span.start.checked_sub(self.text.len() + 1)?;
        self.variables.get(index).map(String::as_str)
    }

    /// Where the setting at a path was written.
    pub(super) fn origin(&self, key: &str) -> Option<Origin> {
        let (layer, place) = self.layers.find(key.split('.'))?;
        match layer.source.as_ref()? {
            figment::Source::File(path) => Some(Origin::File {
                name: path.display().to_string(),
                line: self.line(place).number,
            }),
            figment::Source::Custom(variable) => Some(Origin::Variable(variable.clone())),
            _ => None,
        }
    }

    /// A mistake at these bytes; `None` where nothing can be pointed at.
    pub(super) fn finding(
        &self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Finding {
        let mut finding = Finding {
            order: 0,
            place: self.name.clone(),
            message: mask::without_passwords(&message.into()),
            excerpt: None,
            hint,
        };
        let Some(span) = span else {
            return finding;
        };
        finding.order = span.start;
        if let Some(variable) = self.variable(&span) {
            finding.place = variable.to_owned();
        } else if span.end > 0 {
            let line = self.line(span.start);
            let column = self
                .text
                .get(line.range.start..span.start)
                .map_or(0, |t| t.chars().count())
                + 1;
            finding.place = format!("{}:{}:{column}", self.name, line.number);
            finding.excerpt = Some(self.excerpt(&line, &span));
        }
        finding
    }

    /// Mistakes in values that could be read.
    pub(super) fn errors<'m>(&self, findings: impl IntoIterator<Item = &'m Misconfigured>) -> ConfigErrors {
        ConfigErrors::new(findings.into_iter().map(|wrong| self.misconfigured(wrong)).collect())
    }

    /// A mistake in a value that could be read, at the line of its key or of the innermost table around it.
    fn misconfigured(&self, wrong: &Misconfigured) -> Finding {
        let path: KeyPath = wrong.key.split('.').map(str::to_owned).collect();
        let nearest = self
            .entries
            .iter()
            .filter(|entry| path.starts_with(&entry.path))
            .max_by_key(|entry| entry.path.len());
        let exact = nearest.is_some_and(|entry| entry.path == path);
        let last = path.last().map_or("", String::as_str);
        let message = if wrong.message.contains(&format!("`{last}`")) || wrong.key.is_empty() {
            wrong.message.clone()
        } else if exact {
            format!("`{last}`: {}", wrong.message)
        } else {
            format!("`{}`: {}", wrong.key, wrong.message)
        };
        self.finding(nearest.map(|entry| entry.value.clone()), message, wrong.hint.clone())
    }

    fn line(&self, byte: usize) -> Line {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.find('\n').unwrap_or(rest.len());
        let length = rest
            .get(..length)
            .map_or(length, |line| line.trim_end_matches('\r').len());
        Line {
            number: before.matches('\n').count() + 1,
            range: start..start + length,
        }
    }

    fn excerpt(&self, line: &Line, span: &Range<usize>) -> String {
        let text = self.text.get(line.range.clone()).unwrap_or_default();
        let inside = |range: &Range<usize>| {
            let start = range.start.max(line.range.start);
            let end = range.end.min(line.range.end);
            (start < end).then(|| start - line.range.start..end - line.range.start)
        };
        let mut hidden: Vec<_> = self.hidden.iter().filter_map(inside).collect();
        hidden.extend(mask::user_information(text));
        let marked = inside(span).unwrap_or(text.len()..text.len());
        let (shown, start) = mask::cover(text, &hidden, marked.start);
        let (_, end) = mask::cover(text, &hidden, marked.end);
        let before = shown.get(..start).unwrap_or_default();
        let gap: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = shown.get(start..end).map_or(1, |marked| marked.chars().count().max(1));
        let number = line.number.to_string();
        let margin = " ".repeat(number.len());
        format!("{number} | {shown}\n{margin} | {gap}{}", "^".repeat(carets))
    }
}

// The text and the values may hold a secret that somebody wrote where none belongs.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

struct Line {
    number: usize,
    range: Range<usize>,
}
