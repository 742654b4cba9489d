//! Judging a JSON document against a shape, field by field.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    mark::{Mark, Severity},
    places::escaped,
};

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A string.
    Text,
    /// One of these strings.
    Word(&'static [&'static str]),
    /// A time of RFC 3339.
    Time,
    /// An IP address.
    Address,
    /// `true` or `false`.
    Truth,
    /// An array whose items are all of one shape.
    List(&'static Shape),
    /// An object with any members.
    Free,
    /// An object with these members.
    Object(&'static [Member], Others),
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    name: &'static str,
    shape: Shape,
    need: Need,
    nullable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Must,
    Should,
    May,
}

/// What is said of members that the shape does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// Nothing.
    Free,
    /// That nobody reads them.
    Noted(&'static str),
}

impl Member {
    /// Without it the document cannot be taken.
    pub(super) const fn must(name: &'static str, shape: Shape) -> Self {
        Self::new(name, shape, Need::Must, false)
    }

    /// It is noted when it is missing.
    pub(super) const fn should(name: &'static str, shape: Shape) -> Self {
        Self::new(name, shape, Need::Should, false)
    }

    /// It may be absent, but not null.
    pub(super) const fn may(name: &'static str, shape: Shape) -> Self {
        Self::new(name, shape, Need::May, false)
    }

    /// It may be absent, and null means the same.
    pub(super) const fn or_null(name: &'static str, shape: Shape) -> Self {
        Self::new(name, shape, Need::May, true)
    }

    const fn new(name: &'static str, shape: Shape, need: Need, nullable: bool) -> Self {
        Self {
            name,
            shape,
            need,
            nullable,
        }
    }
}

impl Shape {
    /// Everything in which `value` differs from the shape; `pointer` is where it stands.
    pub(super) fn judge(&self, value: &Value, pointer: &str, marks: &mut Vec<Mark>) {
        let wanted = match (self, value) {
            (Self::Text, Value::String(_)) | (Self::Free, Value::Object(_)) | (Self::Truth, Value::Bool(_)) => return,
            (Self::Text, _) => "a string".to_owned(),
            (Self::Free, _) => "an object".to_owned(),
            (Self::Truth, _) => "`true` or `false`".to_owned(),
            (Self::Word(words), value) => {
                if value.as_str().is_some_and(|text| words.contains(&text)) {
                    return;
                }
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(" or ")
            }
            (Self::Time, value) => {
                if value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()) {
                    return;
                }
                "a time like `2026-11-23T10:15:00Z` (RFC 3339)".to_owned()
            }
            (Self::Address, value) => {
                if value
                    .as_str()
                    .is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok())
                {
                    return;
                }
                "an IP address".to_owned()
            }
            (Self::List(item), Value::Array(items)) => {
                for (index, value) in items.iter().enumerate() {
                    item.judge(value, &format!("{pointer}/{index}"), marks);
                }
                return;
            }
            (Self::List(_), _) => "an array".to_owned(),
            (Self::Object(members, others), Value::Object(found)) => {
                judge_members(members, *others, found, pointer, marks);
                return;
            }
            (Self::Object(..), _) => "an object".to_owned(),
        };
        let message = format!("must be {wanted}, is {}", kind(value));
        marks.push(Mark::new(Severity::Error, pointer, message));
    }
}

fn judge_members(members: &[Member], others: Others, found: &Map<String, Value>, pointer: &str, marks: &mut Vec<Mark>) {
    for member in members {
        let place = format!("{pointer}/{}", member.name);
        match (found.get(member.name), member.need) {
            (None, Need::Must) => marks.push(Mark::new(Severity::Error, place, "is missing")),
            (None, Need::Should) => {
                marks.push(Mark::new(Severity::Note, place, "is missing, though it is always sent"))
            }
            (None, Need::May) => {}
            (Some(Value::Null), _) if member.nullable => {}
            (Some(value), _) => member.shape.judge(value, &place, marks),
        }
    }
    let Others::Noted(what) = others else { return };
    for name in found
        .keys()
        .filter(|name| members.iter().all(|m| m.name != name.as_str()))
    {
        let near = members
            .iter()
            .map(|member| member.name)
            .find(|known| strsim::jaro_winkler(known, name) > 0.85);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let place = format!("{pointer}/{}", escaped(name));
        marks.push(Mark::new(Severity::Note, place, format!("{what}{hint}")));
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "`true` or `false`",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "another string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHAPE: Shape = Shape::Object(
        &[
            Member::must("decision", Shape::Word(&["ALLOW", "DENY"])),
            Member::or_null("claims", Shape::Free),
            Member::may("roles", Shape::List(&Shape::Text)),
        ],
        Others::Noted("nobody reads it"),
    );

    fn judged(value: Value) -> Vec<(Severity, String, String)> {
        let mut marks = Vec::new();
        SHAPE.judge(&value, "", &mut marks);
        let parts = marks.into_iter().map(|m| (m.severity, m.pointer.unwrap(), m.message));
        parts.collect()
    }

    #[test]
    fn every_field_that_differs_is_named() {
        assert!(judged(json!({"decision": "ALLOW", "claims": null})).is_empty());
        let found = judged(json!({"claims": [], "roles": ["a", 1], "claim": {}}));
        let (error, note) = (Severity::Error, Severity::Note);
        let expected = [
            (error, "/decision", "is missing"),
            (error, "/claims", "must be an object, is an array"),
            (error, "/roles/1", "must be a string, is a number"),
            (note, "/claim", "nobody reads it; did you mean `claims`?"),
        ];
        let expected = expected.map(|(severity, at, words)| (severity, at.to_owned(), words.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_value_is_never_shown() {
        let found = judged(json!({"decision": "s3cret", "roles": null}));
        let words: Vec<_> = found.into_iter().map(|(_, _, message)| message).collect();
        assert_eq!(
            words,
            [
                "must be `ALLOW` or `DENY`, is another string",
                "must be an array, is null"
            ]
        );
    }
}
