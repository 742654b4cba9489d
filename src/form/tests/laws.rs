//! What holds for every form, however it came about.

use axum::{
    body::Body,
    extract::{FromRequest, Multipart},
};
use http::{Request, header::CONTENT_TYPE};
use proptest::sample::select;

use super::*;

/// Names that both encodings take, and values with everything but a NUL.
fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(("[a-zA-Z0-9_.\u{e9}\\[\\] ;&=+]{1,8}", "[^\u{0}]{0,12}"), 0..6)
}

fn form_of(fields: &[(String, String)]) -> Form {
    let mut form = Form::default();
    for (name, value) in fields {
        form.add(name.clone(), value.clone()).unwrap();
    }
    form
}

/// Bytes that are a form, or nearly.
fn nearly_urlencoded() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "email",
        "=",
        "=",
        "&",
        "&",
        "a@b.c",
        "%40",
        "%2",
        "%zz",
        "%",
        "+",
        "%20",
        " ",
        ";",
        "%3b",
        "%00",
        "%0a",
        "\n",
        "\0",
        "\u{e9}",
        "%c3%a9",
        "%e9",
        "%c0%af",
        "%ed%a0%80",
        "%EF%BB%BF",
        "\u{feff}",
        "%65mail",
        "#",
        "?",
        "\\",
        "\"",
        "[]",
        "&amp;",
    ];
    let piece = select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec());
    let byte = any::<u8>().prop_map(|byte| vec![byte]);
    proptest::collection::vec(prop_oneof![9 => piece, 1 => byte], 0..16).prop_map(|pieces| pieces.concat())
}

/// Bytes that are a multipart body, or nearly.
fn nearly_multipart() -> impl Strategy<Value = Vec<u8>> {
    let mostly =
        |right: &'static str, wrong: &[&'static str]| prop_oneof![12 => Just(right), 1 => select(wrong.to_vec())];
    let head = prop_oneof![
        8 => select(vec![
            "Content-Disposition: form-data; name=\"email\"",
            "content-disposition:form-data; name=\"a\"",
            "Content-Disposition: form-data; name=\"b\"\r\nContent-Type: text/plain; charset=UTF-8",
        ]),
        1 => select(vec![
            "Content-Disposition: form-data; name=\"f\"; filename=\"x\"",
            "Content-Disposition: form-data; name=\"g\"\r\nContent-Transfer-Encoding: base64",
        ]),
    ];
    let pieces = vec![
        "", "value", "\u{e9}", " ", "\r\n", "\n", "\r", "--XyZ", "--", "\r\n--Xy", "-",
    ];
    let piece = select(pieces).prop_map(|piece| piece.as_bytes().to_vec());
    let byte = any::<u8>().prop_map(|byte| vec![byte]);
    let part = (
        mostly(
            "--XyZ\r\n",
            &["--XyZ \r\n", "--XyZ\n", "--XyZx\r\n", "--XyZ--\r\n", "\r\n--XyZ\r\n"],
        ),
        head,
        mostly("\r\n\r\n", &["\n\n", "\r\n", "\r\n\r\n\r\n"]),
        proptest::collection::vec(prop_oneof![20 => piece, 1 => byte], 0..4),
        mostly("\r\n", &["\n", "", "\r\n\r\n"]),
    );
    let part = part.prop_map(|(delimiter, head, gap, value, end)| {
        [
            delimiter.as_bytes(),
            head.as_bytes(),
            gap.as_bytes(),
            &value.concat(),
            end.as_bytes(),
        ]
        .concat()
    });
    let closing = mostly("--XyZ--\r\n", &["--XyZ--", "--XyZ--\r\nmore", "--XyZ--x", ""]);
    (proptest::collection::vec(part, 0..4), closing).prop_map(|(parts, end)| [parts.concat(), end.into()].concat())
}

/// A form as a browser writes it in multipart.
fn written(form: &Form) -> Vec<u8> {
    let parts = form
        .iter()
        .map(|(name, value)| part(&format!("Content-Disposition: form-data; name=\"{name}\""), value));
    format!("{}--XyZ--\r\n", parts.collect::<String>()).into_bytes()
}

/// What another, lenient reader makes of a multipart body.
fn read_leniently(body: &[u8]) -> Option<Vec<(String, String)>> {
    let request = Request::builder()
        .header(CONTENT_TYPE, MULTIPART)
        .body(Body::from(body.to_vec()))
        .unwrap();
    let reading = async {
        let mut parts = Multipart::from_request(request, &()).await.ok()?;
        let mut fields = Vec::new();
        while let Some(field) = parts.next_field().await.ok()? {
            let name = field.name()?.to_owned();
            fields.push((name, field.text().await.ok()?));
        }
        Some(fields)
    };
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(reading)
}

fn owned(form: &Form) -> Vec<(String, String)> {
    form.iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_form_reads_as_it_was_written(fields in fields()) {
        let form = form_of(&fields);
        prop_assert_eq!(Form::urlencoded(form.to_urlencoded().as_bytes()).unwrap(), form.clone());
        prop_assert_eq!(Form::query(&form.to_urlencoded()).unwrap(), form);
    }

    #[test]
    fn a_multipart_form_reads_as_it_was_written(fields in fields()) {
        let form = form_of(&fields);
        prop_assume!(form.iter().all(|(_, value)| !value.contains("--XyZ")));
        prop_assert_eq!(Form::multipart(&written(&form), MULTIPART).unwrap(), form);
    }

    #[test]
    fn what_is_forwarded_is_written_in_one_way_only(body in nearly_urlencoded()) {
        if let Ok(form) = Form::urlencoded(&body) {
            let canonical = form.to_urlencoded();
            let again = Form::urlencoded(canonical.as_bytes()).unwrap();
            prop_assert_eq!(again.to_urlencoded(), canonical);
            prop_assert_eq!(again, form);
        }
    }

    #[test]
    fn what_is_read_is_what_a_lenient_reader_reads(body in nearly_urlencoded()) {
        if let Ok(form) = Form::urlencoded(&body) {
            let lenient: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
            prop_assert_eq!(owned(&form), lenient);
        }
    }

    #[test]
    fn what_is_read_in_multipart_is_what_a_lenient_reader_reads(body in nearly_multipart()) {
        if let Ok(form) = Form::multipart(&body, MULTIPART) {
            prop_assert_eq!(Some(owned(&form)), read_leniently(&body), "{}", body.escape_ascii());
            prop_assert_eq!(Form::urlencoded(form.to_urlencoded().as_bytes()).unwrap(), form);
        }
    }

    #[test]
    fn reading_any_bytes_never_panics(body in proptest::collection::vec(any::<u8>(), 0..64), content_type in "\\PC{0,40}") {
        let _ = Form::multipart(&body, MULTIPART);
        let _ = Form::multipart(&body, &content_type);
        let _ = Form::multipart(&body, &format!("multipart/form-data; boundary={content_type}"));
        let _ = Form::urlencoded(&body);
    }
}
