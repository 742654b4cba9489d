//! Settings from environment variables: `TOLLGATE_LISTEN__ADDRESS` is `address` of `[listen]`.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    ops::Range,
};

use toml::{Spanned, de::DeValue};

use super::{
    source::Source,
    tree::{self, KeyPath, Node},
    words,
};

/// What the names of our variables begin with.
const PREFIX: &str = "TOLLGATE_";

/// The keys that do not stand in a table.
pub(super) const TOP_LEVEL: [&str; 2] = ["environment", "consult_budget"];

/// A variable that sets something.
pub(super) struct Setting {
    pub(super) variable: String,
    pub(super) path: KeyPath,
    /// The bytes that stand for it.
    pub(super) span: Range<usize>,
    /// The value, or why it cannot be taken.
    pub(super) value: Result<String, String>,
}

impl Setting {
    /// Whether the other one sets something inside of what this one sets.
    pub(super) fn is_around(&self, other: &Self) -> bool {
        other.path.len() > self.path.len() && other.path.starts_with(&self.path)
    }
}

/// The variables that are meant for the configuration, sorted by name.
///
/// A name without a double underscore is ours only if it is, or nearly is, a key outside of tables: Kubernetes sets
/// `TOLLGATE_PORT` and the like where a service is called `tollgate`. Names in `taken`, where secrets are, are left out.
pub(super) fn settings(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    taken: &BTreeSet<String>,
    source: &Source,
) -> Vec<Setting> {
    let mut found: Vec<_> = environment
        .into_iter()
        .filter_map(|(name, value)| setting(&name, value, taken))
        .collect();
    found.sort_by(|a, b| a.variable.cmp(&b.variable));
    for (index, setting) in found.iter_mut().enumerate() {
        setting.span = source.variable_span(index);
    }
    found
}

/// The variables that `{ env = "…" }` names anywhere in the file.
pub(super) fn named_in(node: &Node<'_>, names: &mut BTreeSet<String>) {
    match node.get_ref() {
        DeValue::Table(table) => {
            for (key, child) in table {
                match child.get_ref() {
                    DeValue::String(name) if key.get_ref() == "env" => drop(names.insert(name.to_string())),
                    _ => named_in(child, names),
                }
            }
        }
        DeValue::Array(array) => array.iter().for_each(|item| named_in(item, names)),
        _ => {}
    }
}

/// Reads a text as the number, the `true` or `false`, the list or the table that was expected in its place.
pub(super) fn reread<'t>(text: &'t str, wants_list: bool, span: &Range<usize>) -> Option<Node<'t>> {
    let value = match DeValue::parse(text) {
        Ok(value) if !value.get_ref().is_str() => value.into_inner(),
        _ if wants_list => {
            let items = text.split(',').map(|item| DeValue::String(item.trim().into()));
            DeValue::Array(items.map(|item| Spanned::new(span.clone(), item)).collect())
        }
        _ => return None,
    };
    Some(tree::place(value, span))
}

fn setting(name: &OsStr, value: OsString, taken: &BTreeSet<String>) -> Option<Setting> {
    let name = name.to_str()?;
    let rest = name.strip_prefix(PREFIX)?;
    let key = rest.to_ascii_lowercase();
    let is_ours = rest.contains("__") || words::nearest(&key, &TOP_LEVEL).is_some();
    if !is_ours || taken.contains(name) {
        return None;
    }
    Some(Setting {
        variable: name.to_owned(),
        path: key.split("__").map(str::to_owned).collect(),
        span: 0..0,
        value: value.into_string().map_err(|_| "the value is not UTF-8".to_owned()),
    })
}
