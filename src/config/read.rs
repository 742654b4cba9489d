//! Reads settings from the file and the environment, and finds as many mistakes at once as it can.

use std::{
    collections::{BTreeSet, HashSet},
    ffi::OsString,
    ops::Range,
};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    environment::{self, Setting},
    errors::{ConfigErrors, Finding},
    example,
    layers::Layers,
    mask,
    source::Source,
    tree::{self, Entry, Node},
    words::{self, Kind, Words},
};

/// So many mistakes are told at once.
const MOST: usize = 50;

/// Reads `T` from the text of `source` with the variables of `environment` laid over it, and notes in `source` where
/// each setting was written.
///
/// # Errors
/// TOML that does not parse, and else every value that does not fit, each with its place.
pub(super) fn read<T: DeserializeOwned>(
    source: &mut Source,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, ConfigErrors> {
    let text = source.text.clone();
    let (table, broken) = DeTable::parse_recoverable(&text);
    let mut root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    source.entries = tree::entries(&root);
    source.hidden = mask::secrets(&source.entries);
    if !broken.is_empty() {
        return Err(syntax_errors(source, &broken));
    }

    let mut taken = BTreeSet::new();
    environment::named_in(&root, &mut taken);
    let settings = environment::settings(environment, &taken, source);
    source.variables = settings.iter().map(|setting| setting.variable.clone()).collect();
    source.values = settings
        .iter()
        .filter_map(|setting| setting.value.clone().ok())
        .collect();
    let (layers, refused) = Layers::over(&source.name, &mut root, &settings);
    let drafts = refused.into_iter().map(|(span, message)| Draft {
        span: Some(span),
        message,
        hint: None,
    });
    let drafts = drafts.collect();
    source.layers = layers;
    source.entries = tree::entries(&root);

    let mut peel = Peel {
        source,
        settings: &settings,
        root,
        drafts,
        hidden: Vec::new(),
        gone: HashSet::new(),
    };
    let read = peel.read();
    let Peel {
        drafts, hidden, root, ..
    } = peel;
    source.hidden.extend(hidden);
    source.settings = tree::leaves(&root);
    match read {
        Some(value) if drafts.is_empty() => Ok(value),
        _ => Err(ConfigErrors::new(
            drafts.into_iter().map(|draft| draft.finding(source)).collect(),
        )),
    }
}

/// A mistake that is shown when it is known what must be hidden.
struct Draft {
    span: Option<Range<usize>>,
    message: String,
    hint: Option<String>,
}

impl Draft {
    fn finding(self, source: &Source) -> Finding {
        source.finding(self.span, self.message, self.hint)
    }
}

/// serde stops at the first mistake. So each one is noted, the value is mended or taken out, and it is tried again.
struct Peel<'s, 't> {
    source: &'s Source,
    settings: &'t [Setting],
    root: Node<'t>,
    drafts: Vec<Draft>,
    hidden: Vec<Range<usize>>,
    /// Keys that were taken out, by the place of their table: that they are missing now is nobody's mistake.
    gone: HashSet<(usize, String)>,
}

impl<'t> Peel<'_, 't> {
    fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        for _ in 0..MOST {
            let error = match T::deserialize(ValueDeserializer::from(self.root.clone())) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let raw = words::uniform(error.message());
            let name = match words::kind(&raw) {
                Kind::Unknown(name) => Some(name),
                Kind::Missing(_) | Kind::Value => None,
            };
            let entries = tree::entries(&self.root);
            let entry = error.span().and_then(|span| tree::innermost(&entries, &span, name));
            let Some(entry) = entry else {
                self.draft(error.span(), words::value(&raw, &[]));
                return None;
            };
            if !self.mend(&raw, entry) {
                return None;
            }
        }
        None
    }

    /// Notes a mistake and gets it out of the way; false when the rest cannot be read.
    fn mend(&mut self, raw: &str, entry: &Entry) -> bool {
        match words::kind(raw) {
            Kind::Missing(key) => {
                if !self.gone.contains(&(entry.value.start, key.to_owned())) {
                    self.draft(Some(entry.value.clone()), words::missing(&entry.path, key));
                }
                let mut path = entry.path.clone();
                path.push(key.to_owned());
                match example::value(&path) {
                    Some(value) => tree::insert(&mut self.root, &entry.path, key, value),
                    None => self.take_out(entry),
                }
            }
            Kind::Unknown(key) => {
                let words = words::unknown(raw, &entry.path, key);
                if words.hide {
                    self.hidden.push(entry.value.clone());
                }
                self.presume(raw, entry, key);
                self.draft(Some(entry.key.clone()), words);
                self.take_out(entry)
            }
            Kind::Value if self.reread(raw, entry) => true,
            Kind::Value if self.gone.iter().any(|(table, _)| *table == entry.value.start) => self.take_out(entry),
            Kind::Value => {
                let words = words::value(raw, &entry.path);
                if words.hide {
                    self.hidden.push(entry.value.clone());
                }
                self.draft(Some(entry.value.clone()), words);
                self.take_out(entry)
            }
        }
    }

    /// A variable has text. Where something else was wanted, the text is read as that, once.
    fn reread(&mut self, raw: &str, entry: &Entry) -> bool {
        // A text that was taken for one and found wrong stays a text: `8443` is no address, whatever number it is.
        let wanted_other = raw.starts_with("invalid type: string ") || raw.contains("untagged enum");
        let Some(index) = entry.value.start.checked_sub(self.source.variable_span(0).start) else {
            return false;
        };
        let Some(Ok(text)) = self.settings.get(index).map(|setting| &setting.value) else {
            return false;
        };
        let Some(node) = tree::at(&mut self.root, &entry.path) else {
            return false;
        };
        if !wanted_other || !node.get_ref().is_str() {
            return false;
        }
        match environment::reread(text, raw.ends_with("expected a sequence"), &entry.value) {
            Some(value) => {
                *node = value;
                true
            }
            None => false,
        }
    }

    /// Who misspelt a required key has not forgotten it.
    fn presume(&mut self, raw: &str, entry: &Entry, key: &str) {
        let known: Vec<_> = raw.split('`').skip(3).step_by(2).collect();
        if let (Some(near), Some(table)) = (words::nearest(key, &known), self.table_of(entry)) {
            self.gone.insert((table, near.to_owned()));
        }
    }

    fn take_out(&mut self, entry: &Entry) -> bool {
        if let (Some(key), Some(table)) = (entry.path.last(), self.table_of(entry)) {
            self.gone.insert((table, key.clone()));
        }
        tree::remove(&mut self.root, &entry.path)
    }

    fn table_of(&mut self, entry: &Entry) -> Option<usize> {
        let (_, parent) = entry.path.split_last()?;
        tree::at(&mut self.root, parent).map(|table| table.span().start)
    }

    fn draft(&mut self, span: Option<Range<usize>>, words: Words) {
        self.drafts.push(Draft {
            span,
            message: words.message,
            hint: words.hint,
        });
    }
}

