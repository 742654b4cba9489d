//! Relying parties that are told of a logout by us, since the upstream would tell them under a key that they do not know
//! (OpenID Connect Back-Channel Logout 1.0 §2.5).

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

use super::{connect, error::causes};
use crate::{clock::Period, misconfigured::Misconfigured};

/// `[[logout]]` in `proxy.toml`: a relying party that is told of logouts through Tollgate. Its back-channel logout URL at the
/// provider is then `<public_url>/.tollgate/backchannel-logout`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogoutSettings {
    /// The relying party's client id at the provider.
    pub client_id: String,
    /// Its own back-channel logout endpoint. Who signed its certificate is looked up as for the upstream.
    pub url: String,
    /// Only for logouts of this realm. Default: of any.
    #[serde(default)]
    pub realm: Option<String>,
    /// How long telling it may take, connecting included. Default: `5s`.
    #[serde(default = "timeout")]
    pub timeout: Period,
}

/// All relying parties that are told of logouts.
#[derive(Debug)]
pub struct RelyingParties {
    parties: Vec<RelyingParty>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A relying party that is told of logouts.
#[derive(Debug)]
pub struct RelyingParty {
    client_id: String,
    realm: Option<String>,
    url: Uri,
    timeout: Duration,
}

/// What a relying party made of a logout token (§2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It logged the user out.
    Done,
    /// It refused the token, or the logout failed: 400.
    Refused,
}

/// Why a relying party could not be told. Never quotes what it said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// It did not answer in time.
    #[error("it did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It cannot be reached, or broke off.
    #[error("it cannot be reached: {0}")]
    Away(String),
    /// It answered something else than the specification has.
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl RelyingParties {
    /// Reads the settings; `ca` is the upstream's, looked up below `base`. Connects to nobody yet.
    ///
    /// # Errors
    /// Each setting that cannot be used, as `logout.N.…`.
    pub fn build(settings: &[LogoutSettings], ca: Option<&Path>, base: &Path) -> Result<Self, Vec<Misconfigured>> {
        let (mut parties, mut findings) = (Vec::new(), Vec::new());
        for (index, party) in settings.iter().enumerate() {
            match RelyingParty::read(party) {
                Ok(party) => parties.push(party),
                Err(wrong) => findings.push(wrong.below(&format!("logout.{index}"))),
            }
        }
        let https = parties.iter().any(|party| party.url.scheme_str() == Some("https"));
        let tls = connect::tls(https, ca, None, base)
            .map_err(|wrong| findings.push(wrong))
            .ok();
        let (Some(tls), true) = (tls, findings.is_empty()) else {
            return Err(findings);
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        // A logout is told once: a connection that may be closing is not worth the doubt.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { parties, client })
    }

    /// The relying party with this client id, for logouts of this realm; the first, where there are several.
    pub fn find(&self, client_id: &str, realm: Option<&str>) -> Option<&RelyingParty> {
        self.parties
            .iter()
            .find(|party| party.client_id == client_id && party.realm.as_deref().is_none_or(|only| Some(only) == realm))
    }

    /// Hands it a logout token. Follows no redirect and reads no body.
    ///
    /// # Errors
    /// It did not say within its time whether it logged anybody out.
    pub async fn tell(&self, party: &RelyingParty, logout_token: &str) -> Result<Told, Untold> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("logout_token", logout_token)
            .finish();
        let mut request = Request::new(Full::from(form));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&party.url);
        request.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let answered = tokio::time::timeout(party.timeout, self.client.request(request)).await;
        let answer = answered
            .map_err(|_| Untold::Timeout(party.timeout))?
            .map_err(|error| Untold::Away(causes(&error)))?;
        match answer.status() {
            // §2.8; some answer 204 since they have nothing to say.
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(Told::Done),
            StatusCode::BAD_REQUEST => Ok(Told::Refused),
            other => Err(Untold::Status(other)),
        }
    }
}

impl RelyingParty {
    fn read(settings: &LogoutSettings) -> Result<Self, Misconfigured> {
        if settings.client_id.is_empty() {
            return Err(Misconfigured::new(
                "client_id",
                "the relying party's client id is missing",
            ));
        }
        let wrong = |why: &str| {
            Misconfigured::new("url", format!("this is not the address of a logout endpoint: {why}"))
                .hint("write it like `https://app.example.com/backchannel-logout`")
        };
        let url: Uri = settings.url.parse().map_err(|_| wrong("it is no URL"))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it begins with neither `http://` nor `https://`"));
        }
        if url.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(wrong("it has a user or a password"));
        }
        if !(Period::millis(50)..=Period::secs(60)).contains(&settings.timeout) {
            return Err(
                Misconfigured::new("timeout", format!("a timeout of {} is out of range", settings.timeout))
                    .hint("write a time from `50ms` to `60s`"),
            );
        }
        Ok(Self {
            client_id: settings.client_id.clone(),
            realm: settings.realm.clone(),
            url,
            timeout: settings.timeout.0,
        })
    }
}

fn timeout() -> Period {
    Period::secs(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(toml: &str) -> Result<RelyingParties, Vec<Misconfigured>> {
        #[derive(Deserialize)]
        struct File {
            logout: Vec<LogoutSettings>,
        }
        let file: File = toml::from_str(toml).unwrap();
        RelyingParties::build(&file.logout, None, Path::new("."))
    }

    #[test]
    fn a_relying_party_is_found_by_its_client_id_and_realm() {
        let parties = build(
            "[[logout]]\nclient_id = 'web'\nurl = 'http://a.example/x'\nrealm = 'tg'\n\
             [[logout]]\nclient_id = 'web'\nurl = 'http://b.example/x'\n\
             [[logout]]\nclient_id = 'app'\nurl = 'http://c.example/x'\n",
        )
        .unwrap();
        let host = |client_id, realm| Some(parties.find(client_id, realm)?.url.host().unwrap().to_owned());
        assert_eq!(host("web", Some("tg")).as_deref(), Some("a.example"));
        assert_eq!(host("web", Some("other")).as_deref(), Some("b.example"));
        assert_eq!(host("web", None).as_deref(), Some("b.example"));
        assert_eq!(host("app", Some("tg")).as_deref(), Some("c.example"));
        assert_eq!(host("we", Some("tg")), None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (line, key) in [
            ("client_id = ''\nurl = 'http://a.example'", "logout.0.client_id"),
            ("client_id = 'web'\nurl = 'a.example'", "logout.0.url"),
            ("client_id = 'web'\nurl = 'ftp://a.example'", "logout.0.url"),
            ("client_id = 'web'\nurl = 'http://u:p@a.example'", "logout.0.url"),
            (
                "client_id = 'web'\nurl = 'http://a.example'\ntimeout = '1ms'",
                "logout.0.timeout",
            ),
        ] {
            let wrong = build(&format!("[[logout]]\n{line}\n")).unwrap_err();
            assert_eq!(wrong[0].key, key);
            assert!(!wrong[0].message.contains("u:p"));
        }
    }
}
