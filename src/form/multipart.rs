//! `multipart/form-data` (RFC 7578) of text fields. Lenient readers differ about preambles, epilogues, repeated headers
//! and bare line feeds, so only the one form that browsers write is read.

use super::{Form, Misread, shown};

pub(super) fn read(body: &[u8], content_type: &str) -> Result<Form, Misread> {
    let boundary = boundary(content_type)?;
    let text = std::str::from_utf8(body).map_err(|_| Misread("a multipart body is not UTF-8".into()))?;
    let (opening, delimiter) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut rest = text.strip_prefix(&opening).ok_or_else(malformed)?;
    let mut form = Form::default();
    loop {
        if matches!(rest, "--" | "--\r\n") {
            return Ok(form);
        }
        let part = rest.strip_prefix("\r\n").ok_or_else(malformed)?;
        let (head, content) = part.split_once("\r\n\r\n").ok_or_else(malformed)?;
        let name = name(head)?;
        let (value, after) = content.split_once(&delimiter).ok_or_else(malformed)?;
        form.add(name, value.to_owned())?;
        rest = after;
    }
}

/// The name of a part that is a plain text field.
fn name(head: &str) -> Result<String, Misread> {
    let (mut name, mut typed) = (None, false);
    for line in head.split("\r\n") {
        let (header, value) = line.split_once(':').ok_or_else(malformed)?;
        match header.to_ascii_lowercase().as_str() {
            "content-disposition" if name.is_none() => name = Some(plain_name(value.trim())?),
            "content-type" if !typed => {
                typed = true;
                let kind = value.to_ascii_lowercase().replace(' ', "");
                if !matches!(kind.as_str(), "text/plain" | "text/plain;charset=utf-8") {
                    return Err(Misread("a part is not plain text in UTF-8".into()));
                }
            }
            other => {
                return Err(Misread(format!(
                    "a part has the header {}, or has it twice",
                    shown(other)
                )));
            }
        }
    }
    name.ok_or_else(|| Misread("a part has no content disposition".into()))
}

/// Exactly `form-data; name="…"`: a file name, an encoded `name*` or an escape is read differently from server to server.
fn plain_name(disposition: &str) -> Result<String, Misread> {
    disposition
        .strip_prefix("form-data; name=\"")
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|name| !name.contains(['"', '\\', '%']))
        .map(str::to_owned)
        .ok_or_else(|| Misread("a part is not a plain field with a plain name".into()))
}

/// RFC 2046 §5.1.1, without the characters that would need quoting.
fn boundary(content_type: &str) -> Result<&str, Misread> {
    let mut found = content_type.split(';').skip(1).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim())
    });
    let unusable = || Misread("the content type has no usable multipart boundary".into());
    let (Some(value), None) = (found.next(), found.next()) else {
        return Err(unusable());
    };
    let value = value
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    ((1..=70).contains(&value.len()) && value.bytes().all(plain))
        .then_some(value)
        .ok_or_else(unusable)
}

fn malformed() -> Misread {
    Misread("a multipart body is malformed".into())
}
