//! What hyper does not say of a head that it has read: looked up in the bytes themselves.

use http::{HeaderMap, HeaderValue, Method, header};

/// Why a head is refused before any service sees it, as hyper refuses others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Untidy {
    /// hyper takes a bare line feed for the end of a line. A proxy before us may not, and sees other headers than we do.
    #[error("a line of the head ends without a carriage return")]
    BareLineFeed,
    /// `http::Uri` drops a fragment silently.
    #[error("the request target has a fragment")]
    Fragment,
}

/// Checks the bytes of a head, and puts every `Content-Length` back: hyper drops the one beside a `Transfer-Encoding` and
/// all but the first of several, so nobody could refuse them.
///
/// Knows nothing, and says nothing, of a request that came before the one ahead of it was answered; hyper's own reading then
/// stands, which closes the connection after a request with both framings.
pub(super) fn check(method: &Method, raw: &[u8], headers: &mut HeaderMap) -> Result<(), Untidy> {
    let Some(head) = Head::find(method, raw) else {
        return Ok(());
    };
    if head.bare_line_feed {
        return Err(Untidy::BareLineFeed);
    }
    if head.lines.first().is_some_and(|line| line.contains(&b'#')) {
        return Err(Untidy::Fragment);
    }
    let values = head
        .lines
        .iter()
        .filter_map(|line| value_of(line, header::CONTENT_LENGTH.as_str()));
    let lengths: Vec<HeaderValue> = values
        .flat_map(|value| HeaderValue::from_bytes(value.trim_ascii()))
        .collect();
    if lengths.len() != headers.get_all(header::CONTENT_LENGTH).iter().count() {
        headers.remove(header::CONTENT_LENGTH);
        for length in lengths {
            headers.append(header::CONTENT_LENGTH, length);
        }
    }
    Ok(())
}

/// Whether a body's length could be read in two ways. Whatever is answered then, what follows on the connection could be
/// taken for a request by us and for a body by others, so it must not be read.
pub(super) fn is_doubtful(headers: &HeaderMap) -> bool {
    let codings: Vec<&HeaderValue> = headers.get_all(header::TRANSFER_ENCODING).iter().collect();
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    match codings.as_slice() {
        [] => lengths > 1,
        [coding] => lengths > 0 || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => true,
    }
}

struct Head<'r> {
    lines: Vec<&'r [u8]>,
    bare_line_feed: bool,
}

impl<'r> Head<'r> {
    /// The lines up to the first empty one, if they are the whole head of a request with this method.
    fn find(method: &Method, raw: &'r [u8]) -> Option<Self> {
        let (mut lines, mut bare_line_feed) = (Vec::new(), false);
        for line in raw.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n")?;
            let (line, bare) = line.strip_suffix(b"\r").map_or((line, true), |line| (line, false));
            bare_line_feed |= bare;
            match line {
                // Empty lines before the request line are nobody's (RFC 9112 §2.2).
                [] if lines.is_empty() => {}
                [] => return Some(Self { lines, bare_line_feed }),
                line => lines.push(line),
            }
            let begins = lines
                .first()
                .is_none_or(|first| first.starts_with(method.as_str().as_bytes()));
            if !begins {
                return None;
            }
        }
        None
    }
}

fn value_of<'l>(line: &'l [u8], name: &str) -> Option<&'l [u8]> {
    let (own, value) = line.split_at_checked(name.len())?;
    own.eq_ignore_ascii_case(name.as_bytes())
        .then_some(value)?
        .strip_prefix(b":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(raw: &str) -> Vec<String> {
        let mut headers = HeaderMap::new();
        check(&Method::POST, raw.as_bytes(), &mut headers).unwrap();
        let values = headers.get_all(header::CONTENT_LENGTH).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_content_length_of_the_head_comes_back_and_none_of_the_body() {
        assert_eq!(
            lengths("POST / HTTP/1.1\r\ncontent-LENGTH: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ["3"]
        );
        assert_eq!(
            lengths("\r\nPOST / HTTP/1.1\r\nContent-Length:3\r\nContent-Length: 3 \r\n\r\nabc"),
            ["3", "3"]
        );
        assert_eq!(
            lengths("POST / HTTP/1.1\r\nA: b\r\n\r\nContent-Length: 9\r\nx\ny"),
            [""; 0]
        );
    }

    #[test]
    fn only_one_framing_is_beyond_doubt() {
        let (te, cl) = (header::TRANSFER_ENCODING, header::CONTENT_LENGTH);
        for (pairs, doubtful) in [
            (&[][..], false),
            (&[(&cl, "3")], false),
            (&[(&te, "Chunked")], false),
            (&[(&te, "chunked, chunked")], true),
            (&[(&te, "chunked"), (&te, "chunked")], true),
            (&[(&te, "chunked"), (&cl, "3")], true),
            (&[(&cl, "3"), (&cl, "3")], true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_doubtful(&headers), doubtful, "{pairs:?}");
        }
    }

    #[test]
    fn bare_line_feeds_and_fragments_are_refused() {
        for (raw, error) in [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Untidy::BareLineFeed),
            (
                "GET / HTTP/1.1\r\nA: b\nContent-Length: 5\r\n\r\n",
                Untidy::BareLineFeed,
            ),
            ("GET / HTTP/1.1\r\nA: b\r\n\n", Untidy::BareLineFeed),
            ("GET /a#b HTTP/1.1\r\nA: b\r\n\r\n", Untidy::Fragment),
        ] {
            assert_eq!(
                check(&Method::GET, raw.as_bytes(), &mut HeaderMap::new()),
                Err(error),
                "{raw:?}"
            );
        }
    }

    #[test]
    fn what_is_not_the_whole_head_says_nothing() {
        for raw in ["", "POST / HTTP/1.1\r\nContent-Length: 3\r\n", "ngth: 3\nA: b\r\n\r\n"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(7));
            assert_eq!(check(&Method::POST, raw.as_bytes(), &mut headers), Ok(()));
            assert_eq!(headers[header::CONTENT_LENGTH], "7");
        }
    }
}
