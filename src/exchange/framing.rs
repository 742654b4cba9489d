//! What hyper leaves open about methods and framing.

use http::{HeaderMap, Method, StatusCode, Version, header};

use super::Unreadable;

/// CONNECT and TRACE are never forwarded; a method in lower case is no method here, whatever an upstream makes of it.
pub(super) fn check_method(method: &Method) -> Result<(), Unreadable> {
    if matches!(method.as_str(), "CONNECT" | "TRACE" | "TRACK") {
        return Err(Unreadable {
            status: StatusCode::METHOD_NOT_ALLOWED,
            reason: format!("the method {method} is not allowed"),
        });
    }
    if method
        .as_str()
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    {
        return Ok(());
    }
    Err(Unreadable {
        status: StatusCode::NOT_IMPLEMENTED,
        reason: "the method is not known here".into(),
    })
}

/// `Transfer-Encoding` is `chunked`, once, alone and in HTTP/1.1 (RFC 9112 §6.1); nothing is expected but 100-continue.
pub(super) fn check(version: Version, headers: &HeaderMap) -> Result<(), Unreadable> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if version != Version::HTTP_11 {
            return Err(Unreadable::bad("only HTTP/1.1 has `Transfer-Encoding`"));
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Unreadable::bad("`Transfer-Encoding` is not exactly `chunked`"));
        }
        if headers.contains_key(header::CONTENT_LENGTH) {
            return Err(Unreadable::bad(
                "there are both `Content-Length` and `Transfer-Encoding`",
            ));
        }
    }
    if headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Unreadable::bad("there is more than one `Content-Length`"));
    }
    let only_continue = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(header::EXPECT).iter().all(only_continue) {
        return Err(Unreadable {
            status: StatusCode::EXPECTATION_FAILED,
            reason: "only `Expect: 100-continue` can be met".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_plain_chunked_is_taken() {
        let te = "transfer-encoding";
        assert!(check(Version::HTTP_11, &headers(&[(te, "Chunked")])).is_ok());
        for bad in [
            &[(te, "gzip, chunked")][..],
            &[(te, "chunked, chunked")],
            &[(te, "chunked"), (te, "chunked")],
            &[(te, "identity")],
            &[(te, "chunked"), ("content-length", "3")],
            &[("content-length", "3"), ("content-length", "3")],
        ] {
            assert_eq!(
                check(Version::HTTP_11, &headers(bad)).unwrap_err().status,
                400,
                "{bad:?}"
            );
        }
        assert!(check(Version::HTTP_10, &headers(&[(te, "chunked")])).is_err());
        assert!(check(Version::HTTP_2, &headers(&[(te, "chunked")])).is_err());
    }

    #[test]
    fn only_100_continue_is_expected() {
        assert!(check(Version::HTTP_11, &headers(&[("expect", "100-Continue")])).is_ok());
        assert_eq!(
            check(Version::HTTP_11, &headers(&[("expect", "200-ok")]))
                .unwrap_err()
                .status,
            417
        );
    }

    #[test]
    fn methods_are_compared_exactly() {
        for (method, status) in [
            ("CONNECT", 405),
            ("TRACE", 405),
            ("post", 501),
            ("Post", 501),
            ("P0ST", 501),
        ] {
            assert_eq!(
                check_method(&method.parse().unwrap()).unwrap_err().status,
                status,
                "{method}"
            );
        }
        for method in ["GET", "POST", "PATCH", "PROPFIND", "M-SEARCH"] {
            assert!(check_method(&method.parse().unwrap()).is_ok());
        }
    }
}
