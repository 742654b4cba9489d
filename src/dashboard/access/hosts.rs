//! By which names the dashboard may be called, and from where.

use axum::http::{HeaderMap, Uri, header};

use crate::{dashboard::Settings, misconfigured::Misconfigured};

/// The names of the dashboard. An address is always one: no other site can take it over by DNS.
pub(super) struct Hosts {
    names: Vec<String>,
    https: bool,
}

impl Hosts {
    pub(super) fn new(settings: &Settings) -> Result<Self, Misconfigured> {
        let mut names: Vec<String> = settings.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        if let Some(at) = names.iter().position(|name| host(name).is_none_or(|host| host != name)) {
            return Err(Misconfigured::new(format!("admin.names.{at}"), "this is no host name")
                .hint("write a name without scheme and port: `tollgate.example.com`"));
        }
        if settings.address.ip().is_loopback() {
            names.push("localhost".into());
        }
        let mut https = settings.tls.is_some();
        if let Some(url) = &settings.public_url {
            let wrong = || {
                Misconfigured::new("admin.public_url", "this is no address of a whole site")
                    .hint("write it like `https://tollgate.example.com`")
            };
            let url: Uri = url.parse().map_err(|_| wrong())?;
            let is_site = matches!(url.path(), "" | "/") && url.query().is_none();
            https = match url.scheme_str() {
                Some("https") if is_site => true,
                Some("http") if is_site => https,
                _ => return Err(wrong()),
            };
            names.push(url.host().ok_or_else(wrong)?.to_ascii_lowercase());
        }
        Ok(Self { names, https })
    }

    /// Whether browsers use HTTPS.
    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// Host and port as the request names them, where that is a name of ours: exactly one, and for HTTP/2 the same in both places.
    pub(super) fn named(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (first, second) = (hosts.next(), hosts.next());
        let first = first.map(|value| value.to_str()).transpose().ok()?;
        let authority = match (first, uri.authority()) {
            _ if second.is_some() => return None,
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority.as_str()) => return None,
            (Some(host), _) => host,
            (None, Some(authority)) => authority.as_str(),
            (None, None) => return None,
        };
        let authority = authority.to_ascii_lowercase();
        let host = host(&authority)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_known = bare.parse::<std::net::IpAddr>().is_ok() || self.names.iter().any(|name| name == host);
        is_known.then_some(authority)
    }
}

/// Whether a request was made by our own pages, or by somebody who came here: what browsers say of themselves.
pub(super) fn is_own(headers: &HeaderMap, host: &str, is_read: bool) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let origin_fits = text("origin").is_none_or(|origin| {
        let authority = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    });
    let site_fits = match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => true,
        // A link on another site leads here like one in a mail.
        Some(_) => is_read && text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document"),
    };
    origin_fits && site_fits
}

/// The host of `host` or `host:port`.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, "0"),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '[' | ']' | ':');
    let is_port = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (!host.is_empty() && host.chars().all(is_host) && is_port).then_some(host)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn hosts(names: &[&str]) -> Hosts {
        Hosts::new(&Settings {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            ..Settings::default()
        })
        .unwrap()
    }

    fn named(hosts: &Hosts, values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::HOST, HeaderValue::from_str(value).unwrap());
        }
        hosts.named(&Uri::from_static("/"), &headers).is_some()
    }

    #[test]
    fn addresses_and_known_names_are_taken_and_no_others() {
        let hosts = hosts(&["Tollgate.example.com"]);
        for host in [
            "127.0.0.1:9443",
            "127.0.0.1",
            "[::1]:9443",
            "[::1]",
            "10.1.2.3:80",
            "localhost:9443",
            "LOCALHOST",
            "tollgate.example.com",
            "tollgate.example.com:443",
        ] {
            assert!(named(&hosts, &[host]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "tollgate.example.com.evil.example",
            "127.0.0.1:x",
            "127.0.0.1:",
            "a@127.0.0.1",
            "",
        ] {
            assert!(!named(&hosts, &[host]), "{host}");
        }
        assert!(!named(&hosts, &["127.0.0.1", "127.0.0.1"]));
        assert!(!named(&hosts, &[]));
    }

    #[test]
    fn a_name_is_a_name_alone() {
        for name in ["https://a.example", "a.example:443", "a b", ""] {
            let settings = Settings {
                names: vec![name.into()],
                ..Settings::default()
            };
            assert!(Hosts::new(&settings).is_err(), "{name}");
        }
    }
}