fn syntax_errors(source: &mut Source, broken: &[toml::de::Error]) -> ConfigErrors {
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let hidden = mask::unparsed(line.trim_end());
        let hidden = hidden.map(|range| range.start + start..range.end + start);
        if broken
            .iter()
            .filter_map(|e| e.span())
            .any(|s| s.start >= start && s.start <= start + line.len())
        {
            source.hidden.extend(hidden);
        }
        start += line.len();
    }
    let finding = |error: &toml::de::Error| {
        let span = error.span().map(|span| match span.is_empty() && span.end == 0 {
            true => 0..1,
            false => span,
        });
        let (message, hint) = match error.message() {
            "duplicate key" => ("this key is there twice".to_owned(), "remove one of the two"),
            other => (
                format!("not valid TOML: {other}"),
                "texts stand in quotes, `key = \"value\"`; lists in `[ ]`; tables begin with `[name]`",
            ),
        };
        source.finding(span, message, Some(hint.to_owned()))
    };
    // One slip makes the parser stumble several times on the same line; the first is the one to mend.
    let mut findings: Vec<Finding> = Vec::new();
    for error in broken {
        let next = finding(error);
        let line = |place: &str| place.rsplit_once(':').map(|(line, _)| line.to_owned());
        if findings
            .last()
            .is_none_or(|last| line(&last.place) != line(&next.place))
        {
            findings.push(next);
        }
    }
    ConfigErrors::new(findings)
}
