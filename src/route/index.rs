//! Which routes may fit a path, found without looking at the others.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use super::{Pattern, pattern::Segment};

/// Patterns by their segments. It leaves out only what cannot fit; whether a pattern does fit is [`Pattern::captures`]'s to say.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// By the next segment, in lower case.
    literals: HashMap<String, Index>,
    /// Where the next segment can be any.
    any: Option<Box<Index>>,
    /// The patterns that end here.
    ends: Vec<usize>,
    /// The patterns that take all that follows, one segment at least.
    rests: Vec<usize>,
}

impl Index {
    /// An index of patterns by their place in the list.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p Pattern>) -> Self {
        let mut root = Self::default();
        for (place, pattern) in patterns.into_iter().enumerate() {
            root.add(pattern.segments(), place);
        }
        root
    }

    /// The places of all patterns that may fit this path, in order.
    pub fn places(&self, path: &str) -> Vec<usize> {
        let mut found = Vec::new();
        let path = path.strip_suffix('/').unwrap_or(path);
        let (_, below) = path.split_once('/').unwrap_or_default();
        self.collect(path.contains('/').then_some(below), &mut found);
        found.sort_unstable();
        found
    }

    fn add(&mut self, segments: &[Segment], place: usize) {
        match segments.split_first() {
            None => self.ends.push(place),
            Some((Segment::Rest(_), _)) => self.rests.push(place),
            Some((Segment::One(_), rest)) => self.any.get_or_insert_default().add(rest, place),
            Some((Segment::Literal(literal), rest)) => {
                let name = literal.to_ascii_lowercase();
                self.literals.entry(name).or_default().add(rest, place);
            }
        }
    }

    /// `path` is what is left of it, without the slash before; none at its end.
    fn collect(&self, path: Option<&str>, found: &mut Vec<usize>) {
        let Some(path) = path else {
            found.extend(&self.ends);
            return;
        };
        let (part, rest) = match path.split_once('/') {
            Some((part, rest)) => (part, Some(rest)),
            None => (path, None),
        };
        let Ok(text) = percent_decode_str(part).decode_utf8() else {
            return;
        };
        found.extend(&self.rests);
        if !self.literals.is_empty()
            && let Some(next) = self.literals.get(&text.to_ascii_lowercase())
        {
            next.collect(rest, found);
        }
        if let Some(next) = &self.any {
            next.collect(rest, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_that_fits_is_left_out(patterns in prop::collection::vec(pattern(), 1..30), path in path()) {
            let patterns: Vec<Pattern> = patterns.iter().map(|text| text.parse().unwrap()).collect();
            let places = Index::new(&patterns).places(&path);
            let fitting = |places: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
                places.filter(|place| patterns[*place].captures(&path).is_some()).collect()
            };
            prop_assert_eq!(fitting(&mut places.iter().copied()), fitting(&mut (0..patterns.len())));
        }
    }

    fn segment() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("a"),
            Just("B"),
            Just("a%62"),
            Just("%C3%A4"),
            Just("%ff"),
            Just("")
        ]
        .prop_map(str::to_owned)
    }

    fn path() -> impl Strategy<Value = String> {
        let parts = prop::collection::vec(segment(), 0..5);
        (parts, prop_oneof![Just(""), Just("/")]).prop_map(|(parts, end)| {
            format!(
                "{}{end}",
                parts.iter().map(|part| format!("/{part}")).collect::<String>()
            )
        })
    }

    fn pattern() -> impl Strategy<Value = String> {
        let part = prop_oneof![Just("a"), Just("b"), Just("{x}"), Just("ab"), Just("ä")];
        (
            prop::collection::vec(part, 0..4),
            prop_oneof![Just(""), Just("/{rest*}")],
        )
            .prop_map(|(parts, end)| {
                let path: String = parts
                    .iter()
                    .enumerate()
                    .map(|(n, part)| format!("/{}", part.replace("{x}", &format!("{{x{n}}}"))))
                    .collect();
                if path.is_empty() && end.is_empty() {
                    "/".to_owned()
                } else {
                    path + end
                }
            })
    }
}
