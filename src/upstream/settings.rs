//! `[upstream]` in `proxy.toml`.

use std::path::PathBuf;

use http::{Uri, uri::Authority};
use jiff::Timestamp;
use serde::Deserialize;

use super::{certificate_header::CertificateHeaderSettings, health::HealthCheckSettings, service};
use crate::{clock::Period, misconfigured::Misconfigured};

/// The identity provider behind the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it listens: `http://127.0.0.1:8080`. A path, such as `/auth`, is where the provider has its own.
    pub url: String,
    /// Where it listens, if at several places: `["10.0.0.1:8080", "10.0.0.2:8080"]`, hosts and ports. Scheme, path and the name in
    /// the certificate are then those of `url`, and nobody connects to its host. Default: the host of `url`.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Asks every address from time to time whether it is well: `{ path = "/health", interval = "5s" }`; `{}` for the defaults.
    /// Off by default. An address that cannot be reached is left out for 10 s either way, and all are tried when none is well.
    #[serde(default)]
    pub health_check: Option<HealthCheckSettings>,
    /// `auto`: HTTP/2 where its TLS offers it, else HTTP/1.1; `1` or `2`: that one, `2` also without TLS. Default: `auto`.
    #[serde(default)]
    pub http: HttpVersion,
    /// A PEM file with the certificate that Tollgate shows the provider (mTLS), its chain behind it. Needs `client_key`.
    #[serde(default)]
    pub client_certificate: Option<PathBuf>,
    /// Its private key, unencrypted.
    #[serde(default)]
    pub client_key: Option<PathBuf>,
    /// How many idle connections are kept for each address. Default: 256.
    #[serde(default = "max_idle_connections")]
    pub max_idle_connections: usize,
    /// How long a connection is kept idle; shorter than the provider keeps it. Default: `15s`.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: Period,
    /// What it is: a file of `presets/` by its name; `generic` for any provider with a discovery document; or the path of a preset
    /// of your own, which ends in `.toml`. Default: `generic`.
    #[serde(default = "generic")]
    pub preset: String,
    /// `preserve`: the provider already calls itself by `public_url`, and `iss` stays as it is. Default: `preserve`.
    #[serde(default)]
    pub issuer: IssuerPolicy,
    /// A PEM file of certificate authorities to trust besides the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// How long connecting may take, TLS included. Default: `5s`.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Period,
    /// How long the upstream may take to begin its answer once it has the request; for a request that is acted upon, to finish
    /// it. Default: `30s`.
    #[serde(default = "response_timeout")]
    pub response_timeout: Period,
    /// What is done with a token of the provider's own that is found in any answer, header or body, on its way out: `block`
    /// ends the answer before the token, `log` lets it pass and says so, `off` does not look. Answers are then asked for
    /// uncompressed, save scripts, styles, fonts and images. Default: `block`.
    #[serde(default)]
    pub egress: Egress,
    /// Whether a `[[route]]` is printed to standard output for each request that no route fits though it looks like a signup, an
    /// invitation or a token request, by the names in it. Bodies up to 64 KiB are read for that before they are forwarded.
    /// Default: `false`.
    #[serde(default)]
    pub learn: bool,
    /// Fields of the signup form that are sent to interceptors as `user.attributes`; passwords never are.
    #[serde(default)]
    pub signup_attributes: Vec<String>,
    /// What becomes of SAML, whose assertions no interceptor is asked about: `allow` lets it through, `block` refuses it.
    /// Default: `block` where a PRE_SESSION_CREATION interceptor has `on_failure = "deny"`, else `allow`.
    #[serde(default)]
    pub saml: Option<Saml>,
    /// The header in which the provider finds the TLS certificate of a client, where `listen.tls` asks for one. A client's own
    /// header of that name is taken out of every request. Default: `{ name = "Client-Cert", form = "rfc9440" }`.
    #[serde(default)]
    pub client_certificate_header: CertificateHeaderSettings,
    /// A client of the provider that may look at and change accounts at its admin API:
    /// `{ client_id = "tollgate", client_secret = { env = "…" } }`. What needs it is off without it.
    #[serde(default)]
    pub service_account: Option<service::Settings>,
    /// Asks PRE_SIGNUP at the first token of a user that nobody was asked about: `{ since = "2026-11-24T00:00:00Z" }`.
    /// Needs `service_account`. Off by default.
    #[serde(default)]
    pub late_signup: Option<LateSignup>,
}

