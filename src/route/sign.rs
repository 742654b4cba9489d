//! Signs by which a request is told from others of the same path.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use super::glob;

/// One sign; `only_if` needs at least one of its signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `form:password-confirm+email`: the form has all of these fields. A field may name its value: `form:method=password`.
    Form(Vec<Mark>),
    /// `query:token`, `query:prompt=create`: the query has this parameter.
    Query(Mark),
    /// `path:flow=*enrollment*`: what `{flow}` took has this value.
    Path(Mark),
    /// `json:/traits/email`, `json:/type=user`: the JSON body has something there (RFC 6901).
    Json(Mark),
    /// `learned:registration`: the request carries the value that Tollgate learned from the upstream (`[learn.NAME]`).
    Learned(String),
}

/// A name, and the value that it must have, if just its being there is not enough. `*` in it stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The field, parameter, capture or JSON pointer.
    pub name: String,
    /// The value.
    pub value: Option<String>,
}

impl Sign {
    /// Whether the body has to be read to see it.
    pub fn reads_body(&self) -> bool {
        matches!(self, Self::Form(_) | Self::Json(_))
    }

    /// Whether it is a parameter of the query or a field of the form with this name.
    pub fn reads_parameter(&self, name: &str) -> bool {
        match self {
            Self::Form(marks) => marks.iter().any(|mark| mark.name == name),
            Self::Query(mark) => mark.name == name,
            Self::Path(_) | Self::Json(_) | Self::Learned(_) => false,
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(marks) => {
                let marks: Vec<_> = marks.iter().map(Mark::to_string).collect();
                write!(f, "the form has {}", marks.join(" and "))
            }
            Self::Query(mark) => write!(f, "the query has {mark}"),
            Self::Path(mark) => write!(f, "the path has {mark}"),
            Self::Json(mark) => write!(f, "the JSON has {mark}"),
            Self::Learned(name) => write!(f, "it carries the value `{name}`"),
        }
    }
}

impl Mark {
    /// Whether a value is the one, or any will do.
    pub fn takes(&self, value: &str) -> bool {
        self.value.as_ref().is_none_or(|pattern| glob(pattern, value))
    }

    fn of(text: &str) -> Option<Self> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            value,
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "`{}={value}`", self.name),
            None => write!(f, "`{}`", self.name),
        }
    }
}

impl FromStr for Sign {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no sign; write `form:FIELD`, `form:FIELD+FIELD`, `query:NAME`, `path:NAME=VALUE`, \
                 `json:/POINTER` or `learned:NAME`; all but the last may have a value, as in `form:FIELD=VALUE`"
            )
        };
        let (kind, what) = text.split_once(':').ok_or_else(wrong)?;
        let mark = || Mark::of(what).ok_or_else(wrong);
        match kind {
            "form" => {
                let marks: Option<Vec<_>> = what.split('+').map(Mark::of).collect();
                Ok(Self::Form(marks.ok_or_else(wrong)?))
            }
            "query" => Ok(Self::Query(mark()?)),
            "path" => mark().map(Self::Path),
            "json" if what.starts_with('/') => Ok(Self::Json(mark()?)),
            "learned" if !what.is_empty() => Ok(Self::Learned(what.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl<'de> Deserialize<'de> for Sign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_reads_the_parameters_that_it_names() {
        for (sign, read, other) in [("form:a+b=1", "b", "c"), ("query:a", "a", "b"), ("query:a=1", "a", "1")] {
            let sign: Sign = sign.parse().unwrap();
            assert!(sign.reads_parameter(read) && !sign.reads_parameter(other), "{sign}");
        }
        for elsewhere in ["path:a", "json:/a", "learned:a"] {
            assert!(!elsewhere.parse::<Sign>().unwrap().reads_parameter("a"), "{elsewhere}");
        }
    }

    #[test]
    fn what_is_no_sign_is_told_what_would_be_one() {
        for text in ["", "form:", "form:a+", "json:a", "learned:", "cookie:x", "form"] {
            let wrong = text.parse::<Sign>().unwrap_err();
            assert!(wrong.contains("write `form:FIELD`"), "{wrong}");
        }
    }
}
