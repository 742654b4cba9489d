use proptest::prelude::*;

use super::*;

fn pairs(form: &Form) -> Vec<(&str, &str)> {
    form.iter().collect()
}

#[test]
fn a_form_is_read_in_order() {
    let form = Form::urlencoded(b"username=ada&password=a%26b+c&%67rant=x&empty=&bare").unwrap();
    assert_eq!(
        pairs(&form),
        [
            ("username", "ada"),
            ("password", "a&b c"),
            ("grant", "x"),
            ("empty", ""),
            ("bare", "")
        ]
    );
    assert_eq!(form.get("password"), Some("a&b c"));
    assert_eq!(form.get("Password"), None);
    assert!(Form::urlencoded(b"").unwrap().is_empty());
}

#[test]
fn what_two_parsers_read_differently_is_refused() {
    for bad in [
        &b"a=%"[..],
        b"a=%4",
        b"a=%zz",
        b"%=1",
        b"a=%ff",
        b"a=%c0%af",
        b"%ff=1",
        b"a%00=1",
        b"a%0a=1",
        b"a=%00",
        b"=1",
        b"&=",
        b"a=1;b=2",
        b"a=1\n",
        b"\na=1",
        b"a=\xc3\xa9",
        b"\xef\xbb\xbfa=1",
        b"%EF%BB%BFa=1",
        b"\xff\xfea\x00=\x001\x00",
        b"\x81=\x81",
    ] {
        assert!(Form::urlencoded(bad).is_err(), "{}", bad.escape_ascii());
    }
}

#[test]
fn a_refusal_names_the_parameter_and_never_its_value() {
    let told = Form::urlencoded(b"password=s3cret%ff").unwrap_err().to_string();
    assert_eq!(told, "the parameter `password` is not UTF-8");
    let form = Form::urlencoded(b"password=s3cret").unwrap();
    assert_eq!(format!("{form:?}"), "{\"password\"}");
}

#[test]
fn a_name_may_come_again_and_a_space_may_come_raw() {
    let form = Form::urlencoded(b"scope=openid email&role=a&role=b").unwrap();
    assert_eq!(pairs(&form), [("scope", "openid email"), ("role", "a"), ("role", "b")]);
    assert_eq!(form.to_urlencoded(), "scope=openid+email&role=a&role=b");
}

#[test]
fn parameters_can_be_replaced_where_they_stand() {
    let mut form = Form::query("a=1&b=2&c=3").unwrap();
    form.set("b", "x y");
    form.set("d", "&");
    assert_eq!(form.remove("a").as_deref(), Some("1"));
    assert_eq!(form.remove("a"), None);
    assert_eq!(form.to_urlencoded(), "b=x+y&c=3&d=%26");
    let mut form = Form::query("a=1&b=2&c=3&b=4").unwrap();
    form.set("b", "5");
    assert_eq!(form.to_urlencoded(), "a=1&b=5&c=3");
    let mut form = Form::query("b=1&a=2&b=3").unwrap();
    assert_eq!(form.remove("b").as_deref(), Some("1"));
    assert_eq!(form.to_urlencoded(), "a=2");
}

const MULTIPART: &str = "multipart/form-data; boundary=XyZ";

fn part(head: &str, value: &str) -> String {
    format!("--XyZ\r\n{head}\r\n\r\n{value}\r\n")
}

fn multipart(parts: &[String]) -> Result<Form, Misread> {
    Form::multipart(format!("{}--XyZ--\r\n", parts.concat()).as_bytes(), MULTIPART)
}

#[test]
fn multipart_text_fields_are_read() {
    let form = multipart(&[
        part("Content-Disposition: form-data; name=\"grant_type\"", "password"),
        part(
            "content-disposition: form-data; name=\"note\"\r\nContent-Type: text/plain; charset=UTF-8",
            "a\r\nb \u{e9}",
        ),
        part("Content-Disposition: form-data; name=\"empty\"", ""),
    ])
    .unwrap();
    assert_eq!(
        pairs(&form),
        [("grant_type", "password"), ("note", "a\r\nb \u{e9}"), ("empty", "")]
    );
    assert!(multipart(&[]).unwrap().is_empty());
}

