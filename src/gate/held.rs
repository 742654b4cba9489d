//! Answers of the upstream that were held, on their way to the client.

use bytes::Bytes;
use http::{
    Response,
    header::{CONTENT_LENGTH, ETAG, TRANSFER_ENCODING},
};
use serde_json::Value;

use crate::body::{self, Body};

/// A held answer, passed on as it came.
pub(super) fn relayed(answer: Response<Bytes>) -> Response<Body> {
    answer.map(body::full)
}

/// A held answer with another body.
pub(super) fn with_body(answer: Response<Bytes>, body: String) -> Response<Body> {
    let (mut parts, _) = answer.into_parts();
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, ETAG] {
        parts.headers.remove(name);
    }
    Response::from_parts(parts, body::full(body))
}

/// A held answer with a JSON document for its body.
pub(super) fn with_json(answer: Response<Bytes>, document: &Value) -> Response<Body> {
    with_body(answer, document.to_string())
}