/// Which versions of HTTP are spoken with the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum HttpVersion {
    /// What it offers (ALPN, RFC 7301).
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1.
    #[serde(rename = "1")]
    Http1,
    /// HTTP/2, without TLS by prior knowledge (RFC 9113 §3.3).
    #[serde(rename = "2")]
    Http2,
}

/// What becomes of SAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Saml {
    /// It passes, and nobody is asked.
    Allow,
    /// It is refused.
    Block,
}

/// Which users must have been asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateSignup {
    /// Those whose account was made at this time or later; a time such as `2026-11-24T00:00:00Z`.
    pub since: Timestamp,
}

/// What becomes of `iss`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssuerPolicy {
    /// It stays.
    #[default]
    Preserve,
    /// It becomes the public URL; not in this version.
    Rewrite,
}

/// What becomes of an answer with a token of the upstream's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// It ends before the token.
    #[default]
    Block,
    /// It passes, with a record.
    Log,
    /// Nobody looks.
    Off,
}

impl Settings {
    pub(super) fn uri(&self) -> Result<Uri, Misconfigured> {
        if self.issuer == IssuerPolicy::Rewrite {
            return Err(
                Misconfigured::new("upstream.issuer", "`rewrite` is not in this version")
                    .hint("let the provider call itself by the public URL, and write `preserve`"),
            );
        }
        if self.late_signup.is_some() && self.service_account.is_none() {
            return Err(Misconfigured::new(
                "upstream.late_signup",
                "who was asked about can only be seen with a `service_account`",
            )
            .hint(
                "add `service_account = { client_id = \"tollgate\", client_secret = { env = \"…\" } }` to `[upstream]`",
            ));
        }
        let wrong = |why: &str| {
            Misconfigured::new(
                "upstream.url",
                format!("this is not the address of an HTTP server: {why}"),
            )
            .hint("write it like `http://127.0.0.1:8080` or `https://idp.internal`")
        };
        let uri: Uri = self.url.parse().map_err(|_| wrong("it is no URL"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            _ => return Err(wrong("it begins with neither `http://` nor `https://`")),
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) || uri.query().is_some() {
            return Err(wrong("it has a user, a password or a query"));
        }
        if let Some(check) = &self.health_check {
            check.validate()?;
        }
        Ok(uri)
    }

    /// Where connections go: `addresses`, or the host of `url`.
    pub(super) fn places(&self, url: &Uri) -> Result<Vec<Authority>, Misconfigured> {
        if self.addresses.is_empty() {
            return Ok(url.authority().cloned().into_iter().collect());
        }
        let wrong = |index: usize, what: String| {
            Misconfigured::new(format!("upstream.addresses.{index}"), what).hint(
                "write host and port, like `10.0.0.1:8080` or `idp-1.internal:8443`; scheme and path are those of `url`",
            )
        };
        let mut places: Vec<Authority> = Vec::new();
        for (index, written) in self.addresses.iter().enumerate() {
            let place = written.parse::<Authority>().ok();
            let place = place.filter(|place| place.port_u16().is_some() && !place.as_str().contains('@'));
            let Some(place) = place else {
                return Err(wrong(index, "this is not a host with a port".into()));
            };
            if places.contains(&place) {
                return Err(wrong(index, format!("`{place}` is there twice")));
            }
            places.push(place);
        }
        Ok(places)
    }

    /// The names of the addresses, as metrics and the dashboard have them.
    pub fn address_names(&self) -> Vec<String> {
        let url: Option<Uri> = self.url.parse().ok();
        let places = url.and_then(|url| self.places(&url).ok()).unwrap_or_default();
        places.iter().map(ToString::to_string).collect()
    }
}

fn generic() -> String {
    "generic".into()
}

fn max_idle_connections() -> usize {
    256
}

fn idle_timeout() -> Period {
    Period::secs(15)
}

fn connect_timeout() -> Period {
    Period::secs(5)
}

fn response_timeout() -> Period {
    Period::secs(30)
}
