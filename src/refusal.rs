//! The only maker of error responses that Tollgate authors: who is at fault decides status, log level and text.

mod page;

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY,
        WWW_AUTHENTICATE,
    },
};
use serde_json::{Value, json};

pub use self::page::Page;
use crate::{
    body::{self, Body},
    preset::Denial,
    route,
};

/// The sentence for the caller where the cause is not theirs to know.
const GENERAL: &str = "The request could not be completed. Please try again later or contact your administrator.";
/// Seconds.
const AGAIN_AFTER: &str = "1";
const NOT_ALLOWED: &str = "This request is not allowed. Please contact your administrator.";

/// Whose doing it is that the request ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An interceptor said DENY.
    Denied,
    /// A failure policy said deny.
    FailedClosed,
    /// The client sent what cannot be taken.
    Client,
    /// The upstream is away, slow, or answered what cannot be passed on.
    Upstream,
    /// Tollgate itself cannot do its work.
    Ourselves,
    /// More is under way than may be.
    Overloaded,
}

/// A request's end before its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    fault: Fault,
    /// The status where the caller's format does not fix another one.
    status: StatusCode,
    /// The OAuth error code (RFC 6749 §5.2).
    error: String,
    /// What the caller is told.
    message: String,
    /// What the log is told besides.
    detail: Option<String>,
    /// The authentication scheme that a 401 names (RFC 9110 §11.6.1).
    scheme: &'static str,
    /// Headers of the upstream's answer that a browser needs to show this one to a script.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The caller's format.
#[derive(Clone, Debug)]
pub enum Style<'a> {
    /// `{"error", "error_description"}`; a denial has this status.
    OAuth {
        /// 400, unless the operator wants another one.
        denied: StatusCode,
    },
    /// An HTML page.
    Page(&'a Page),
    /// The upstream's own error shape.
    Own(&'a Denial),
}

/// What a response needs to know of the request that it ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Occasion<'a> {
    /// To be quoted to the operator.
    pub request_id: &'a str,
    /// Method and path for the log.
    pub method: &'a str,
    /// The canonical path, without its query.
    pub path: &'a str,
    /// Where a browser came from, on this site.
    pub back: Option<&'a str>,
}

impl Fault {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::FailedClosed => "failed_closed",
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Ourselves => "ourselves",
            Self::Overloaded => "overloaded",
        }
    }
}

impl Refusal {
    /// An interceptor's DENY. Without a message the caller reads one general sentence.
    pub fn denied(message: Option<String>) -> Self {
        let message = message.unwrap_or_else(|| NOT_ALLOWED.to_owned());
        Self::new(Fault::Denied, StatusCode::FORBIDDEN, "access_denied", message)
    }

    /// A failure policy's deny.
    pub fn failed_closed(detail: impl Into<String>) -> Self {
        Self::new(Fault::FailedClosed, StatusCode::FORBIDDEN, "access_denied", NOT_ALLOWED).detail(detail)
    }

    /// What the client sent cannot be taken; the reason is theirs to know.
    pub fn client(status: StatusCode, reason: impl Into<String>) -> Self {
        Self::new(Fault::Client, status, "invalid_request", reason)
    }

    /// A rule of a route refuses the request, with an OAuth error code of its own.
    pub fn rule(error: &str, because: impl Into<String>) -> Self {
        Self::new(Fault::Client, StatusCode::BAD_REQUEST, error, because)
    }

    /// The bearer token is not one that this proxy handed out, or was tampered with (RFC 6750 §3.1).
    pub fn invalid_token(reason: impl Into<String>) -> Self {
        Self::new(Fault::Client, StatusCode::UNAUTHORIZED, "invalid_token", reason)
    }

    /// A DPoP-bound token of ours at an endpoint of the provider (RFC 9449 §7.1).
    pub fn proof_of_another_token() -> Self {
        Self {
            scheme: "DPoP",
            ..Self::invalid_token(
                "this access token is bound by DPoP and cannot be used at the provider's own endpoints: the proof (`ath`) covers the token that this proxy issued, the provider would check it against its own; present the token at your resource servers, read the ID token instead of userinfo, or get a token without DPoP for this",
            )
        }
    }

    /// A token of the upstream that no interceptor was asked about.
    pub fn native_token() -> Self {
        Self::invalid_token("this token was not issued through this proxy; obtain a new one")
    }

    /// The upstream is at fault: 502 or 504.
    pub fn upstream(status: StatusCode, detail: impl Into<String>) -> Self {
        let error = if status == StatusCode::GATEWAY_TIMEOUT {
            "temporarily_unavailable"
        } else {
            "server_error"
        };
        Self::new(Fault::Upstream, status, error, GENERAL).detail(detail)
    }

    /// An upstream's answer that this version cannot serve; the client is told which.
    pub fn unserved(reason: impl Into<String>) -> Self {
        Self::new(Fault::Upstream, StatusCode::BAD_GATEWAY, "server_error", reason)
    }

    /// Tollgate cannot do its work now: 503.
    pub fn ourselves(detail: impl Into<String>) -> Self {
        Self::new(
            Fault::Ourselves,
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            GENERAL,
        )
        .detail(detail)
    }

    /// More is under way than may be: 503, and when to come again (RFC 9110 §10.2.3).
    pub fn overloaded(detail: impl Into<String>) -> Self {
        let mut refusal = Self::ourselves(detail);
        refusal.fault = Fault::Overloaded;
        refusal
            .headers
            .push((RETRY_AFTER, HeaderValue::from_static(AGAIN_AFTER)));
        refusal
    }

