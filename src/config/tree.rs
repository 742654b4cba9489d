//! A TOML document as a tree whose every node knows where it was written.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value and the bytes that it was written in.
pub(super) type Node<'t> = Spanned<DeValue<'t>>;

/// The steps from the root to a node: keys, and indices of list items.
pub(super) type KeyPath = Vec<String>;

/// Where a node of the tree is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// How to get there; empty for the root.
    pub(super) path: KeyPath,
    /// The bytes of its key; of a list item, those of the item.
    pub(super) key: Range<usize>,
    /// The bytes of its value; of a `[table]`, those of the header.
    pub(super) value: Range<usize>,
    /// Whether the value is a text or a list: what a secret written inline looks like.
    pub(super) is_plain: bool,
}

/// Every node, parents before children.
pub(super) fn entries(root: &Node<'_>) -> Vec<Entry> {
    let mut found = Vec::new();
    collect(root, &mut Vec::new(), root.span(), &mut found);
    found
}

/// Every value in effect as TOML has it, by its key; a list of plain values is one value.
pub(super) fn leaves(root: &Node<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    spread(root, &mut Vec::new(), &mut found);
    found
}

fn spread(node: &Node<'_>, path: &mut KeyPath, found: &mut BTreeMap<String, String>) {
    let children: Vec<(String, &Node<'_>)> = match node.get_ref() {
        DeValue::Table(table) => table
            .iter()
            .map(|(name, child)| (name.get_ref().to_string(), child))
            .collect(),
        DeValue::Array(array) if array.iter().any(|item| item.get_ref().is_table()) => {
            let numbered = array.iter().enumerate();
            numbered.map(|(index, child)| (index.to_string(), child)).collect()
        }
        plain => {
            found.insert(path.join("."), written(plain));
            return;
        }
    };
    for (name, child) in children {
        path.push(name);
        spread(child, path, found);
        path.pop();
    }
}

/// A value as it would be written.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => toml::Value::String(text.to_string()).to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(array) => {
            let items: Vec<_> = array.iter().map(|item| written(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(_) => "{ … }".to_owned(),
    }
}

/// The innermost node whose key or value is exactly these bytes, and which is called `name` if that is given.
pub(super) fn innermost<'e>(entries: &'e [Entry], span: &Range<usize>, name: Option<&str>) -> Option<&'e Entry> {
    entries
        .iter()
        .filter(|entry| entry.key == *span || entry.value == *span)
        .filter(|entry| name.is_none() || entry.path.last().map(String::as_str) == name)
        .max_by_key(|entry| entry.path.len())
}

/// The node at a path.
pub(super) fn at<'n, 't>(root: &'n mut Node<'t>, path: &[String]) -> Option<&'n mut Node<'t>> {
    let mut node = root;
    for step in path {
        node = match node.get_mut() {
            DeValue::Table(table) => table.get_mut(step.as_str())?,
            DeValue::Array(array) => array.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(node)
}

/// Takes a node out. False when there is none, or for the root.
pub(super) fn remove(root: &mut Node<'_>, path: &[String]) -> bool {
    let Some((last, parent)) = path.split_last() else {
        return false;
    };
    match at(root, parent).map(Spanned::get_mut) {
        Some(DeValue::Table(table)) => table.remove(last.as_str()).is_some(),
        Some(DeValue::Array(array)) => {
            let before = array.len();
            let index = last.parse::<usize>().ok();
            let items = std::mem::replace(array, std::iter::empty().collect());
            let kept = items.into_iter().enumerate();
            *array = kept.filter(|(i, _)| Some(*i) != index).map(|(_, item)| item).collect();
            array.len() < before
        }
        _ => false,
    }
}

/// Puts a value into the table at `parent`; false when there is no table.
pub(super) fn insert<'t>(root: &mut Node<'t>, parent: &[String], key: &str, value: Node<'t>) -> bool {
    let Some(DeValue::Table(table)) = at(root, parent).map(Spanned::get_mut) else {
        return false;
    };
    table.insert(Spanned::new(value.span(), key.to_owned().into()), value);
    true
}

/// Gives a value and everything in it the same place.
pub(super) fn place<'t>(value: DeValue<'t>, span: &Range<usize>) -> Node<'t> {
    let value = match value {
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|i| place(i.into_inner(), span)).collect()),
        DeValue::Table(table) => {
            let mut placed = DeTable::new();
            for (key, item) in table {
                placed.insert(
                    Spanned::new(span.clone(), key.into_inner()),
                    place(item.into_inner(), span),
                );
            }
            DeValue::Table(placed)
        }
        other => other,
    };
    Spanned::new(span.clone(), value)
}

fn collect(node: &Node<'_>, path: &mut KeyPath, key: Range<usize>, found: &mut Vec<Entry>) {
    found.push(Entry {
        path: path.clone(),
        key,
        value: node.span(),
        is_plain: node.get_ref().is_str() || node.get_ref().is_array(),
    });
    match node.get_ref() {
        DeValue::Table(table) => {
            for (name, child) in table {
                path.push(name.get_ref().to_string());
                collect(child, path, name.span(), found);
                path.pop();
            }
        }
        DeValue::Array(array) => {
            for (index, child) in array.iter().enumerate() {
                path.push(index.to_string());
                collect(child, path, child.span(), found);
                path.pop();
            }
        }
        _ => {}
    }
}
