//! Path patterns with captures.

use std::str::FromStr;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, de};

/// `/realms/{realm}/users`: literals compare without regard to ASCII case, `{name}` takes one segment, `{name*}` as the
/// last one takes one or more. One trailing slash of the path is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    One(String),
    Rest(String),
}

impl Segment {
    fn written(&self) -> String {
        match self {
            Self::Literal(text) => format!("/{text}"),
            Self::One(name) | Self::Rest(name) => format!("/{{{name}}}"),
        }
    }
}

/// What the `{name}`s of a pattern took, percent-decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures(Vec<(String, String)>);

impl Captures {
    /// The text that `{name}` took.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The same with one more value; it takes the place of one with that name.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(known, _)| known != name).cloned();
        Self(others.chain([(name.to_owned(), value.to_owned())]).collect())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Captures {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(values: I) -> Self {
        let owned = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self(owned.collect())
    }
}

impl Pattern {
    /// Matches a canonical path: origin-form, still percent-encoded, without its query.
    pub fn captures(&self, path: &str) -> Option<Captures> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut taken = Vec::new();
        let mut parts = path.split('/').skip(1);
        for segment in &self.segments {
            let part = parts.next()?;
            let text = percent_decode_str(part).decode_utf8().ok()?;
            match segment {
                Segment::Literal(literal) => {
                    if !literal.eq_ignore_ascii_case(&text) {
                        return None;
                    }
                }
                Segment::One(name) => taken.push((name.clone(), text.into_owned())),
                Segment::Rest(name) => {
                    let rest = parts.by_ref().fold(text.into_owned(), |all, part| all + "/" + part);
                    taken.push((name.clone(), rest));
                }
            }
        }
        parts.next().is_none().then_some(Captures(taken))
    }

    /// Matches a path that is this one or below it.
    pub fn captures_above(&self, path: &str) -> Option<Captures> {
        let upper = path.split('/').skip(1).take(self.segments.len());
        let upper: String = upper.flat_map(|part| ["/", part]).collect();
        self.captures(&upper)
    }

