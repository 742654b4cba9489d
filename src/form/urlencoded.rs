//! `application/x-www-form-urlencoded`, without the leniency of the URL standard.

use percent_encoding::percent_decode;

use super::{Form, Misread, shown};

pub(super) fn read(text: &[u8]) -> Result<Form, Misread> {
    if !text.is_ascii() {
        return Err(Misread("a form has a byte that is not ASCII; percent-encode it".into()));
    }
    // A raw space is what `curl -d "scope=openid email"` sends; it can only be a space.
    if text.iter().any(u8::is_ascii_control) {
        return Err(Misread("a form has a raw control character".into()));
    }
    // Some servers split parameters at `;` too; a value that means it comes as `%3B`.
    if text.contains(&b';') {
        return Err(Misread("a form has a raw `;`".into()));
    }
    let mut form = Form::default();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = decode(halves.next().unwrap_or_default())
            .map_err(|cause| Misread(format!("a parameter's name {cause}")))?;
        let value = decode(halves.next().unwrap_or_default())
            .map_err(|cause| Misread(format!("the parameter {} {cause}", shown(&name))))?;
        form.add(name, value)?;
    }
    Ok(form)
}

fn decode(text: &[u8]) -> Result<String, &'static str> {
    if !escapes_are_whole(text) {
        return Err("has a malformed percent escape");
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    String::from_utf8(percent_decode(&spaced).collect()).map_err(|_| "is not UTF-8")
}

fn escapes_are_whole(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'%')
        .skip(1)
        .all(|after| matches!(after, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}
