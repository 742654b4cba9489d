//! Which answers are held back: a redirect with tokens, and pages, which may post them.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    response::Parts,
};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};

use super::response::{AuthorizationResponse, Broken};
use crate::body::{self, Body};

/// The longest page that is looked through, in bytes. No authorization response is as long.
const MOST: usize = 1024 * 1024;

/// An answer of the upstream, looked at.
pub(super) enum Answer {
    /// Hands out no token.
    Other(Response<Body>),
    /// Hands out tokens, or a JWT that may have some.
    Held(Held),
}

/// An answer that hands out tokens through the browser.
pub(super) struct Held {
    pub(super) parts: Parts,
    pub(super) response: AuthorizationResponse,
}

/// Looks for tokens in an answer; in its body if `pages` and it is a page.
///
/// # Errors
/// What looks like a response with tokens and cannot be read, and a page that cannot be looked through.
pub(super) async fn look(answer: Response<Body>, pages: bool) -> Result<Answer, Broken> {
    if let Some(response) = AuthorizationResponse::in_location(answer.headers())? {
        let (parts, _) = answer.into_parts();
        return Ok(Answer::Held(Held { parts, response }));
    }
    let bodiless = matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !pages || bodiless || !is_page(answer.headers()) {
        return Ok(Answer::Other(answer));
    }
    if answer.headers().contains_key(CONTENT_ENCODING) || answer.status() == StatusCode::PARTIAL_CONTENT {
        return Err(Broken(
            "a page that cannot be looked through: compressed, or a part of one",
        ));
    }
    let (parts, body) = answer.into_parts();
    let (html, rest) = begin(body).await?;
    if let Some(rest) = rest {
        // A form's fields come behind its tag, and what a user may fill a page with comes behind that.
        if html.windows(5).any(|tag| tag.eq_ignore_ascii_case(b"<form")) {
            return Err(Broken("a page with a form that is too long to be looked through"));
        }
        let first = stream::iter([Ok(Frame::data(html))]);
        let body = StreamBody::new(first.chain(BodyStream::new(rest))).boxed_unsync();
        return Ok(Answer::Other(Response::from_parts(parts, body)));
    }
    Ok(match AuthorizationResponse::in_page(&html)? {
        Some(response) => Answer::Held(Held { parts, response }),
        None => Answer::Other(Response::from_parts(parts, body::full(html))),
    })
}

/// Whether an answer to this request may be a page, as far as the browser tells what it fetches. A script or an image may come
/// compressed and in parts.
pub(super) fn may_be_a_page(request: &HeaderMap) -> bool {
    let destination = request.get("sec-fetch-dest").and_then(|value| value.to_str().ok());
    !destination.is_some_and(|destination| NO_PAGES.contains(&destination))
}

fn is_page(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type
        .and_then(|value| value.split([';', ',']).next())
        .unwrap_or_default();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|page| essence.trim().eq_ignore_ascii_case(page))
}

/// The first [`MOST`] bytes, and the rest if there is more.
async fn begin(mut body: Body) -> Result<(Bytes, Option<Body>), Broken> {
    let mut first = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Broken("a page that breaks off"))?;
        let Ok(data) = frame.into_data() else { continue };
        first.extend_from_slice(&data);
        if first.len() > MOST {
            return Ok((first.freeze(), Some(body)));
        }
    }
    Ok((first.freeze(), None))
}

const NO_PAGES: [&str; 9] = [
    "script", "style", "image", "font", "audio", "video", "track", "worker", "manifest",
];
