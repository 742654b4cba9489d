//! Why there is no answer from the upstream.

use std::{error::Error, time::Duration};

use http::StatusCode;
use hyper_util::client::legacy;

use super::connect::ConnectTimedOut;
use crate::body::{TooSlow, Unread, caused_by};

/// Why there is no answer from the upstream, and whose fault that is. Never quotes a message's content.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Refused, no route, no such name, a certificate that does not hold: nothing was sent.
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(String),
    /// Connecting or answering took longer than allowed.
    #[error("the upstream did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It closed the connection, or what it said is no usable answer.
    #[error("the upstream's answer is unusable: {0}")]
    Broken(String),
    /// It does not have the document that was asked for.
    #[error("the upstream answered {0} where a document was expected")]
    Status(StatusCode),
    /// Not the upstream's fault: the client's body stalled or crawled.
    #[error("the client's body came too slowly")]
    ClientTooSlow,
    /// Not the upstream's fault: the client's body broke off.
    #[error("the client's body broke off")]
    ClientBroke,
}

impl UpstreamError {
    /// Its name in metrics and spans.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) | Self::Status(_) => "broken",
            Self::ClientTooSlow | Self::ClientBroke => "client",
        }
    }

    /// The status that tells a client so: 502, 504, or 408 and 400 where the client itself is to blame.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::Status(_) => StatusCode::BAD_GATEWAY,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::ClientTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::ClientBroke => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<legacy::Error> for UpstreamError {
    fn from(error: legacy::Error) -> Self {
        if caused_by::<TooSlow>(&error).is_some() {
            return Self::ClientTooSlow;
        }
        // hyper calls it the user's fault when the body that it was to send failed.
        if caused_by::<hyper::Error>(&error).is_some_and(hyper::Error::is_user) {
            return Self::ClientBroke;
        }
        if let Some(ConnectTimedOut(allowed)) = caused_by(&error) {
            return Self::Timeout(*allowed);
        }
        if error.is_connect() {
            return Self::Unreachable(causes(&error));
        }
        Self::Broken(causes(&error))
    }
}

impl From<Unread> for UpstreamError {
    /// For a body that the upstream sent.
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge(limit) => Self::Broken(format!("it is longer than {limit} bytes")),
            Unread::TooSlow(cause) => Self::Broken(cause.to_string()),
            Unread::NoRoom => Self::Broken(unread.to_string()),
            Unread::Broken(cause) => Self::Broken(causes(cause.as_ref())),
        }
    }
}

/// The innermost two of a chain of causes: the outer ones only say that something failed.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(current) = next {
        let text = current.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = current.source();
    }
    texts.split_off(texts.len().saturating_sub(2)).join(": ")
}
