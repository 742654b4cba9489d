//! The operator's service account at the upstream's admin API.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{Upstream, UpstreamError};
use crate::{
    body, json,
    misconfigured::Misconfigured,
    preset::{Accounts, Call},
    route::Captures,
    secret::{Secret, SecretSource},
};

/// `service_account` of `[upstream]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The client's `client_id`: a confidential client that may get tokens for itself, look at accounts, change them, and, for
    /// memberships, organizations.
    pub client_id: String,
    /// Its secret: `{ file = "…" }` or `{ env = "…" }`.
    pub client_secret: SecretSource,
    /// The realm that the client is in, such as `master`. Without it the client is looked for in the realm that a request is
    /// about, under the same name and secret in each.
    #[serde(default)]
    pub realm: Option<String>,
}

/// The account, with the tokens that it has just now.
#[derive(Debug)]
pub struct ServiceAccount {
    upstream: Upstream,
    headers: HeaderMap,
    accounts: Accounts,
    settings: Settings,
    secret: Secret,
    tokens: Mutex<HashMap<String, (HeaderValue, Instant)>>,
}

/// Why a call of the admin API came to nothing. Never shows a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ServiceError {
    /// No token: the client, its secret, or the realm is another one.
    #[error("the service account `{0}` gets no token: {1}")]
    NoToken(String, String),
    /// The upstream said no.
    #[error("the upstream answered {1} to `{0}`")]
    Status(String, StatusCode),
    /// No answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The answer is no JSON.
    #[error("the upstream's answer to `{0}` cannot be read")]
    Unreadable(String),
    /// The preset asks for a value that there is none of.
    #[error("`{0}` cannot be called: a value for it is missing")]
    Unfilled(String),
}

impl ServiceAccount {
    /// Reads the secret; `headers` tell the upstream from where it is seen. Talks to nobody yet.
    ///
    /// # Errors
    /// A secret that cannot be read; a preset without an admin API.
    pub fn new(
        settings: &Settings,
        accounts: Option<&Accounts>,
        upstream: &Upstream,
        headers: HeaderMap,
        base: &Path,
    ) -> Result<Self, Misconfigured> {
        let accounts = accounts.ok_or_else(|| {
            Misconfigured::new(
                "upstream.service_account",
                "the preset knows no admin API that a service account could use",
            )
            .hint("leave `service_account` out, or use a preset that has `[accounts]`")
        })?;
        let secret = settings.client_secret.read(base).map_err(|e| {
            Misconfigured::new("upstream.service_account.client_secret", e.to_string())
                .hint("put the client's secret there; the provider's console shows it")
        })?;
        if secret.expose_str().is_none() {
            return Err(Misconfigured::new(
                "upstream.service_account.client_secret",
                format!("the secret in {} is no text", settings.client_secret),
            ));
        }
        Ok(Self {
            upstream: upstream.clone(),
            headers,
            accounts: accounts.clone(),
            settings: settings.clone(),
            secret,
            tokens: Mutex::default(),
        })
    }

    /// The admin API that it uses.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Its `client_id`.
    pub fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// Makes one call; null where the answer is empty. A token that the upstream no longer takes is replaced once.
    ///
    /// # Errors
    /// Any answer but a success.
    pub async fn call(&self, call: &Call, values: &Captures) -> Result<Value, ServiceError> {
        let name = || format!("{} {}", call.method, call.path.as_str());
        let unfilled = || ServiceError::Unfilled(name());
        let realm = match &self.settings.realm {
            Some(realm) => realm,
            None => values.get("realm").ok_or_else(unfilled)?,
        };
        let target = call.target(values).ok_or_else(unfilled)?;
        let content = Bytes::from(call.content(values).ok_or_else(unfilled)?);
        let method = Method::from_bytes(call.method.as_bytes()).map_err(|_| unfilled())?;
        let mut answer = None;
        for _ in 0..2 {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, self.token(realm).await?);
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            if !content.is_empty() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            let got = self.send(method.clone(), &target, headers, content.clone()).await?;
            if got.status() != StatusCode::UNAUTHORIZED {
                answer = Some(got);
                break;
            }
            self.kept().remove(realm);
        }
        let answer = answer.ok_or_else(|| ServiceError::Status(name(), StatusCode::UNAUTHORIZED))?;
        if !answer.status().is_success() {
            return Err(ServiceError::Status(name(), answer.status()));
        }
        if answer.body().is_empty() {
            return Ok(Value::Null);
        }
        json::parse(answer.body()).map_err(|_| ServiceError::Unreadable(name()))
    }

    /// `Bearer …`, kept until shortly before it expires.
    async fn token(&self, realm: &str) -> Result<HeaderValue, ServiceError> {
        if let Some((token, until)) = self.kept().get(realm)
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let none = |why: &str| ServiceError::NoToken(self.settings.client_id.clone(), why.to_owned());
        let values: Captures = [("realm", realm)].into_iter().collect();
        let path = self
            .accounts
            .token
            .fill(&values)
            .ok_or_else(|| none("its realm has no name"))?;
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("client_secret", self.secret.expose_str().unwrap_or_default())
            .finish();
        let answer = self.send(Method::POST, &path, headers, form.into()).await?;
        let document = json::parse(answer.body()).unwrap_or_default();
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if !answer.status().is_success() {
            let error = text("error").unwrap_or("no reason");
            let said: String = error.chars().filter(|c| !c.is_control()).take(100).collect();
            return Err(none(&format!(
                "the upstream answered {} ({said}) in the realm `{realm}`",
                answer.status()
            )));
        }
        let token = text("access_token").ok_or_else(|| none("the answer has no `access_token`"))?;
        let mut token = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| none("it cannot be sent"))?;
        token.set_sensitive(true);
        let lives = document.get("expires_in").and_then(Value::as_u64).unwrap_or_default();
        let until = Instant::now() + Duration::from_secs(lives.min(3600)).saturating_sub(EARLY);
        let mut kept = self.kept();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(realm.to_owned(), (token.clone(), until));
        Ok(token)
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        content: Bytes,
    ) -> Result<Response<Bytes>, UpstreamError> {
        let mut request = Request::new(body::full(content));
        *request.method_mut() = method;
        *request.uri_mut() = target
            .parse()
            .map_err(|_| UpstreamError::Broken("a path of its admin API is no path".into()))?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(headers);
        self.upstream.call(request).await
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, (HeaderValue, Instant)>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token is replaced so long before it expires.
const EARLY: Duration = Duration::from_secs(10);

/// For how many realms a token is kept; past that all are fetched anew.
const MOST: usize = 1000;