#[test]
fn multipart_that_is_more_than_text_fields_is_refused() {
    let plain = || part("Content-Disposition: form-data; name=\"a\"", "1");
    for bad in [
        vec![part("Content-Disposition: form-data; name=\"a\"; filename=\"b\"", "1")],
        vec![part(
            "Content-Disposition: form-data; name=\"a\"; filename*=utf-8''b",
            "1",
        )],
        vec![part("Content-Disposition: form-data; name=\"a\"; name=\"b\"", "1")],
        vec![part("Content-Disposition: form-data; name=a", "1")],
        vec![part("Content-Disposition: form-data; name=\"a%62\"", "1")],
        vec![part("Content-Disposition: form-data; name=\"a\\\"b\"", "1")],
        vec![part("Content-Disposition: form-data; name*=utf-8''a", "1")],
        vec![part("Content-Disposition: attachment; name=\"a\"", "1")],
        vec![part(
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain; charset=utf-16",
            "1",
        )],
        vec![part(
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: application/json",
            "1",
        )],
        vec![part(
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64",
            "MQ==",
        )],
        vec![part(
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
            "1",
        )],
        vec![part(
            "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain\r\nContent-Type: text/plain",
            "1",
        )],
        vec![part("Content-Disposition: form-data; name=\"\"", "1")],
        vec![part("X-A: b", "1")],
        vec!["preamble\r\n".to_owned(), plain()],
    ] {
        assert!(multipart(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn multipart_that_ends_early_or_goes_on_after_its_end_is_refused() {
    let whole = "--XyZ\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--XyZ--\r\n";
    assert!(Form::multipart(whole.as_bytes(), MULTIPART).is_ok());
    for cut in [&whole[..whole.len() - 4], &whole[..40], &whole[..5], ""] {
        assert!(Form::multipart(cut.as_bytes(), MULTIPART).is_err(), "{cut:?}");
    }
    let more = format!("{whole}--XyZ\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n2\r\n--XyZ--\r\n");
    assert!(Form::multipart(more.as_bytes(), MULTIPART).is_err());
    let lf = whole.replace("\r\n", "\n");
    assert!(Form::multipart(lf.as_bytes(), MULTIPART).is_err());
    assert!(
        Form::multipart(
            &whole
                .as_bytes()
                .iter()
                .map(|b| if *b == b'1' { 0xff } else { *b })
                .collect::<Vec<_>>(),
            MULTIPART
        )
        .is_err()
    );
    assert!(Form::multipart(whole.as_bytes(), "multipart/form-data").is_err());
}

#[test]
fn a_boundary_is_taken_quoted_or_not_and_only_once() {
    let body = b"--a:b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--a:b--";
    for (content_type, fine) in [
        ("multipart/form-data; boundary=a:b", true),
        ("Multipart/Form-Data; Boundary=\"a:b\"; charset=utf-8", true),
        ("multipart/form-data; boundary=a:b; boundary=c", false),
        ("multipart/form-data; boundary=\"a:b", false),
        ("multipart/form-data; boundary=", false),
        ("multipart/form-data; boundary=c", false),
    ] {
        assert_eq!(Form::multipart(body, content_type).is_ok(), fine, "{content_type}");
    }
}

#[test]
fn a_boundary_has_seventy_characters_at_most_and_none_that_needs_quoting() {
    for (boundary, fine) in [
        ("b".repeat(70), true),
        ("b".repeat(71), false),
        ("'()+_,-./:=?".to_owned(), true),
        ("a b".to_owned(), false),
        ("a\\b".to_owned(), false),
    ] {
        let body = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--{boundary}--");
        let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
        let read = Form::multipart(body.as_bytes(), &content_type);
        assert_eq!(read.is_ok(), fine, "{boundary}");
    }
}

mod laws;
