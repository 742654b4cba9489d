//! What kind of content a request says it carries.

use http::{HeaderMap, header};

use super::Unreadable;

/// A content type in UTF-8, or without a charset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// Type and subtype in lower case, without parameters: `application/json`.
    pub essence: String,
    /// The header's value as it came, with its parameters; multipart needs the boundary.
    pub value: String,
}

/// Reads the one `Content-Type` header. Refuses two of them, a charset other than UTF-8, a parameter that occurs twice,
/// and any `Content-Encoding`: request bodies are never decompressed.
pub fn read_content_type(headers: &HeaderMap) -> Result<Option<ContentType>, Unreadable> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Unreadable::bad("the body has a content coding"));
    }
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Unreadable::bad("there is more than one `Content-Type` header"));
    }
    let malformed = || Unreadable::bad("the content type is malformed");
    let value = value.to_str().map_err(|_| malformed())?;
    let (essence, rest) = value
        .split_once(';')
        .map_or((value, None), |(essence, rest)| (essence, Some(rest)));
    let essence = essence.trim().to_ascii_lowercase();
    let two_tokens = essence.split('/').count() == 2 && essence.split('/').all(is_token);
    if !two_tokens {
        return Err(malformed());
    }
    let mut seen = Vec::new();
    for (name, value) in rest.map(parameters).transpose()?.unwrap_or_default() {
        if name == "charset" && !value.eq_ignore_ascii_case("utf-8") {
            return Err(Unreadable::bad("the content type's charset is not UTF-8"));
        }
        if seen.contains(&name) {
            return Err(Unreadable::bad("a parameter of the content type occurs twice"));
        }
        seen.push(name);
    }
    Ok(Some(ContentType {
        essence,
        value: value.to_owned(),
    }))
}

/// RFC 9110 §5.6.6, without escapes in quoted values: no content type needs one.
fn parameters(mut rest: &str) -> Result<Vec<(String, String)>, Unreadable> {
    let malformed = || Unreadable::bad("the content type's parameters are malformed");
    let mut found = Vec::new();
    loop {
        let (name, after) = rest.split_once('=').ok_or_else(malformed)?;
        let name = name.trim().to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(malformed)?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        let plain = is_token(&name) && (is_token(value.trim()) || rest.contains('"') && !value.contains('\\'));
        if !plain {
            return Err(malformed());
        }
        found.push((name, value.trim().to_owned()));
        match after.trim() {
            "" => return Ok(found),
            more => rest = more.strip_prefix(';').ok_or_else(malformed)?,
        }
    }
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<ContentType>, Unreadable> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_TYPE, value.parse().unwrap());
        }
        read_content_type(&headers)
    }

    #[test]
    fn one_type_in_utf_8_is_read() {
        for (value, essence) in [
            ("application/json", "application/json"),
            (
                "Application/X-WWW-Form-URLEncoded; Charset=UTF-8",
                "application/x-www-form-urlencoded",
            ),
            ("application/json;charset=\"utf-8\"", "application/json"),
            (
                "multipart/form-data; boundary=----WebKitFormBoundaryAbC",
                "multipart/form-data",
            ),
            ("multipart/form-data; boundary=\"a b:c\"", "multipart/form-data"),
        ] {
            assert_eq!(read(&[value]).unwrap().unwrap().essence, essence, "{value}");
        }
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn what_two_servers_could_take_for_two_types_is_refused() {
        for values in [
            &["application/json", "text/plain"][..],
            &["application/json; charset=utf-16"],
            &["application/json; charset=ibm037"],
            &["application/json; charset=utf-8; charset=utf-7"],
            &["application/json, text/plain"],
            &["application"],
            &["application/json/x"],
            &["application/json;"],
            &["application/json; charset"],
            &["multipart/form-data; boundary=\"a\\\"b\""],
            &["multipart/form-data; boundary=\"a"],
            &[""],
        ] {
            assert!(read(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn a_compressed_request_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(read_content_type(&headers).is_err());
    }
}
