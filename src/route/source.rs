//! Where a fact of an event comes from.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// One place in a request, its answer or its caller's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `form:email`; `form:user.attributes.*` takes all fields with that prefix, without it, as an object.
    Form(String),
    /// `query:client_id`.
    Query(String),
    /// `path:realm`: a capture of the path.
    Path(String),
    /// `json:/traits/email`: a JSON pointer (RFC 6901) into the body; `json:` is the whole document.
    Json(String),
    /// `item:/email`: a JSON pointer into the element of `each`.
    Item(String),
    /// `claim:/sub`: the verified tokens of the answer; the ID token first, then the access token.
    Claim(String),
    /// `caller:/sub`: the verified bearer token of the request.
    Caller(String),
}

/// One source, or several whose texts are joined by a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(pub Vec<Source>);

impl Sources {
    /// Whether one of them reads the body.
    pub fn read_body(&self) -> bool {
        self.0
            .iter()
            .any(|s| matches!(s, Source::Form(_) | Source::Json(_) | Source::Item(_)))
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, place) = text.split_once(':').unwrap_or((text, ""));
        let place = place.to_owned();
        let pointer_is_wrong = !place.is_empty() && !place.starts_with('/');
        match kind {
            "json" | "item" | "claim" | "caller" if pointer_is_wrong => Err(format!(
                "`{place}` in `{text}` must be a JSON pointer, such as `/email`"
            )),
            "form" => Ok(Self::Form(place)),
            "query" => Ok(Self::Query(place)),
            "path" => Ok(Self::Path(place)),
            "json" => Ok(Self::Json(place)),
            "item" => Ok(Self::Item(place)),
            "claim" => Ok(Self::Claim(place)),
            "caller" => Ok(Self::Caller(place)),
            _ => Err(format!(
                "`{text}` is no source; write `form:FIELD`, `query:NAME`, `path:NAME`, `json:/POINTER`, `item:/POINTER`, \
                 `claim:/POINTER` or `caller:/POINTER`"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(String),
            Many(Vec<String>),
        }
        let texts = match Written::deserialize(deserializer)? {
            Written::One(text) => vec![text],
            Written::Many(texts) => texts,
        };
        texts
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_document_is_a_json_pointer() {
        for kind in ["json", "item", "claim", "caller"] {
            let wrong = format!("{kind}:email").parse::<Source>().unwrap_err();
            assert!(wrong.contains("such as `/email`"), "{wrong}");
            assert!(format!("{kind}:/email").parse::<Source>().is_ok());
        }
        assert!("form:email".parse::<Source>().is_ok());
        let unknown = "cookie:a".parse::<Source>().unwrap_err();
        assert!(unknown.contains("is no source"), "{unknown}");
    }
}
