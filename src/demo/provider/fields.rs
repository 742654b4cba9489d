//! The parameters of a request, read in one way only.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart, Request},
    http::{HeaderMap, Method, header},
};

use super::answer::OAuthError;

/// The query of a GET, or the form of a POST, urlencoded or multipart. A parameter without a value counts as left out,
/// one that occurs twice is an error (RFC 6749 §3.1).
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// The value, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value, or `invalid_request`.
    pub(super) fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name)
            .ok_or_else(|| OAuthError::invalid_request(format!("the parameter `{name}` is missing")))
    }

    fn add(&mut self, name: String, value: String) -> Result<(), OAuthError> {
        if self.0.insert(name, value).is_some() {
            return Err(OAuthError::invalid_request("a parameter occurs twice"));
        }
        Ok(())
    }

    fn urlencoded(text: &[u8]) -> Result<Self, OAuthError> {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            fields.add(name.into_owned(), value.into_owned())?;
        }
        Ok(fields)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        if request.method() == Method::GET {
            return Self::urlencoded(request.uri().query().unwrap_or_default().as_bytes());
        }
        let unreadable = |_| OAuthError::invalid_request("the body cannot be read");
        match content_type(request.headers()).as_deref() {
            Some("application/x-www-form-urlencoded") => {
                Self::urlencoded(&Bytes::from_request(request, state).await.map_err(|_| unreadable(()))?)
            }
            Some("multipart/form-data") => {
                let mut parts = Multipart::from_request(request, state)
                    .await
                    .map_err(|_| unreadable(()))?;
                let mut fields = Self::default();
                while let Some(part) = parts.next_field().await.map_err(|_| unreadable(()))? {
                    let name = part.name().unwrap_or_default().to_owned();
                    fields.add(name, part.text().await.map_err(|_| unreadable(()))?)?;
                }
                Ok(fields)
            }
            _ => Err(OAuthError::invalid_request(
                "send application/x-www-form-urlencoded or multipart/form-data",
            )),
        }
    }
}

/// The media type in lower case, without its parameters.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}
