//! Answers that are read as a whole, and what may come before them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, Response, header};
use tokio::sync::Notify;

use super::UpstreamError;
use crate::body::{self, Body};

pub(super) async fn read(response: Response<Body>, limit: usize) -> Result<Response<Bytes>, UpstreamError> {
    let (mut head, body) = response.into_parts();
    let coded = |value: &http::HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if head.headers.get_all(header::CONTENT_ENCODING).iter().any(coded) {
        return Err(UpstreamError::Broken(
            "it is compressed, though that was not asked for".into(),
        ));
    }
    head.headers.remove(header::CONTENT_LENGTH);
    let whole = body::read_all(body, limit).await?;
    Ok(Response::from_parts(head, whole))
}

/// Counts interim answers (1xx), which hyper swallows without end.
#[derive(Clone, Debug, Default)]
pub(super) struct Interim {
    seen: Arc<AtomicUsize>,
    flood: Arc<Notify>,
}

impl Interim {
    pub(super) fn count<B>(request: &mut Request<B>) -> Self {
        let interim = Self::default();
        let counter = interim.clone();
        hyper::ext::on_informational(request, move |_| {
            counter.seen.fetch_add(1, Ordering::Relaxed);
            if counter.are_too_many() {
                counter.flood.notify_one();
            }
        });
        interim
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.seen.load(Ordering::Relaxed) >= MAX_INTERIM
    }

    /// Returns when they are.
    pub(super) async fn flood(&self) {
        self.flood.notified().await;
    }
}

const MAX_INTERIM: usize = 20;
