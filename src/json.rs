//! JSON read strictly: what two parsers could read in two ways is refused.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 32;

/// Why a document was refused, and where. Never shows a value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    message: String,
    line: usize,
    column: usize,
}

impl Malformed {
    /// The line, from 1, and the byte in it, from 1 (0 before the first).
    pub fn place(&self) -> (usize, usize) {
        (self.line, self.column)
    }
}

/// Reads exactly one JSON document: UTF-8, no byte-order mark, no duplicate member (compared after
/// unescaping), nothing behind it, at most [`MAX_DEPTH`] levels. Numbers keep their text.
pub fn parse(bytes: &[u8]) -> Result<Value, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        Malformed {
            message: "not UTF-8".into(),
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1,
        }
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }.deserialize(&mut reader).map_err(describe)?;
    reader.end().map_err(describe)?;
    Ok(value)
}

fn describe(error: serde_json::Error) -> Malformed {
    // Our own refusals are fixed sentences plus a member's name; serde_json's syntax errors name a place, not content.
    Malformed {
        line: error.line(),
        column: error.column(),
        message: error.to_string(),
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            // serde_json hands a number of arbitrary precision over as a one-member map under this private name.
            if name == "$serde_json::private::Number" {
                let text: String = map.next_value()?;
                return text
                    .parse::<serde_json::Number>()
                    .map(Value::Number)
                    .map_err(de::Error::custom);
            }
            let value = map.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member occurs twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text() {
        let text = r#"{"a":123456789012345678901234567890.10,"b":-0.0,"c":[1e5]}"#;
        let value = parse(text.as_bytes()).unwrap();
        assert_eq!(value["a"].to_string(), "123456789012345678901234567890.10");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":1}}"#,
            "{} {}",
            "\u{feff}{}",
            "{\"a\":1} x",
            "{'a':1}",
            "{\"a\":1,}",
            "// c\n{}",
            "",
            "NaN",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"\xff\xfe{\x00}\x00").is_err());
        assert!(parse(("[".repeat(33) + &"]".repeat(33)).as_bytes()).is_err());
        assert!(parse(("[".repeat(32) + &"]".repeat(32)).as_bytes()).is_ok());
    }

    #[test]
    fn a_mistake_has_a_place() {
        for (bad, place) in [
            (&b"{\n  \"a\": x}"[..], (2, 8)),
            (b"{\"a\":1,\n\"a\":2}", (2, 6)),
            (b"{}\n\xff", (2, 1)),
        ] {
            assert_eq!(parse(bad).unwrap_err().place(), place);
        }
    }

    #[test]
    fn a_member_with_the_private_name_is_not_taken_for_a_number() {
        // An attacker's object under serde_json's private name must not become something it is not.
        let read = parse(br#"{"$serde_json::private::Number":"1"}"#);
        assert!(read.is_err() || read.unwrap().is_number());
        assert!(parse(br#"{"$serde_json::private::Number":"1","email":"a"}"#).is_err());
    }
}