    /// Takes over what a browser needs from the answer that this one replaces (CORS).
    pub fn like(mut self, upstream: &HeaderMap) -> Self {
        for name in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS, VARY] {
            for value in upstream.get_all(&name) {
                self.headers.push((name.clone(), value.clone()));
            }
        }
        self
    }

    /// Whose doing it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What the log says: the detail if there is one, else the message.
    pub fn reason(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.message)
    }

    /// Whether somebody decided against the request, rather than something being wrong with it.
    pub fn is_denial(&self) -> bool {
        matches!(self.fault, Fault::Denied | Fault::FailedClosed)
    }

    /// Logs the refusal, once, and gives the parameters of an error in the front channel (RFC 6749 §4.1.2.1); `status` is that
    /// of the answer that carries them.
    pub fn into_parameters(self, occasion: &Occasion<'_>, status: StatusCode) -> [(&'static str, String); 2] {
        self.log(occasion, status);
        let description = self.text(occasion);
        [("error", self.error), ("error_description", description)]
    }

    /// Logs the refusal, once, and makes the response.
    pub fn into_response(self, style: &Style<'_>, occasion: &Occasion<'_>) -> Response<Body> {
        let mut response = match style {
            Style::OAuth { denied } => self.oauth(*denied, occasion),
            Style::Page(page) => self.page(page, occasion),
            Style::Own(denial) => self.own(denial, occasion),
        };
        self.log(occasion, response.status());
        if response.status() == StatusCode::UNAUTHORIZED && !matches!(style, Style::Page(_)) {
            self.challenge(response.headers_mut());
        }
        let headers = response.headers_mut();
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(occasion.request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        response
    }

    fn new(fault: Fault, status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        let (error, message) = (error.to_owned(), message.into());
        Self {
            fault,
            status,
            error,
            message,
            detail: None,
            scheme: "Bearer",
            headers: Vec::new(),
        }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The message, with the request id where the caller cannot know the cause.
    fn text(&self, occasion: &Occasion<'_>) -> String {
        let known = !matches!(self.message.as_str(), GENERAL | NOT_ALLOWED);
        if known {
            self.message.clone()
        } else {
            format!("{} (request {})", self.message, occasion.request_id)
        }
    }

    fn oauth(&self, denied: StatusCode, occasion: &Occasion<'_>) -> Response<Body> {
        // RFC 6749 §5.2 wants 400 for a denial, not 403; 401 is for failed client authentication.
        let status = if matches!(self.fault, Fault::Denied | Fault::FailedClosed) {
            denied
        } else {
            self.status
        };
        json_response(
            status,
            &json!({ "error": self.error, "error_description": self.text(occasion) }),
        )
    }

    /// RFC 6750 §3, RFC 9449 §7.1.
    fn challenge(&self, headers: &mut HeaderMap) {
        let challenge = format!(
            "{} error=\"{}\", error_description=\"{}\"",
            self.scheme,
            self.error,
            quotable(&self.message)
        );
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
    }

    fn page(&self, page: &Page, occasion: &Occasion<'_>) -> Response<Body> {
        let title = match self.fault {
            Fault::Denied | Fault::FailedClosed => "Not allowed",
            Fault::Client => "This request cannot be taken",
            Fault::Upstream | Fault::Ourselves | Fault::Overloaded => "Something went wrong",
        };
        page.response(self.status, title, &self.message, occasion)
    }

    fn own(&self, denial: &Denial, occasion: &Occasion<'_>) -> Response<Body> {
        let status = match self.fault {
            Fault::Denied | Fault::FailedClosed => StatusCode::from_u16(denial.status).unwrap_or(self.status),
            Fault::Client | Fault::Upstream | Fault::Ourselves | Fault::Overloaded => self.status,
        };
        json_response(status, &route::fill(&denial.body, &self.text(occasion)))
    }

    fn log(&self, occasion: &Occasion<'_>, status: StatusCode) {
        let Occasion {
            request_id,
            method,
            path,
            ..
        } = *occasion;
        let reason = &*one_line(self.reason());
        let (error, status) = (self.error.as_str(), status.as_u16());
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id,
                    method,
                    path,
                    status,
                    error,
                    reason,
                    "refused {method} {path}: {reason}"
                )
            };
        }
        match self.fault {
            Fault::Denied | Fault::Client => line!(info),
            // A line for each would be one more load; the first of a while is warned about where it is shed.
            Fault::Overloaded => line!(debug),
            Fault::FailedClosed | Fault::Upstream => line!(warn),
            Fault::Ourselves => line!(error),
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(body::full(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
        .headers_mut()
        .insert(HeaderName::from_static("pragma"), HeaderValue::from_static("no-cache"));
    response
}

/// A text from outside as it may stand in a line of the log: it must not begin another one, colour a terminal or turn
/// its direction.
fn one_line(text: &str) -> Cow<'_, str> {
    let odd = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if odd(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    Cow::Owned(line)
}

/// The characters that RFC 6750 §3 allows in `error_description`.
fn quotable(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_the_log() {
        assert_eq!(one_line("as `ü` is"), "as `ü` is");
        assert_eq!(one_line("a\r\n\u{1b}[31m\u{202e}b"), "a\\r\\n\\u{1b}[31m\\u{202e}b");
    }

    #[test]
    fn a_challenge_has_no_quotes_inside() {
        assert_eq!(quotable("a \"b\" \\ c\r\nü"), "a b  c");
    }

    #[test]
    fn a_cause_of_ours_is_one_sentence_and_a_request_id() {
        let occasion = Occasion {
            request_id: "r-1",
            ..Occasion::default()
        };
        let text = Refusal::ourselves("the disk is full").text(&occasion);
        assert!(text.contains("r-1") && !text.contains("disk"), "{text}");
    }
}
