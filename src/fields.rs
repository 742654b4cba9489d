//! What is done with single fields of JSON on an operator's wish: dropped, masked or hashed, by their paths.

use std::{collections::BTreeMap, path::Path};

use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{misconfigured::Misconfigured, secret::SecretSource};

/// Paths and what is done with what stands there. `.` parts the names of a path; `*` stands for any one name, `**` for any number of them;
/// lists are looked through.
pub type Table = BTreeMap<String, Action>;

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is left out.
    Drop,
    /// `[redacted]` stands in its place.
    Mask,
    /// A keyed hash stands in its place: the same for the same value whatever its case, and not to be guessed without the key.
    Hash,
}

/// A table that is ready for use.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    key: Option<hmac::Key>,
}

#[derive(Clone, Debug)]
struct Rule {
    path: Vec<Step>,
    action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Any,
    Deep,
}

/// What a table may do with a field that others rely on.
#[derive(Clone, Copy, Debug)]
pub struct Needed<'a> {
    /// Its path, without `*`.
    pub path: &'a str,
    /// Whether it may at least be dropped.
    pub droppable: bool,
}

impl Rules {
    /// Reads the key, which must be there when anything is hashed, and refuses what would touch a needed field, or one above it. `setting`
    /// names the table in errors; the key's setting is called `redact_key` and stands beside it.
    pub fn build(
        setting: &str,
        table: &Table,
        key: Option<&SecretSource>,
        needed: &[Needed<'_>],
        base: &Path,
    ) -> Result<Self, Misconfigured> {
        let mut rules = Vec::new();
        for (path, action) in table {
            let wrong = |what: String| Misconfigured::new(setting, format!("`{path}` {what}"));
            let steps: Vec<_> = path.split('.').map(Step::of).collect();
            if steps
                .iter()
                .any(|step| matches!(step, Step::Name(name) if name.is_empty()))
            {
                return Err(wrong("is no path".into())
                    .hint("write names with single dots between them, such as `event.data.user.email`"));
            }
            if steps.last() == Some(&Step::Deep) {
                return Err(
                    wrong("ends with `**`, which names no field".into()).hint("name the field, as in `**.email`")
                );
            }
            let hit = needed.iter().find(|needed| {
                let names: Vec<_> = needed.path.split('.').collect();
                (1..=names.len()).any(|end| names.get(..end).is_some_and(|names| matches(&steps, names)))
                    && !(needed.droppable && *action == Action::Drop)
            });
            if let Some(needed) = hit {
                let (touched, why) = match needed.droppable {
                    true => ("would give another shape to", "it can only be dropped"),
                    false => ("would change", "Tollgate cannot do without it"),
                };
                return Err(wrong(format!("{touched} `{}`, and {why}", needed.path))
                    .hint("name a field below it, or begin `**` further down, as in `event.**.email`"));
            }
            rules.push(Rule {
                path: steps,
                action: *action,
            });
        }
        let hashes = rules.iter().any(|rule| rule.action == Action::Hash);
        let sibling = setting.strip_suffix("redact").unwrap_or_default();
        let name = format!("{sibling}redact_key");
        let key = match key {
            None if hashes => {
                return Err(
                    Misconfigured::new(setting, "a hash needs a key, or values could be guessed").hint(format!(
                        "set `{name}` to a file or a variable with 32 random bytes or more"
                    )),
                );
            }
            None => None,
            Some(source) => {
                let secret = source
                    .read(base)
                    .map_err(|error| Misconfigured::new(&name, error.to_string()))?;
                if secret.expose().len() < LEAST_KEY {
                    return Err(Misconfigured::new(
                        &name,
                        format!("the key must have {LEAST_KEY} bytes or more"),
                    ));
                }
                Some(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
            }
        };
        Ok(Self { rules, key })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Does what the table says.
    pub fn apply(&self, members: &mut Map<String, Value>) {
        for rule in &self.rules {
            self.walk(members, &rule.path, rule.action);
        }
    }

    /// What stands in the place of a value that is hashed; `None` without a key.
    pub fn hash(&self, text: &str) -> Option<String> {
        let tag = hmac::sign(self.key.as_ref()?, text.trim().to_lowercase().as_bytes());
        let digits = tag.as_ref().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}"));
        Some(format!("hmac:{}", digits.collect::<String>()))
    }

    fn walk(&self, members: &mut Map<String, Value>, path: &[Step], action: Action) {
        let Some((step, rest)) = path.split_first() else {
            return;
        };
        if *step == Step::Deep {
            self.walk(members, rest, action);
            members.values_mut().for_each(|value| self.enter(value, path, action));
            return;
        }
        let names: Vec<_> = match step {
            Step::Name(name) => members.keys().filter(|key| *key == name).cloned().collect(),
            Step::Any | Step::Deep => members.keys().cloned().collect(),
        };
        for name in names {
            if !rest.is_empty() {
                if let Some(value) = members.get_mut(&name) {
                    self.enter(value, rest, action);
                }
            } else if action == Action::Drop {
                members.remove(&name);
            } else if let Some(value) = members.get_mut(&name) {
                self.replace(value, action);
            }
        }
    }

    fn enter(&self, value: &mut Value, path: &[Step], action: Action) {
        match value {
            Value::Object(members) => self.walk(members, path, action),
            Value::Array(items) => items.iter_mut().for_each(|item| self.enter(item, path, action)),
            _ => {}
        }
    }

    fn replace(&self, value: &mut Value, action: Action) {
        if let Value::Array(items) = value {
            items.iter_mut().for_each(|item| self.replace(item, action));
            return;
        }
        let hashed = match value {
            Value::Null => return,
            Value::String(text) if action == Action::Hash => self.hash(text),
            Value::Number(_) | Value::Bool(_) if action == Action::Hash => self.hash(&value.to_string()),
            _ => None,
        };
        // A whole object has no hash that could be searched for.
        *value = Value::String(hashed.unwrap_or_else(|| MASK.to_owned()));
    }
}

impl Step {
    fn of(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            "**" => Self::Deep,
            name => Self::Name(name.to_owned()),
        }
    }
}

fn matches(path: &[Step], names: &[&str]) -> bool {
    match (path.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((Step::Deep, rest)), name) => matches(rest, names) || name.is_some_and(|(_, names)| matches(path, names)),
        (Some((Step::Any, rest)), Some((_, names))) => matches(rest, names),
        (Some((Step::Name(due), rest)), Some((name, names))) => due == name && matches(rest, names),
        _ => false,
    }
}

