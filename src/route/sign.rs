//! Signs by which a request is told from others of the same path.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// One sign; `only_if` needs at least one of its signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `form:password-confirm+email`: the form has all of these fields.
    Form(Vec<String>),
    /// `query:token`: the query has this parameter.
    Query(String),
    /// `learned:registration`: the request carries the value that Tollgate learned from the upstream (`[learn.NAME]`).
    Learned(String),
}

impl Sign {
    /// Whether the body has to be read to see it.
    pub fn reads_body(&self) -> bool {
        matches!(self, Self::Form(_))
    }
}

impl FromStr for Sign {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("form", fields)) if !fields.is_empty() => {
                Ok(Self::Form(fields.split('+').map(str::to_owned).collect()))
            }
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            Some(("learned", name)) if !name.is_empty() => Ok(Self::Learned(name.to_owned())),
            _ => Err(format!(
                "`{text}` is no sign; write `form:FIELD`, `form:FIELD+FIELD`, `query:NAME` or `learned:NAME`"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Sign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
