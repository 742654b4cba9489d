//! Answers that can be looked through. Compressed ones cannot, so the upstream is asked for none, save for what makes up the
//! bulk of a console and never has a token in it: scripts, styles, fonts and images.

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, IF_RANGE, RANGE},
};

use crate::exchange::Exchange;

/// Takes out of a request what would make its answer unreadable. What a client says decides nothing here: path and
/// destination only spare assets, and the answer is judged by what it says it is.
pub(super) fn ask(exchange: &mut Exchange) {
    let destination = exchange.headers.get("sec-fetch-dest").map(HeaderValue::as_bytes);
    let is_asset =
        destination.is_some_and(|name| ASSET_DESTINATIONS.contains(&name)) || is_asset(exchange.target.path());
    if is_asset && exchange.method == Method::GET {
        return;
    }
    // A token could be fetched in halves.
    for name in [RANGE, IF_RANGE] {
        exchange.headers.remove(name);
    }
    if exchange.headers.contains_key(ACCEPT_ENCODING) {
        exchange
            .headers
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

/// The coding of a body that should be looked through and cannot be.
pub(super) fn unreadable_coding(headers: &HeaderMap) -> Option<String> {
    let coded = |value: &&HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    let coding = headers.get_all(CONTENT_ENCODING).iter().find(coded)?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    let is_asset = ASSET_TYPES
        .iter()
        .any(|known| *known == essence || known.ends_with('/') && essence.starts_with(known));
    (!is_asset).then(|| {
        String::from_utf8_lossy(coding.as_bytes())
            .escape_debug()
            .take(40)
            .collect()
    })
}

fn is_asset(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.')
        .is_some_and(|(_, ending)| ASSET_ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

const ASSET_DESTINATIONS: [&[u8]; 4] = [b"font", b"image", b"script", b"style"];

const ASSET_ENDINGS: [&str; 14] = [
    "css", "gif", "ico", "jpeg", "jpg", "js", "mjs", "otf", "png", "svg", "ttf", "webp", "woff", "woff2",
];

const ASSET_TYPES: [&str; 7] = [
    "application/javascript",
    "application/x-javascript",
    "font/",
    "image/",
    "text/css",
    "text/ecmascript",
    "text/javascript",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_told_by_their_ending() {
        for path in ["/resources/a1/admin/app.js", "/x/login-bg.PNG", "/fonts/x.woff2"] {
            assert!(is_asset(path), "{path}");
        }
        for path in [
            "/",
            "/realms/tg/account",
            "/a.js/b",
            "/js",
            "/x.json",
            "/x.html",
            "/x.js.map",
        ] {
            assert!(!is_asset(path), "{path}");
        }
    }

    #[test]
    fn a_compressed_body_is_readable_to_nobody_here_unless_it_is_an_asset() {
        for (content_type, encoding, readable) in [
            ("text/html;charset=UTF-8", "gzip", false),
            ("application/json", "br", false),
            ("", "gzip", false),
            ("image/svg+xml", "gzip", true),
            ("text/javascript; charset=utf-8", "GZIP", true),
            ("Application/JavaScript", "gzip", true),
            ("text/html", "Identity", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            assert_eq!(
                unreadable_coding(&headers).is_none(),
                readable,
                "{content_type} {encoding}"
            );
        }
        assert_eq!(unreadable_coding(&HeaderMap::new()), None);
    }
}