const MASK: &str = "[redacted]";

/// Half a SHA-256: too long to be met by chance, short enough to be read.
const HASH_BYTES: usize = 16;
const LEAST_KEY: usize = 32;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(table: Value) -> Result<Rules, Misconfigured> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "k".repeat(32)).unwrap();
        let key = SecretSource::File { file: "key".into() };
        let needed = [
            Needed {
                path: "trigger",
                droppable: false,
            },
            Needed {
                path: "event.context.id",
                droppable: false,
            },
            Needed {
                path: "ip",
                droppable: true,
            },
        ];
        let table = serde_json::from_value(table).unwrap();
        Rules::build("x.redact", &table, Some(&key), &needed, dir.path())
    }

    #[test]
    fn fields_are_dropped_masked_and_hashed_where_their_paths_lead() {
        let rules = rules(json!({
            "ip": "drop", "event.user.name": "mask", "**.email": "hash", "event.list.n": "hash", "event.*.city": "drop", "event.tags": "mask",
        }))
        .unwrap();
        let mut value = json!({
            "ip": "203.0.113.9", "email": "Ada@Example.com",
            "event": {
                "user": {"name": {"given": "Ada"}, "email": "ada@example.com", "city": "Ulm"}, "tags": ["a", "b"],
                "list": [{"n": 1, "email": null}, {"n": 1, "email": ["ada@example.com "]}], "city": "Ulm",
            },
        });
        rules.apply(value.as_object_mut().unwrap());
        let hash = rules.hash("ADA@EXAMPLE.COM").unwrap();
        let one = rules.hash("1").unwrap();
        assert_eq!(hash.len(), 5 + 32);
        assert_eq!(
            value,
            json!({
                "email": hash,
                "event": {
                    "user": {"name": MASK, "email": hash}, "tags": [MASK, MASK],
                    "list": [{"n": one, "email": null}, {"n": one, "email": [hash]}], "city": "Ulm",
                },
            })
        );
    }

    #[test]
    fn what_is_needed_cannot_be_taken_away_by_any_path() {
        for path in [
            "trigger",
            "event",
            "event.context",
            "event.context.id",
            "*",
            "**.trigger",
            "**.id",
            "event.*",
            "event.**.id",
            "*.context",
            "**.*",
        ] {
            let error = rules(json!({ path: "drop" })).unwrap_err();
            assert!(error.message.contains("cannot do without it"), "{path}: {error}");
        }
        for path in ["ip", "**.ip"] {
            assert!(rules(json!({ path: "mask" })).is_err(), "{path}");
            assert!(rules(json!({ path: "drop" })).is_ok(), "{path}");
        }
        for path in ["", "a..b", "event.**"] {
            assert!(rules(json!({ path: "drop" })).is_err(), "{path}");
        }
        assert!(rules(json!({"event.data.id": "drop"})).is_ok());
    }

    #[test]
    fn a_hash_without_a_key_is_refused() {
        let table = serde_json::from_value(json!({"a": "hash"})).unwrap();
        let error = Rules::build("audit.redact", &table, None, &[], Path::new("")).unwrap_err();
        assert!(error.hint.unwrap().contains("`audit.redact_key`"));
    }
}
