//! Forms. What is read is read as the URL standard and a browser mean it, and written again it reads the same.
//!
//! Input: a body, or a boundary in a line of its own and a multipart body.

use tollgate::form::Form;

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(form) = Form::urlencoded(bytes) {
        reads_again(&form);
        let lenient: Vec<_> = form_urlencoded::parse(bytes).collect();
        let ours: Vec<_> = form.iter().map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(ours, lenient, "the URL standard reads it otherwise");
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (boundary, body) = bytes.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let Ok(boundary) = std::str::from_utf8(boundary) else {
        return;
    };
    let content_type = format!("multipart/form-data; boundary={boundary}");
    // It goes on urlencoded, so that nobody reads its parts again.
    if let Ok(form) = Form::multipart(body, &content_type) {
        reads_again(&form);
    }
}

fn reads_again(form: &Form) {
    let written = form.to_urlencoded();
    let again = Form::urlencoded(written.as_bytes()).expect("what was written is read");
    assert!(again.iter().eq(form.iter()), "{written:?}");
}
