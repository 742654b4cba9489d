//! What the provider says: OAuth errors, JSON, pages.

use std::{borrow::Cow, fmt};

use aws_lc_rs::error::Unspecified;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::json;

/// An error in the form of RFC 6749 §5.2.
#[derive(Debug)]
pub(super) struct OAuthError {
    status: StatusCode,
    code: &'static str,
    description: Cow<'static, str>,
}

impl OAuthError {
    /// A 400 with one of the registered codes.
    pub(super) fn new(code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            description: description.into(),
        }
    }

    /// `invalid_request`.
    pub(super) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", description)
    }

    /// `invalid_grant`.
    pub(super) fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_grant", description)
    }

    /// `invalid_client`, which alone is a 401.
    pub(super) fn invalid_client() -> Self {
        Self::new("invalid_client", "the client is unknown or its authentication is wrong")
            .status(StatusCode::UNAUTHORIZED)
    }

    /// The answer to a bearer token that is not good (RFC 6750 §3.1).
    pub(super) fn invalid_token() -> Self {
        Self::new(
            "invalid_token",
            "the access token is missing, unknown, expired or revoked",
        )
        .status(StatusCode::UNAUTHORIZED)
    }

    /// The same error with another status.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The registered code.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence that goes with it.
    pub(super) fn description(&self) -> &str {
        &self.description
    }
}

impl From<Unspecified> for OAuthError {
    fn from(_: Unspecified) -> Self {
        Self::new(
            "server_error",
            "the provider could not make a random value or a signature",
        )
        .status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = json!({"error": self.code, "error_description": self.description});
        let mut response = (self.status, no_store(), Json(body)).into_response();
        let challenge = match self.code {
            "invalid_client" => HeaderValue::from_static("Basic realm=\"demo\""),
            "invalid_token" => HeaderValue::from_static("Bearer error=\"invalid_token\""),
            _ => return response,
        };
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    }
}

/// Text that stands in a page as it is, whatever characters it has.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// A page; `body` is HTML.
pub(super) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = Escaped(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><main><h1>{title}</h1>{body}</main></html>\n"
    );
    (status, no_store(), Html(html)).into_response()
}

/// RFC 6749 §5.1: answers with tokens are not kept by caches.
pub(super) fn no_store() -> [(header::HeaderName, &'static str); 1] {
    [(header::CACHE_CONTROL, "no-store")]
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;background:#f4f4f1;color:#222}\
    main{max-width:24rem;margin:4rem auto;background:#fff;padding:1.5rem 2rem;border-radius:8px}\
    label{display:block;margin:.8rem 0}input{display:block;width:100%;padding:.4rem;box-sizing:border-box}\
    .wrong{color:#a00}";
