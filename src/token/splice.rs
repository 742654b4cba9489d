//! Edits JSON text in place: every byte that is not edited stays, so numbers, order, spacing and escapes survive.

use std::{fmt, ops::Range};

use serde::{
    Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// A JSON object's text after an edit, and how to take the edit back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spliced {
    /// The new text.
    pub text: String,
    /// What was there before, by ascending offset; no two overlap.
    pub inverse: Vec<Splice>,
    /// Where one more member would go, and whether it would be the first.
    end: (usize, bool),
}

/// One edit to be taken back: the bytes at this place of the new text stood as `original` in the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Where it starts in the new text, in bytes.
    pub offset: usize,
    /// How many bytes of the new text it covers.
    pub len: usize,
    /// The bytes of the old text.
    pub original: String,
}

/// Why a text cannot be edited. Never shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unspliceable {
    /// It is not exactly one JSON object, or a member occurs twice at its top level.
    #[error("not one JSON object with distinct members")]
    NotAnObject,
    /// A splice points outside the text, into the middle of a character, or overlaps another.
    #[error("a splice that does not fit the text")]
    OutOfRange,
}

/// Gives top-level members new values: one that is there is replaced where it stands, one that is not comes after the
/// last. Names are compared after unescaping. Of two edits of one name the later counts.
pub fn splice<'n>(text: &str, edits: impl IntoIterator<Item = (&'n str, Value)>) -> Result<Spliced, Unspliceable> {
    let members = members(text)?;
    let mut replaced: Vec<(Range<usize>, String)> = Vec::new();
    let mut added: Vec<(&str, String)> = Vec::new();
    for (name, value) in edits {
        let value = value.to_string();
        if let Some(member) = members.iter().find(|member| member.name == name) {
            replaced.retain(|(place, _)| *place != member.value);
            replaced.push((member.value.clone(), value));
        } else {
            added.retain(|(other, _)| *other != name);
            added.push((name, value));
        }
    }
    let end = end_of_members(text, &members)?;
    let is_empty = members.is_empty() && added.is_empty();
    if !added.is_empty() {
        let mut tail = String::new();
        for (name, value) in added {
            if !(members.is_empty() && tail.is_empty()) {
                tail.push(',');
            }
            tail.push_str(&Value::from(name).to_string());
            tail.push(':');
            tail.push_str(&value);
        }
        replaced.push((end..end, tail));
    }
    // An addition starts where the last value ends, so ordering by start is ordering without overlap.
    replaced.sort_by_key(|(place, _)| (place.start, place.end));
    let (new, inverse) = exchange(text, replaced)?;
    // Nothing behind the members was edited.
    let behind = text.len().checked_sub(end).ok_or(Unspliceable::OutOfRange)?;
    let end = new.len().checked_sub(behind).ok_or(Unspliceable::OutOfRange)?;
    Ok(Spliced {
        text: new,
        inverse,
        end: (end, is_empty),
    })
}

impl Spliced {
    /// The text with one more member, of a name that none of its members has.
    pub(super) fn with(&self, name: &str, value: &Value) -> Result<String, Unspliceable> {
        let (end, is_first) = self.end;
        let (before, behind) = self.text.split_at_checked(end).ok_or(Unspliceable::OutOfRange)?;
        let comma = if is_first { "" } else { "," };
        Ok(format!("{before}{comma}{}:{value}{behind}", Value::from(name)))
    }
}

/// Takes edits back: `undo(&spliced.text, &spliced.inverse)` is the text from before. Refuses splices out of range.
pub fn undo(text: &str, inverse: &[Splice]) -> Result<String, Unspliceable> {
    let edits = inverse.iter().map(|splice| {
        let end = splice.offset.checked_add(splice.len).ok_or(Unspliceable::OutOfRange)?;
        Ok((splice.offset..end, splice.original.clone()))
    });
    Ok(exchange(text, edits.collect::<Result<_, _>>()?)?.0)
}

/// A top-level member: its unescaped name and where its value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) value: Range<usize>,
}

/// The top-level members of an object's text, in order.
pub(super) fn members(text: &str) -> Result<Vec<Member>, Unspliceable> {
    let members = all_members(text)?;
    let mut names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(Unspliceable::NotAnObject);
    }
    Ok(members)
}

/// The text with each member once, where all its occurrences have the same text; the first one stays where it stands.
pub(super) fn without_repetitions(text: String) -> Result<String, Unspliceable> {
    let members = all_members(&text)?;
    let (mut kept, mut repeats): (Vec<&Member>, bool) = (Vec::new(), false);
    for member in &members {
        match kept.iter().find(|known| known.name == member.name) {
            None => kept.push(member),
            Some(known) if text.get(known.value.clone()) == text.get(member.value.clone()) => repeats = true,
            Some(_) => return Err(Unspliceable::NotAnObject),
        }
    }
    if !repeats {
        return Ok(text);
    }
    let written = kept.iter().map(|member| {
        let value = text.get(member.value.clone()).ok_or(Unspliceable::OutOfRange)?;
        Ok(format!("{}:{value}", Value::from(member.name.as_str())))
    });
    Ok(format!("{{{}}}", written.collect::<Result<Vec<_>, _>>()?.join(",")))
}

fn all_members(text: &str) -> Result<Vec<Member>, Unspliceable> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader
        .deserialize_map(Members { text })
        .map_err(|_| Unspliceable::NotAnObject)?;
    reader.end().map_err(|_| Unspliceable::NotAnObject)?;
    Ok(members)
}

