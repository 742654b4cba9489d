//! Answers that are read as a whole, and what may come before them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, Response, header};
use tokio::sync::Notify;

use super::UpstreamError;
use crate::{
    body::{self, Body},
    head,
};

pub(super) async fn read(response: Response<Body>, limit: usize) -> Result<Response<Bytes>, UpstreamError> {
    let (mut parts, body) = response.into_parts();
    let coded = |value: &http::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if parts.headers.get_all(header::CONTENT_ENCODING).iter().any(coded) {
        return Err(UpstreamError::Broken(
            "it is compressed, though that was not asked for".into(),
        ));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    let whole = body::read_all(body, limit).await?;
    // Such an answer is held while others are asked about it.
    head::detach(&mut parts.headers);
    Ok(Response::from_parts(parts, whole))
}

/// Counts interim answers (1xx), which hyper swallows without end.
#[derive(Clone, Debug, Default)]
pub(super) struct Interim(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    answers: AtomicUsize,
    flood: Notify,
}

impl Interim {
    pub(super) fn count<B>(request: &mut Request<B>) -> Self {
        let interim = Self::default();
        let counter = interim.clone();
        hyper::ext::on_informational(request, move |_| {
            counter.0.answers.fetch_add(1, Ordering::Relaxed);
            if counter.are_too_many() {
                counter.0.flood.notify_one();
            }
        });
        interim
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.0.answers.load(Ordering::Relaxed) >= MAX_INTERIM
    }

    /// Returns when they are.
    pub(super) async fn flood(&self) {
        self.0.flood.notified().await;
    }
}

const MAX_INTERIM: usize = 20;
