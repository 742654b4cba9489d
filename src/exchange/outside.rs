//! How Tollgate is seen from outside, and who may speak for a client.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version, header,
    uri::{Authority, Scheme},
};
use ipnet::IpNet;

use super::Unreadable;
use crate::misconfigured::Misconfigured;

/// The public address, the names clients may use, and the proxies whose word counts.
#[derive(Clone, Debug)]
pub struct Outside {
    https: bool,
    authority: Authority,
    names: Vec<Authority>,
    trusted_proxies: Vec<IpNet>,
    host: HeaderValue,
    port: HeaderValue,
}

impl Outside {
    /// Takes `listen.public_url`, `listen.names` and `listen.trusted_proxies`.
    pub fn new(public_url: &str, names: &[String], trusted_proxies: &[IpNet]) -> Result<Self, Misconfigured> {
        let wrong = |message: &str| {
            Misconfigured::new("listen.public_url", message)
                .hint("write the address that clients use, like `https://id.example.com`")
        };
        let url: Uri = public_url.parse().map_err(|_| wrong("this is no URL"))?;
        let https = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(wrong("the public URL starts with neither `https://` nor `http://`")),
        };
        let authority = url.authority().ok_or_else(|| wrong("the public URL has no host"))?;
        if url.path() != "/" || url.query().is_some() || public_url.contains('#') {
            return Err(wrong("the public URL has a path; Tollgate takes over the whole site"));
        }
        let authority =
            canonical(authority.as_str(), https).ok_or_else(|| wrong("the public URL's host is not valid"))?;
        let names = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                canonical(name, https).ok_or_else(|| {
                    Misconfigured::new(format!("listen.names.{at}"), "this is no host name")
                        .hint("write a host, with its port where it is not the scheme's own: `id.example.org:8443`")
                })
            })
            .collect::<Result<_, _>>()?;
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        Ok(Self {
            https,
            host: header_value(authority.as_str()).map_err(|()| wrong("the public URL's host is not valid"))?,
            port: HeaderValue::from(port),
            authority,
            names,
            trusted_proxies: trusted_proxies.to_vec(),
        })
    }

    /// The public origin: `https://id.example.com`, without the scheme's own port.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority)
    }

    /// The headers that tell the upstream from where it is seen, for requests of our own.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.stamp(&mut headers, None);
        headers
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Host and port as clients see them, without the scheme's own port.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// Writes what the upstream must know: `Host` and `X-Forwarded-*` of the public address, and the client's address.
    ///
    /// One address only in `X-Forwarded-For`: servers take the first of a chain, which a client could have written.
    pub fn stamp(&self, headers: &mut HeaderMap, client_ip: Option<IpAddr>) {
        headers.insert(header::HOST, self.host.clone());
        headers.insert(X_FORWARDED_HOST, self.host.clone());
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(self.scheme()));
        headers.insert(X_FORWARDED_PORT, self.port.clone());
        headers.remove(X_FORWARDED_FOR);
        if let Some(Ok(address)) = client_ip.map(|ip| header_value(&ip.to_string())) {
            headers.insert(X_FORWARDED_FOR, address);
        }
    }

    /// Whether what this address says of a client is believed.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&ip))
    }

    /// The rightmost address of the chain that is no trusted proxy. What cannot be read ends the chain: the proxy that
    /// passed it on then counts as the client.
    pub(super) fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer.to_canonical();
        let lines: Vec<&[u8]> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        for hop in hops {
            if !self.trusts(nearest) {
                break;
            }
            let Some(ip) = std::str::from_utf8(hop)
                .ok()
                .and_then(|text| text.trim().parse::<IpAddr>().ok())
            else {
                break;
            };
            nearest = ip.to_canonical();
        }
        nearest
    }

    /// Every way in which a `Host` may name `text`, a host of the public URL or the public URL itself, in lower case: with and
    /// without the scheme's own port. None where that cannot be read.
    pub fn spellings(public_url: &str, text: &str) -> Vec<String> {
        let https = public_url.to_ascii_lowercase().starts_with("https://");
        let host = text.split_once("://").map_or(text, |(_, rest)| rest);
        let Some(named) = canonical(host.trim_end_matches('/'), https) else {
            return Vec::new();
        };
        let port = if https { 443 } else { 80 };
        let with_port = named.port().is_none().then(|| format!("{named}:{port}"));
        std::iter::once(named.to_string()).chain(with_port).collect()
    }

    /// The same of all names.
    pub fn all_spellings(&self) -> Vec<String> {
        let all = std::iter::once(&self.authority).chain(&self.names);
        all.flat_map(|name| Self::spellings(&self.origin(), name.as_str()))
            .collect()
    }

    /// Exactly one valid `Host`, equal to HTTP/2's `:authority`, and one of our names (RFC 9112 §3.2).
    pub(super) fn check_host(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Unreadable> {
        let named = one_host(version, uri, headers)?;
        if named == self.authority.as_str() {
            return Ok(());
        }
        let named = canonical(named, self.https).ok_or_else(not_valid)?;
        let known = named == self.authority || self.names.contains(&named);
        known
            .then_some(())
            .ok_or_else(|| Unreadable::bad("the `Host` is not a name of this server"))
    }
}

/// The host that a request names, as it is written: exactly one valid `Host`, equal to HTTP/2's `:authority`.
///
/// # Errors
/// There is none, more than one, or one that is no host.
pub fn named_host<'r>(version: Version, uri: &'r Uri, headers: &'r HeaderMap) -> Result<&'r str, Unreadable> {
    let named = one_host(version, uri, headers)?;
    canonical(named, true).map(|_| named).ok_or_else(not_valid)
}

/// The same, not yet judged.
fn one_host<'r>(version: Version, uri: &'r Uri, headers: &'r HeaderMap) -> Result<&'r str, Unreadable> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Unreadable::bad("there is more than one `Host` header"));
    }
    let host = host.map(|value| value.to_str().map_err(|_| not_valid())).transpose()?;
    let authority = uri.authority().filter(|_| version >= Version::HTTP_2);
    match (host, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority.as_str()) => {
            Err(Unreadable::bad("`Host` and `:authority` differ"))
        }
        (Some(host), _) => Ok(host),
        (None, Some(authority)) => Ok(authority.as_str()),
        (None, None) => Err(Unreadable::bad("there is no `Host` header")),
    }
}

fn not_valid() -> Unreadable {
    Unreadable::bad("the `Host` header is not valid")
}

/// Lower case, without the scheme's own port; `None` for anything but `host` or `host:port`.
fn canonical(text: &str, https: bool) -> Option<Authority> {
    let text = text.to_ascii_lowercase();
    let read: Authority = text.parse().ok()?;
    let host_chars = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
    if read.host().is_empty() || !text.chars().all(host_chars) {
        return None;
    }
    match read.port() {
        None if text.len() == read.host().len() => Some(read),
        None => None,
        Some(port) if Some(port.as_u16()) == Some(if https { 443 } else { 80 }) => read.host().parse().ok(),
        Some(port) if text == format!("{}:{}", read.host(), port.as_u16()) => Some(read),
        Some(_) => None,
    }
}

fn header_value(text: &str) -> Result<HeaderValue, ()> {
    HeaderValue::from_str(text).map_err(|_| ())
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests;
