//! `multipart/form-data` (RFC 7578) of text fields; `multer` finds the parts, the strictness is ours.

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use multer::{Field, Multipart};

use super::{Form, Misread, shown};

pub(super) fn read(body: &[u8], content_type: &str) -> Result<Form, Misread> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| Misread("the content type has no usable multipart boundary".into()))?;
    // A preamble is legal and nobody sends one; some parsers take it for a part.
    if !body.starts_with(format!("--{boundary}").as_bytes()) {
        return Err(Misread("a multipart body does not start with its boundary".into()));
    }
    let body = stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(body))]);
    // The whole body is in memory, so nothing is ever awaited.
    fields(Multipart::new(body, boundary))
        .now_or_never()
        .unwrap_or_else(|| Err(broken()))
}

async fn fields(mut parts: Multipart<'_>) -> Result<Form, Misread> {
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
        let name = plain_name(&part)?;
        let bytes = part.bytes().await.map_err(|_| broken())?;
        let value = String::from_utf8(bytes.to_vec())
            .map_err(|_| Misread(format!("the part {} is not UTF-8", shown(&name))))?;
        form.add(name, value)?;
    }
    Ok(form)
}

/// The name of a part that is a plain text field.
fn plain_name(part: &Field<'_>) -> Result<String, Misread> {
    let headers = part.headers();
    if headers.keys_len() != headers.len() {
        return Err(Misread("a part has a header twice".into()));
    }
    if let Some(odd) = headers
        .keys()
        .find(|name| !matches!(name.as_str(), "content-disposition" | "content-type"))
    {
        return Err(Misread(format!("a part has the header `{odd}`")));
    }
    let disposition = headers
        .get(http::header::CONTENT_DISPOSITION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| Misread("a part has no readable content disposition".into()))?;
    // Exactly `form-data; name="…"`: a file name, an encoded `name*` or an escape is read differently from parser to parser.
    let name = disposition
        .strip_prefix("form-data; name=\"")
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|name| !name.contains(['"', '\\', '%']))
        .ok_or_else(|| Misread("a part is not a plain field with a plain name".into()))?;
    if part.name() != Some(name) {
        return Err(Misread(format!("the name {} of a part is ambiguous", shown(name))));
    }
    let text = match headers
        .get(http::header::CONTENT_TYPE)
        .map(|value| value.as_bytes().to_ascii_lowercase())
    {
        None => true,
        Some(kind) => matches!(
            kind.as_slice(),
            b"text/plain" | b"text/plain;charset=utf-8" | b"text/plain; charset=utf-8"
        ),
    };
    if !text {
        return Err(Misread(format!("the part {} is not plain text in UTF-8", shown(name))));
    }
    Ok(name.to_owned())
}

fn broken() -> Misread {
    Misread("a multipart body is malformed".into())
}