/// Where an added member goes: behind the last value, or behind the brace of an empty object.
fn end_of_members(text: &str, members: &[Member]) -> Result<usize, Unspliceable> {
    match members.last() {
        Some(last) => Ok(last.value.end),
        None => text.find('{').map(|brace| brace + 1).ok_or(Unspliceable::NotAnObject),
    }
}

/// Puts each new text in the place of the old one, and says how to take that back; the places ascend and do not overlap.
fn exchange(text: &str, edits: Vec<(Range<usize>, String)>) -> Result<(String, Vec<Splice>), Unspliceable> {
    let mut new = String::with_capacity(text.len() + edits.iter().map(|(_, with)| with.len()).sum::<usize>());
    let mut inverse = Vec::with_capacity(edits.len());
    let mut done = 0;
    for (place, with) in edits {
        new.push_str(text.get(done..place.start).ok_or(Unspliceable::OutOfRange)?);
        done = place.end;
        inverse.push(Splice {
            offset: new.len(),
            len: with.len(),
            original: text.get(place).ok_or(Unspliceable::OutOfRange)?.to_owned(),
        });
        new.push_str(&with);
    }
    new.push_str(text.get(done..).ok_or(Unspliceable::OutOfRange)?);
    Ok((new, inverse))
}

struct Members<'t> {
    text: &'t str,
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<Member> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            // A raw value is borrowed from the text itself, so its address tells where it stands.
            let start = value.get().as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
            let place = start..start.wrapping_add(value.get().len());
            if self.text.get(place.clone()) != Some(value.get()) {
                return Err(de::Error::custom("a value outside the text"));
            }
            members.push(Member { name, value: place });
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_byte_that_is_not_edited_stays() {
        for (text, edits, expected) in [
            ("{}", json!({"a": 1}), r#"{"a":1}"#),
            (" { \n } ", json!({"a": 1, "b": [2]}), " {\"a\":1,\"b\":[2] \n } "),
            (r#"{"a" : 1e400 }"#, json!({"b": "x"}), r#"{"a" : 1e400,"b":"x" }"#),
            (
                r#"{ "a":1 , "b" : {"a":2}}"#,
                json!({"a": null}),
                r#"{ "a":null , "b" : {"a":2}}"#,
            ),
            (
                r#"{"\u0065xp":1,"e":"\u0065xp"}"#,
                json!({"exp": 2}),
                r#"{"\u0065xp":2,"e":"\u0065xp"}"#,
            ),
            (
                r#"{"n":123456789012345678901234567890.10,"s":"}{\"a\":"}"#,
                json!({"a": true}),
                r#"{"n":123456789012345678901234567890.10,"s":"}{\"a\":","a":true}"#,
            ),
            (
                r#"{"ä":"ö","a":1}"#,
                json!({"a": "ü", "ä": "\n"}),
                r#"{"ä":"\n","a":"ü"}"#,
            ),
            (
                r#"{"b":1,"a":2}"#,
                json!({"a": 3, "c": 5, "b": 4}),
                r#"{"b":4,"a":3,"c":5}"#,
            ),
        ] {
            let edits = edits.as_object().unwrap();
            let spliced = splice(text, edits.iter().map(|(n, v)| (n.as_str(), v.clone()))).unwrap();
            assert_eq!(spliced.text, expected);
            assert_eq!(undo(&spliced.text, &spliced.inverse).unwrap(), text);
            let more = splice(expected, [("more", json!([1]))]).unwrap().text;
            assert_eq!(spliced.with("more", &json!([1])).unwrap(), more);
            let untouched = splice(text, []).unwrap();
            let more = splice(text, [("more", json!("x"))]).unwrap().text;
            assert_eq!(untouched.with("more", &json!("x")).unwrap(), more);
        }
    }

    #[test]
    fn of_two_edits_of_one_name_the_later_counts() {
        let edits = [("a", json!(1)), ("b", json!(1)), ("a", json!(2)), ("b", json!(2))];
        assert_eq!(splice(r#"{"a":0}"#, edits).unwrap().text, r#"{"a":2,"b":2}"#);
    }

    #[test]
    fn what_is_not_one_object_is_left_alone() {
        for text in [
            "",
            "[]",
            "1",
            "{} {}",
            "{",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            "{'a':1}",
        ] {
            assert_eq!(
                splice(text, [("a", json!(1))]),
                Err(Unspliceable::NotAnObject),
                "{text}"
            );
        }
    }

    #[test]
    fn a_member_that_is_repeated_to_the_letter_is_one() {
        for (text, expected) in [
            (r#"{ "a": 1 }"#, Some(r#"{ "a": 1 }"#)),
            (r#"{"a":"x","b":1e400,"\u0061":"x"}"#, Some(r#"{"a":"x","b":1e400}"#)),
            (r#"{"a":1,"a":2}"#, None),
            (r#"{"a":"x","a":"\u0078"}"#, None),
            ("[]", None),
        ] {
            assert_eq!(without_repetitions(text.to_owned()).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_splice_out_of_range_is_refused() {
        let at = |offset, len| Splice {
            offset,
            len,
            original: String::new(),
        };
        for inverse in [
            vec![at(4, 1)],
            vec![at(usize::MAX, 2)],
            vec![at(0, 3), at(2, 1)],
            vec![at(3, 0), at(1, 0)],
            vec![at(1, 1)],
        ] {
            assert_eq!(undo("{ä", &inverse), Err(Unspliceable::OutOfRange), "{inverse:?}");
        }
    }
}
