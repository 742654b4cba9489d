//! Which of a client's headers go on.

use http::{HeaderMap, HeaderName, header};

use super::Unreadable;

/// `Connection` may name what concerns the connection, never what the upstream decides by (RFC 9110 §7.6.1).
pub(super) fn check_connection(headers: &HeaderMap) -> Result<(), Unreadable> {
    for value in headers.get_all(header::CONNECTION) {
        let value = value
            .to_str()
            .map_err(|_| Unreadable::bad("the `Connection` header is not readable"))?;
        for option in value.split(',').map(|option| option.trim().to_ascii_lowercase()) {
            if option.is_empty() || CONNECTION_OPTIONS.contains(&option.as_str()) {
                continue;
            }
            if matters(&option) {
                return Err(Unreadable::bad(format!("`Connection` names the header `{option}`")));
            }
        }
    }
    Ok(())
}

fn matters(name: &str) -> bool {
    END_TO_END.contains(&name)
        || END_TO_END_FAMILIES.iter().any(|family| name.starts_with(family))
        || !super::content::is_token(name)
}

/// Removes what could forge what we say about a request, or make the upstream read it differently from us.
/// A trusted proxy may pass on the certificate of the client that it talked to.
pub(super) fn clean(headers: &mut HeaderMap, from_trusted: bool) {
    let gone: Vec<HeaderName> = headers
        .keys()
        .filter(|name| forges(name.as_str(), from_trusted))
        .cloned()
        .collect();
    for name in gone {
        headers.remove(name);
    }
    // We answer it ourselves, by reading the body.
    headers.remove(header::EXPECT);
}

fn forges(name: &str, from_trusted: bool) -> bool {
    // CGI-like upstreams cannot tell `x_forwarded_for` from `x-forwarded-for`.
    name.contains('_')
        || REWRITES.contains(&name)
        || REWRITE_FAMILIES.iter().any(|family| name.starts_with(family))
        || !from_trusted && CERTIFICATE_FAMILIES.iter().any(|family| name.starts_with(family))
}

pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| {
            matches!(
                range.trim().to_ascii_lowercase().as_str(),
                "text/html" | "application/xhtml+xml"
            )
        })
}

pub(super) fn names_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let one = upgrades
        .next()
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    one && upgrades.next().is_none()
}

const CONNECTION_OPTIONS: &[&str] = &[
    "close",
    "keep-alive",
    "upgrade",
    "te",
    "http2-settings",
    "proxy-connection",
];

const END_TO_END: &[&str] = &[
    "authorization",
    "cookie",
    "date",
    "dpop",
    "expect",
    "forwarded",
    "from",
    "host",
    "origin",
    "referer",
    "set-cookie",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "user-agent",
    "via",
];

const END_TO_END_FAMILIES: &[&str] = &["accept", "access-control-", "cache-", "content-", "if-", "sec-", "x-"];

const REWRITES: &[&str] = &[
    "client-ip",
    "forwarded",
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-method-override",
    "x-real-ip",
];

const REWRITE_FAMILIES: &[&str] = &[
    "proxy-",
    "x-forwarded",
    "x-http-method",
    "x-original-",
    "x-rewrite-",
    "x-tollgate-",
];

const CERTIFICATE_FAMILIES: &[&str] = &["client-cert", "ssl-client-", "x-client-cert", "x-ssl-"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_may_not_take_away_what_the_upstream_decides_by() {
        for (value, fine) in [
            ("keep-alive, Upgrade", true),
            ("close", true),
            ("my-hop", true),
            ("Authorization", false),
            ("close, COOKIE", false),
            ("content-type", false),
            ("X-Forwarded-For", false),
            ("x-tollgate-id", false),
            ("host", false),
            ("a b", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONNECTION, value.parse().unwrap());
            assert_eq!(check_connection(&headers).is_ok(), fine, "{value}");
        }
    }

    #[test]
    fn forging_headers_are_dropped_and_the_others_stay() {
        let mut headers = HeaderMap::new();
        for name in [
            "x_forwarded_for",
            "content_type",
            "x-forwarded-prefix",
            "forwarded",
            "x-real-ip",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x-tollgate-request-id",
            "proxy",
            "proxy-authorization",
            "client-cert",
            "client-cert-chain",
            "ssl-client-cert",
            "expect",
        ] {
            headers.insert(HeaderName::from_static(name), "x".parse().unwrap());
        }
        for name in [
            "authorization",
            "cookie",
            "x-requested-with",
            "dpop",
            "te",
            "connection",
        ] {
            headers.insert(HeaderName::from_static(name), "x".parse().unwrap());
        }
        clean(&mut headers, false);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "authorization",
                "connection",
                "cookie",
                "dpop",
                "te",
                "x-requested-with"
            ]
        );
    }

    #[test]
    fn a_browser_that_navigates_wants_html() {
        for (accept, html) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, Text/HTML;q=0.5", true),
            ("*/*", false),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_html(&headers), html, "{accept}");
        }
    }
}
