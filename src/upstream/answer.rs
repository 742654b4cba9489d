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
#[derive(Clone, Debug)]
pub(super) struct Interim {
    flood: Arc<Notify>,
}

impl Interim {
    pub(super) fn count<B>(request: &mut Request<B>) -> Self {
        let flood: Arc<Notify> = Arc::default();
        let (seen, tell) = (AtomicUsize::new(0), Arc::clone(&flood));
        hyper::ext::on_informational(request, move |_| {
            if seen.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_INTERIM {
                tell.notify_one();
            }
        });
        Self { flood }
    }

    pub(super) async fn too_many(&self) {
        self.flood.notified().await;
    }
}

const MAX_INTERIM: usize = 20;
