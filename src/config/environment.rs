//! Settings from environment variables: `TOLLGATE_LISTEN__ADDRESS` is `address` of `[listen]`.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    ops::Range,
};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
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
    /// The value, or why it cannot be taken.
    pub(super) value: Result<String, String>,
}

/// The variables that are meant for the configuration, sorted by name.
///
/// A name without a double underscore is ours only if it is, or nearly is, a key outside of tables: Kubernetes sets
/// `TOLLGATE_PORT` and the like where a service is called `tollgate`. Names in `taken`, where secrets are, are left out.
pub(super) fn settings(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    taken: &BTreeSet<String>,
) -> Vec<Setting> {
    let mut found: Vec<_> = environment
        .into_iter()
        .filter_map(|(name, value)| setting(&name, value, taken))
        .collect();
    found.sort_by(|a, b| a.variable.cmp(&b.variable));
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

/// Puts a setting into the tree as a text; tables and list items on the way are made.
///
/// # Errors
/// Where something that is not a table stands in the way, in a sentence.
pub(super) fn apply<'t>(
    root: &mut Node<'t>,
    path: &[String],
    value: &'t str,
    span: &Range<usize>,
) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else {
        return Err("the name has no key".to_owned());
    };
    let mut node = root;
    for (depth, step) in parents.iter().enumerate() {
        let is_list = path.get(depth + 1).is_some_and(|next| is_index(next));
        let fresh = || {
            let empty = if is_list {
                DeValue::Array(DeArray::default())
            } else {
                DeValue::Table(DeTable::new())
            };
            Spanned::new(span.clone(), empty)
        };
        node = child(node, step, fresh)?;
    }
    *child(node, last, || Spanned::new(span.clone(), DeValue::Boolean(false)))? =
        Spanned::new(span.clone(), DeValue::String(value.into()));
    Ok(())
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
        value: value.into_string().map_err(|_| "the value is not UTF-8".to_owned()),
    })
}

fn child<'n, 't>(
    node: &'n mut Node<'t>,
    step: &str,
    fresh: impl FnOnce() -> Node<'t>,
) -> Result<&'n mut Node<'t>, String> {
    match node.get_mut() {
        DeValue::Table(table) => {
            let fresh = fresh();
            Ok(table
                .entry(Spanned::new(fresh.span(), step.to_owned().into()))
                .or_insert(fresh))
        }
        DeValue::Array(array) => {
            let count = array.len();
            let index: usize = step.parse().map_err(|_| {
                format!("a number is missing in front of `{step}`: the items of the list are counted from 0")
            })?;
            if index > count {
                return Err(format!("there is no item {index}; the next one would be {count}"));
            }
            if index == count {
                array.push(fresh());
            }
            array.get_mut(index).ok_or_else(|| format!("there is no item {index}"))
        }
        _ => Err(format!("`{step}` would be inside of something that is not a table")),
    }
}

fn is_index(step: &str) -> bool {
    step.bytes().all(|b| b.is_ascii_digit()) && !step.is_empty()
}
