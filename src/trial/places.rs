//! Where the values of a JSON text stand.

use std::collections::HashMap;

/// The places of a document's values, by JSON pointer (RFC 6901).
#[derive(Debug)]
pub(super) struct Places {
    places: HashMap<String, (usize, usize)>,
}

impl Places {
    /// Reads a text that is known to be JSON of bounded depth. A member's place is that of its name.
    pub(super) fn of(text: &str) -> Self {
        let mut scanner = Scanner {
            text,
            at: 0,
            line: 1,
            line_start: 0,
            places: HashMap::new(),
        };
        scanner.space();
        scanner.places.insert(String::new(), (scanner.line, scanner.column()));
        scanner.value("");
        Self { places: scanner.places }
    }

    /// Line and character, both from 1, of the value, or of the innermost one around it that is there.
    pub(super) fn nearest(&self, pointer: &str) -> Option<(usize, usize)> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return Some(*place);
            }
            (pointer, _) = pointer.rsplit_once('/')?;
        }
    }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
    places: HashMap<String, (usize, usize)>,
}

impl Scanner<'_> {
    fn value(&mut self, pointer: &str) {
        match self.peek() {
            Some(b'{') => self.members(pointer),
            Some(b'[') => self.items(pointer),
            Some(b'"') => _ = self.string(),
            _ => {
                while self
                    .peek()
                    .is_some_and(|b| !matches!(b, b',' | b']' | b'}') && !b.is_ascii_whitespace())
                {
                    self.at += 1;
                }
            }
        }
    }

    fn members(&mut self, pointer: &str) {
        self.step();
        while self.peek() == Some(b'"') {
            let place = (self.line, self.column());
            let name: String = serde_json::from_str(self.string()).unwrap_or_default();
            let member = format!("{pointer}/{}", escaped(&name));
            self.places.insert(member.clone(), place);
            self.space();
            self.step(); // the colon
            self.value(&member);
            self.space();
            if self.peek() == Some(b',') {
                self.step();
            }
        }
        self.at += 1;
    }

    fn items(&mut self, pointer: &str) {
        self.step();
        let mut index = 0;
        while self.peek().is_some_and(|byte| byte != b']') {
            let item = format!("{pointer}/{index}");
            self.places.insert(item.clone(), (self.line, self.column()));
            self.value(&item);
            self.space();
            if self.peek() == Some(b',') {
                self.step();
            }
            index += 1;
        }
        self.at += 1;
    }

    fn string(&mut self) -> &str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn column(&self) -> usize {
        let before = self.text.get(self.line_start..self.at).unwrap_or_default();
        before.chars().count() + 1
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at += 1;
        self.space();
    }

    fn space(&mut self) {
        while let Some(byte) = self.peek().filter(u8::is_ascii_whitespace) {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }
}

/// A name as a token of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_and_items_have_places() {
        let places = Places::of("{\"é\": {}, \"a/b\": [1,\n  {\"c\": \"}\\\"\"}, []],\n \"d\": -1.5e3 }");
        for (pointer, place) in [
            ("", (1, 1)),
            ("/é", (1, 2)),
            ("/a~1b", (1, 11)),
            ("/a~1b/0", (1, 19)),
            ("/a~1b/1/c", (2, 4)),
            ("/a~1b/2", (2, 17)),
            ("/d", (3, 2)),
            ("/d/missing/deep", (3, 2)),
        ] {
            assert_eq!(places.nearest(pointer), Some(place), "{pointer}");
        }
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(".{0,4}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    pointers(value, format!("{at}/{}", escaped(name)), found);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    pointers(value, format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
        found.push(at);
    }

    proptest! {
        #[test]
        fn every_value_of_any_document_has_a_place(document in document(), pretty: bool) {
            let text = if pretty { format!("{document:#}") } else { document.to_string() };
            let mut found = Vec::new();
            pointers(&document, String::new(), &mut found);
            let places = Places::of(&text);
            for pointer in &found {
                prop_assert!(places.places.contains_key(pointer), "{pointer} of {text}");
            }
            prop_assert_eq!(places.places.len(), found.len());
        }
    }
}
