//! The layers of the configuration: the file, and over it every variable. figment merges them and keeps from which one
//! each setting comes.
//!
//! What the layers hold are places, not values: bytes of the file, and those behind its end that stand for a variable.
//! So nothing of figment's can show a secret, and `toml`, which knows lines and columns, still reads the values.

use std::{fmt, ops::Range, path::Path};

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{environment::Setting, tree::Node};

/// Where a value that is in effect was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the file.
    File {
        /// The file, as it was given.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// In the environment variable of this name.
    Variable(String),
}

/// The file and the variables, merged.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    figment: Figment,
    merged: Dict,
}

/// A variable that cannot be laid over what is there, by its place, and why.
pub(super) type Refused = (Range<usize>, String);

impl Layers {
    /// Lays the variables over the file called `name` and writes their texts into its tree; tables and list items on
    /// the way are made.
    pub(super) fn over<'t>(name: &str, root: &mut Node<'t>, settings: &'t [Setting]) -> (Self, Vec<Refused>) {
        let mut refused = Vec::new();
        let mut figment = Figment::from(File { name, root });
        for setting in settings {
            let outer = settings
                .iter()
                .find(|outer| outer.value.is_ok() && outer.is_around(setting));
            let step = outer.and_then(|outer| setting.path.get(outer.path.len()));
            match (&setting.value, step) {
                (Err(why), _) => refused.push((setting.span.clone(), why.clone())),
                (Ok(_), Some(step)) => refused.push((setting.span.clone(), inside(step))),
                (Ok(_), None) => figment = figment.merge(setting),
            }
        }
        // Both providers are always `Ok`.
        let merged = figment.data().unwrap_or_default().remove(&Profile::Default);
        let merged = merged.unwrap_or_default();
        write(root, &merged, settings, &mut refused);
        (Self { figment, merged }, refused)
    }

    /// The layer that the setting at a path comes from, and its place there. What stands inside a variable's text
    /// comes from where the text does; tables and lists come from nowhere, only what is in them.
    pub(super) fn find<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<(&Metadata, usize)> {
        let mut steps = path.into_iter();
        let mut found = self.merged.get(steps.next()?)?;
        while let Value::Dict(_, below) = found {
            found = below.get(steps.next()?)?;
        }
        Some((self.figment.get_metadata(found.tag())?, place(found)?))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

struct File<'f, 't> {
    name: &'f str,
    root: &'f Node<'t>,
}

impl Provider for File<'_, '_> {
    fn metadata(&self) -> Metadata {
        Metadata::from("file", Path::new(self.name))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(places(self.root).into_dict().unwrap_or_default()))
    }
}

impl Provider for Setting {
    fn metadata(&self) -> Metadata {
        Metadata::from("environment variable", self.variable.as_str())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let nested = |below, step: &String| Value::from(Map::from([(step.clone(), below)]));
        let places = self.path.iter().rev().fold(Value::from(self.span.start), nested);
        Ok(Profile::Default.collect(places.into_dict().unwrap_or_default()))
    }
}

/// The places of everything in a node. figment replaces lists, so they are tables by index here, and a variable can
/// set one item.
fn places(node: &Node<'_>) -> Value {
    match node.get_ref() {
        DeValue::Table(table) => {
            let below = table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), places(value)));
            Value::from(below.collect::<Dict>())
        }
        DeValue::Array(array) => {
            let below = array
                .iter()
                .enumerate()
                .map(|(index, item)| (index.to_string(), places(item)));
            Value::from(below.collect::<Dict>())
        }
        _ => Value::from(node.span().start),
    }
}

fn place(value: &Value) -> Option<usize> {
    value.to_u128()?.try_into().ok()
}

fn holds(value: &Value, setting: &Setting) -> bool {
    match value {
        Value::Dict(_, below) => below.values().any(|value| holds(value, setting)),
        _ => place(value) == Some(setting.span.start),
    }
}

/// Writes the texts of the variables that won into the tree.
fn write<'t>(node: &mut Node<'t>, below: &Dict, settings: &'t [Setting], refused: &mut Vec<Refused>) {
    let mut below: Vec<_> = below.iter().collect();
    below.sort_by_key(|(step, _)| step.len());
    for (step, value) in below {
        let held: Vec<_> = settings.iter().filter(|setting| holds(value, setting)).collect();
        let Some(first) = held.first() else { continue };
        let fresh = match (value, &first.value) {
            (Value::Dict(_, below), _) if below.keys().next().is_some_and(|step| is_index(step)) => {
                DeValue::Array(DeArray::default())
            }
            (Value::Dict(..), _) | (_, Err(_)) => DeValue::Table(DeTable::new()),
            (_, Ok(text)) => DeValue::String(text.as_str().into()),
        };
        let fresh = Spanned::new(first.span.clone(), fresh);
        match (child(node, step, &fresh), value) {
            (Ok(child), Value::Dict(_, below)) => write(child, below, settings, refused),
            (Ok(child), _) => *child = fresh,
            (Err(why), _) => refused.extend(held.iter().map(|setting| (setting.span.clone(), why.clone()))),
        }
    }
}

fn child<'n, 't>(node: &'n mut Node<'t>, step: &str, fresh: &Node<'t>) -> Result<&'n mut Node<'t>, String> {
    match node.get_mut() {
        DeValue::Table(table) => Ok(table
            .entry(Spanned::new(fresh.span(), step.to_owned().into()))
            .or_insert_with(|| fresh.clone())),
        DeValue::Array(array) => {
            let count = array.len();
            let index: usize = step.parse().map_err(|_| {
                format!("a number is missing in front of `{step}`: the items of the list are counted from 0")
            })?;
            if index == count {
                array.push(fresh.clone());
            }
            array
                .get_mut(index)
                .ok_or_else(|| format!("there is no item {index}; the next one would be {count}"))
        }
        _ => Err(inside(step)),
    }
}

fn inside(step: &str) -> String {
    format!("`{step}` would be inside of something that is not a table")
}

fn is_index(step: &str) -> bool {
    step.bytes().all(|b| b.is_ascii_digit()) && !step.is_empty()
}