    /// The path with each `{name}` filled in from `captures`; `None` where one is missing or cannot be a segment.
    pub fn fill(&self, captures: &Captures) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(literal) => path.push_str(literal),
                Segment::One(name) | Segment::Rest(name) => {
                    // A dot segment would make another path of it.
                    let value = captures.get(name).filter(|value| !matches!(*value, "" | "." | ".."))?;
                    path.push_str(&encode(value));
                }
            }
        }
        Some(path)
    }

    /// Whether every path that `inner` matches matches this one too. A path that discovery has to name matches its like alone.
    pub fn covers(&self, inner: &Self) -> bool {
        fn all(outer: &[Segment], inner: &[Segment]) -> bool {
            match (outer, inner) {
                ([], []) => true,
                ([Segment::Rest(_)], [_, ..]) => true,
                ([Segment::Literal(a), outer @ ..], [Segment::Literal(b), inner @ ..]) => {
                    a.eq_ignore_ascii_case(b) && all(outer, inner)
                }
                ([Segment::One(_), outer @ ..], [Segment::Literal(_) | Segment::One(_), inner @ ..]) => {
                    all(outer, inner)
                }
                _ => false,
            }
        }
        match (self.discovered(), inner.discovered()) {
            (None, None) => all(&self.segments, &inner.segments),
            (here, there) => here == there,
        }
    }

    /// A path that both match, its `{name}`s left as they are; `None` where there is none, or where discovery has to name one of them.
    pub fn common(&self, other: &Self) -> Option<String> {
        fn meet(one: &[Segment], other: &[Segment]) -> Option<String> {
            let (first, rest) = match (one, other) {
                ([], []) => return Some(String::new()),
                ([Segment::Rest(_)], tail @ [_, ..]) | (tail @ [_, ..], [Segment::Rest(_)]) => {
                    return Some(tail.iter().map(Segment::written).collect());
                }
                ([Segment::Literal(a), one @ ..], [Segment::Literal(b), other @ ..]) => {
                    (a.eq_ignore_ascii_case(b).then_some(a)?.clone(), meet(one, other))
                }
                ([Segment::One(_), one @ ..], [Segment::Literal(a), other @ ..])
                | ([Segment::Literal(a), one @ ..], [Segment::One(_), other @ ..]) => (a.clone(), meet(one, other)),
                ([Segment::One(name), one @ ..], [Segment::One(_), other @ ..]) => {
                    (format!("{{{name}}}"), meet(one, other))
                }
                _ => return None,
            };
            Some(format!("/{first}{}", rest?))
        }
        match (self.discovered(), other.discovered()) {
            (None, None) => {
                meet(&self.segments, &other.segments).map(|path| if path.is_empty() { "/".into() } else { path })
            }
            (here, there) => (here == there).then(|| self.text.clone()),
        }
    }

    /// The discovery member whose path is meant, for `discovery:token_endpoint`.
    pub fn discovered(&self) -> Option<&str> {
        self.text.strip_prefix("discovery:")
    }

    /// The same pattern below a base path such as `/auth`.
    pub fn below(&self, base: &str) -> Self {
        let base = base.trim_end_matches('/');
        format!("{base}{}", self.text).parse().unwrap_or_else(|_| self.clone())
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Percent-encodes one segment (RFC 3986 §3.3): all but unreserved characters.
fn encode(text: &str) -> String {
    const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(text, SEGMENT).to_string()
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("discovery:") {
            return Ok(Self {
                text: text.to_owned(),
                segments: Vec::new(),
            });
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("the path `{text}` must begin with `/`"));
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = Vec::new();
        // The root has no segment.
        for part in path.split('/').filter(|_| !path.is_empty()) {
            if segments.iter().any(|s| matches!(s, Segment::Rest(_))) {
                return Err(format!("`{{name*}}` must be the last segment of `{text}`"));
            }
            segments.push(match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                Some(name) => match name.strip_suffix('*') {
                    Some(name) => Segment::Rest(name.to_owned()),
                    None => Segment::One(name.to_owned()),
                },
                None if part.contains(['{', '}', '?', '#', '*']) => {
                    return Err(format!(
                        "`{part}` in the path `{text}` is neither a literal nor `{{name}}`"
                    ));
                }
                None => Segment::Literal(part.to_owned()),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, path: &str) -> Option<Captures> {
        pattern.parse::<Pattern>().unwrap().captures(path)
    }

    #[test]
    fn literals_ignore_case_and_one_trailing_slash() {
        for path in [
            "/realms/tg/users",
            "/Realms/tg/USERS",
            "/realms/tg/users/",
            "/realms/tg/%75sers",
        ] {
            assert_eq!(
                captured("/realms/{realm}/users", path).unwrap().get("realm"),
                Some("tg"),
                "{path}"
            );
        }
        for path in [
            "/realms/tg/users//",
            "/realms/tg",
            "/realms/tg/users/1",
            "/realms/users",
            "/",
        ] {
            assert_eq!(captured("/realms/{realm}/users", path), None, "{path}");
        }
    }

    #[test]
    fn a_capture_keeps_its_case_and_is_decoded() {
        assert_eq!(
            captured("/realms/{realm}", "/realms/My%20Realm").unwrap().get("realm"),
            Some("My Realm")
        );
    }

    #[test]
    fn the_root_is_the_root_alone() {
        assert!(captured("/", "/").is_some());
        assert!(captured("/", "/a").is_none());
    }

    #[test]
    fn the_rest_is_one_or_more_segments() {
        assert_eq!(captured("/a/{rest*}", "/a/b/c").unwrap().get("rest"), Some("b/c"));
        assert_eq!(captured("/a/{rest*}", "/a"), None);
        assert!("/a/{rest*}/b".parse::<Pattern>().is_err());
    }

    #[test]
    fn a_segment_is_a_literal_or_a_name_and_nothing_between() {
        for wrong in ["/a{b}", "/{a}b", "/a*", "/a?b", "/a#b", "/{a", "/a}"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_patterns_have_the_paths_in_common_that_both_take() {
        let common = |one: &str, other: &str| one.parse::<Pattern>().unwrap().common(&other.parse().unwrap());
        for (one, other, both) in [
            ("/a/{x}", "/a/{y}", Some("/a/{x}")),
            ("/a/{x}", "/A/b", Some("/a/b")),
            ("/a/{x*}", "/a/b/{y}", Some("/a/b/{y}")),
            ("/", "/", Some("/")),
            ("/a/{x}", "/b/{x}", None),
            ("/a/{x}", "/a", None),
        ] {
            assert_eq!(common(one, other).as_deref(), both, "{one} {other}");
            assert_eq!(common(other, one).is_some(), both.is_some(), "{other} {one}");
        }
    }

    #[test]
    fn a_filled_pattern_leads_back_to_its_captures() {
        let pattern: Pattern = "/realms/{realm}/certs".parse().unwrap();
        let captures = pattern.captures("/realms/My%20Realm/certs").unwrap();
        assert_eq!(pattern.fill(&captures).unwrap(), "/realms/My%20Realm/certs");
        assert_eq!(
            pattern.below("/auth/").fill(&captures).unwrap(),
            "/auth/realms/My%20Realm/certs"
        );
    }
}
