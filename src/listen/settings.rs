//! `[listen]` in `proxy.toml`.

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use crate::clock::Period;

/// `[listen]`: where clients connect, and what their connections may cost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on: `0.0.0.0:8443`.
    pub address: SocketAddr,
    /// The address that clients use, without a path: `https://id.example.com`.
    pub public_url: String,
    /// Further host names that clients may use; a `Host` that is neither here nor in `public_url` is refused.
    #[serde(default)]
    pub names: Vec<String>,
    /// The certificate to serve TLS with; leave it out for plain HTTP behind another proxy.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Networks of proxies whose `X-Forwarded-For` counts. None by default: everybody else's is replaced.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
    /// How many connections are open at once; more wait until one closes. Default: 10000.
    #[serde(default = "max_connections")]
    pub max_connections: usize,
    /// How many of them one address may have; without a limit by default. More are closed at once. Behind a proxy, that is the
    /// proxy's address.
    #[serde(default)]
    pub max_connections_per_ip: Option<usize>,
    /// How many requests may be under way at once, from when their body was read to when their answer begins; requests with a
    /// body that streams through have as many places again. One more is answered 503 with `Retry-After`. Default: 2000.
    #[serde(default = "max_requests")]
    pub max_requests: usize,
    /// How many of them may be signups, token requests and the like, which wait for interceptors. One more is answered 503
    /// before anybody is asked. Default: 1000.
    #[serde(default = "max_paused")]
    pub max_paused: usize,
    /// How long a request's head may take, counted from its first byte; also a TLS handshake, and a new connection's first
    /// request. Default: `10s`.
    #[serde(default = "header_timeout")]
    pub header_timeout: Period,
    /// How long a connection may stay open between requests. Default: `75s`.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Period,
    /// How long a request's body may stall, and how long a client may leave an answer unread. Default: `30s`.
    #[serde(default = "body_timeout")]
    pub body_timeout: Period,
    /// Bytes a second that a request's body must reach on average once `body_timeout` has passed; only time spent waiting for the
    /// client counts. Default: 1024.
    #[serde(default = "min_body_rate")]
    pub min_body_rate: u64,
    /// Bytes that a request's head may have. Default: 65536.
    #[serde(default = "max_head")]
    pub max_head: usize,
    /// How long requests in flight may take to finish when the process is told to end. Default: `30s`.
    #[serde(default = "drain_timeout")]
    pub drain_timeout: Period,
}

impl Settings {
    /// For a listener beside the public one, at another address; its limits are the defaults, save that few connect to it.
    pub fn at(address: SocketAddr, tls: Option<Tls>) -> Self {
        Self {
            address,
            public_url: String::new(),
            names: Vec::new(),
            tls,
            trusted_proxies: Vec::new(),
            max_connections: ADMIN_CONNECTIONS,
            max_connections_per_ip: None,
            max_requests: max_requests(),
            max_paused: max_paused(),
            header_timeout: header_timeout(),
            idle_timeout: idle_timeout(),
            body_timeout: body_timeout(),
            min_body_rate: min_body_rate(),
            max_head: max_head(),
            drain_timeout: ADMIN_DRAIN,
        }
    }
}

/// `listen.tls`: PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Its private key, unencrypted.
    pub key: PathBuf,
    /// Whether clients are asked for a certificate of theirs, for clients that log in with one or whose tokens are bound to one
    /// (RFC 8705). Nobody has to have one. Not by default: browsers ask their users which one to send.
    #[serde(default)]
    pub client_certificates: Option<ClientCertificates>,
}

/// Which certificates of clients are taken. Either way the client has proved that it has the key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ClientCertificates {
    /// Those of the authorities in this PEM file; a connection with another one fails. For an upstream that goes by the names
    /// in a certificate.
    Ca(PathBuf),
    /// Every one, expired and self-signed ones too: names in it say nothing, only the key does. For an upstream that knows the
    /// certificate of each client, or binds tokens to it and does no more.
    Any,
}

/// Nobody's login hangs on a page of the dashboard, but a live page may stay open for ever.
const ADMIN_DRAIN: Period = Period::secs(2);
const ADMIN_CONNECTIONS: usize = 500;

fn max_connections() -> usize {
    10_000
}

fn max_requests() -> usize {
    2_000
}

fn max_paused() -> usize {
    1_000
}

fn header_timeout() -> Period {
    Period::secs(10)
}

fn idle_timeout() -> Period {
    Period::secs(75)
}

fn body_timeout() -> Period {
    Period::secs(30)
}

fn min_body_rate() -> u64 {
    1024
}

fn max_head() -> usize {
    64 * 1024
}

fn drain_timeout() -> Period {
    Period::secs(30)
}
