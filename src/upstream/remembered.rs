//! Documents that the upstream publishes, kept so that clients find them while it is away.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request};
use tokio::{sync::Mutex, time::Instant};

use super::{Upstream, UpstreamError};
use crate::body;

/// The largest document, in bytes.
const LIMIT: usize = 256 * 1024;

/// The least time between two fetches that clients can cause.
const REFETCH: Duration = Duration::from_secs(10);

/// How long a copy counts.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// Within this the upstream is not asked.
    pub fresh: Duration,
    /// Within this the copy is served while the upstream cannot be asked.
    pub stale: Duration,
}

/// One document of the upstream, fetched from its configured address alone and parsed once. One fetch at a time.
pub struct Remembered<T> {
    upstream: Upstream,
    path: String,
    headers: HeaderMap,
    lifetime: Lifetime,
    parse: fn(&[u8]) -> Result<T, String>,
    copy: Mutex<Kept<T>>,
}

struct Kept<T> {
    copy: Option<(Instant, Arc<T>)>,
    tried: Option<Instant>,
}

impl<T> Remembered<T> {
    /// A document that is not fetched yet. `headers` tell the upstream from where it is seen.
    pub fn new(
        upstream: Upstream,
        path: &str,
        headers: HeaderMap,
        lifetime: Lifetime,
        parse: fn(&[u8]) -> Result<T, String>,
    ) -> Self {
        let copy = Mutex::new(Kept {
            copy: None,
            tried: None,
        });
        Self {
            upstream,
            path: path.to_owned(),
            headers,
            lifetime,
            parse,
            copy,
        }
    }

    /// The document: a fresh copy, or a fetched one, or the last one while the upstream is away.
    pub async fn get(&self) -> Result<Arc<T>, UpstreamError> {
        let mut kept = self.copy.lock().await;
        match &kept.copy {
            Some((at, copy)) if at.elapsed() < self.lifetime.fresh => return Ok(Arc::clone(copy)),
            // The upstream is away: it is not asked by every request again.
            Some((at, copy)) if at.elapsed() < self.lifetime.stale && recently(kept.tried) => {
                return Ok(Arc::clone(copy));
            }
            _ => {}
        }
        match self.fetch(&mut kept).await {
            Ok(copy) => Ok(copy),
            Err(e) => match &kept.copy {
                Some((at, copy)) if at.elapsed() < self.lifetime.stale => {
                    tracing::warn!(path = %self.path, error = %e, "the last good copy of {} is used: {e}", self.path);
                    Ok(Arc::clone(copy))
                }
                _ => Err(e),
            },
        }
    }

    /// The document as it is now, for a key that the copy does not have. Goes out once in ten seconds at the most.
    pub async fn refetch(&self) -> Result<Arc<T>, UpstreamError> {
        let mut kept = self.copy.lock().await;
        if let Some((_, copy)) = &kept.copy
            && recently(kept.tried)
        {
            return Ok(Arc::clone(copy));
        }
        self.fetch(&mut kept).await
    }

    async fn fetch(&self, kept: &mut Kept<T>) -> Result<Arc<T>, UpstreamError> {
        kept.tried = Some(Instant::now());
        let broken = |why: String| UpstreamError::Broken(format!("{} {why}", self.path));
        let mut request = Request::new(body::empty());
        *request.uri_mut() = self.path.parse().map_err(|_| broken("is no path".into()))?;
        request.headers_mut().clone_from(&self.headers);
        let answer = self.upstream.call(request).await?;
        if !answer.status().is_success() {
            return Err(UpstreamError::Status(answer.status()));
        }
        if answer.body().len() > LIMIT {
            return Err(broken(format!("is longer than {LIMIT} bytes")));
        }
        let document = Arc::new((self.parse)(answer.body()).map_err(broken)?);
        kept.copy = Some((Instant::now(), Arc::clone(&document)));
        Ok(document)
    }
}

fn recently(tried: Option<Instant>) -> bool {
    tried.is_some_and(|at| at.elapsed() < REFETCH)
}
