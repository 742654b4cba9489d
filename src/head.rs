//! Message heads that hold no more memory than they need.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Uri};

/// Copies the values into one buffer of just their size.
///
/// Those that hyper reads are slices of the buffer that they came in, and hold all of it, 8 KiB at least, for as long as one of them is
/// kept; hyper has to make another one meanwhile.
pub fn detach(headers: &mut HeaderMap) {
    let length = headers.values().map(HeaderValue::len).sum();
    let mut values = BytesMut::with_capacity(length);
    for value in headers.values() {
        values.extend_from_slice(value.as_bytes());
    }
    let mut values = values.freeze();
    for value in headers.values_mut() {
        let own = values.split_to(value.len());
        if let Ok(mut own) = HeaderValue::from_maybe_shared(own) {
            own.set_sensitive(value.is_sensitive());
            *value = own;
        }
    }
}

/// The same for a request target in origin-form. Others are rare, and stay as they are.
pub fn detach_target(target: &mut Uri) {
    if target.authority().is_none()
        && let Some(path) = target.path_and_query()
        && let Ok(own) = Uri::try_from(path.as_str())
    {
        *target = own;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn nothing_of_the_buffer_is_held() {
        let read = Bytes::from(b"/a?b=c one two".to_vec());
        let mut target = Uri::from_maybe_shared(read.slice(..6)).unwrap();
        let mut headers = HeaderMap::new();
        let values = [read.slice(7..10), read.slice(11..), Bytes::new()];
        for value in &values {
            headers.append("x", HeaderValue::from_maybe_shared(value.clone()).unwrap());
        }
        headers.get_mut("x").unwrap().set_sensitive(true);
        drop(values);

        detach(&mut headers);
        detach_target(&mut target);
        assert!(read.is_unique());
        let kept: Vec<_> = headers.get_all("x").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(kept, [b"one".as_slice(), b"two", b""]);
        assert!(headers["x"].is_sensitive());
        assert_eq!(target, "/a?b=c");
    }

    #[test]
    fn a_target_of_another_form_stays() {
        for text in ["*", "http://id.example.com/a", "id.example.com:443"] {
            let mut target: Uri = text.parse().unwrap();
            detach_target(&mut target);
            assert_eq!(target, text);
        }
    }
}
