//! Documents of the upstream that are fetched once and used for a while: discovery, JWKS.

use std::{
    fmt,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;

use super::{Upstream, UpstreamError};
use crate::body;

/// A document at a fixed path of the configured upstream; never at an address that another document named.
///
/// One request at a time fetches it, at most 256 KiB, and the others wait for that.
pub struct Remembered<T> {
    upstream: Upstream,
    document: Document,
    path: String,
    headers: HeaderMap,
    lifetime: Lifetime,
    parse: fn(&[u8]) -> Result<T, String>,
    copy: StdMutex<Option<Kept<T>>>,
    fetching: Mutex<Attempts>,
}

/// What is fetched, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// OpenID Connect Discovery §3, or RFC 8414.
    Discovery,
    /// RFC 7517 §5.
    Keys,
}

/// How long a copy counts, from when it was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Within this the upstream is not asked.
    pub fresh: Duration,
    /// Within this the copy is served while the upstream cannot be asked. `Duration::MAX` is as long as the process lives.
    pub stale: Duration,
}

struct Kept<T> {
    value: Arc<T>,
    fetched: Instant,
}

#[derive(Default)]
struct Attempts {
    failed: Option<(Instant, UpstreamError)>,
    refetched: Option<Instant>,
}

impl<T> Remembered<T> {
    /// A document at `path`, in origin-form, asked for with `headers` (the public `Host` and `X-Forwarded-*`, so that the
    /// upstream says what it says to clients). `parse` tells in a clause why a document is unusable.
    pub fn new(
        upstream: Upstream,
        document: Document,
        path: &str,
        headers: HeaderMap,
        lifetime: Lifetime,
        parse: fn(&[u8]) -> Result<T, String>,
    ) -> Self {
        Self {
            upstream,
            document,
            path: path.to_owned(),
            headers,
            lifetime,
            parse,
            copy: StdMutex::new(None),
            fetching: Mutex::default(),
        }
    }

    /// The document: the copy while it is fresh, otherwise a new one, and the old copy where fetching fails.
    pub async fn get(&self) -> Result<Arc<T>, UpstreamError> {
        if let Some(value) = self.copy_within(self.lifetime.fresh) {
            return Ok(value);
        }
        let mut attempts = self.fetching.lock().await;
        if let Some(value) = self.copy_within(self.lifetime.fresh) {
            return Ok(value);
        }
        if let Some((at, error)) = &attempts.failed
            && at.elapsed() < PAUSE_AFTER_FAILURE
        {
            return self.usable().ok_or_else(|| error.clone());
        }
        self.fetch(&mut attempts).await
    }

    /// The copy at hand, however old; asks nobody.
    pub fn at_hand(&self) -> Option<Arc<T>> {
        self.kept().as_ref().map(|copy| Arc::clone(&copy.value))
    }

    /// How old the copy at hand is.
    pub fn age(&self) -> Option<Duration> {
        self.kept().as_ref().map(|copy| copy.fetched.elapsed())
    }

    /// Whether fetching failed when it was last tried; `false` while somebody tries.
    pub fn has_failed(&self) -> bool {
        self.fetching.try_lock().is_ok_and(|attempts| attempts.failed.is_some())
    }

    /// The document, fetched anew because the copy lacks something (a key of an unknown `kid`); at most once in 10 s,
    /// otherwise the copy.
    pub async fn refetch(&self) -> Result<Arc<T>, UpstreamError> {
        let mut attempts = self.fetching.lock().await;
        if attempts.refetched.is_some_and(|at| at.elapsed() < BETWEEN_REFETCHES) {
            drop(attempts);
            return self.get().await;
        }
        attempts.refetched = Some(Instant::now());
        self.fetch(&mut attempts).await
    }

    async fn fetch(&self, attempts: &mut Attempts) -> Result<Arc<T>, UpstreamError> {
        let fetched = self.fetched().await;
        let document = match self.document {
            Document::Discovery => "discovery",
            Document::Keys => "keys",
        };
        self.upstream.metrics.fetched(document, fetched.is_ok());
        match fetched {
            Ok(value) => {
                let value = Arc::new(value);
                attempts.failed = None;
                *self.kept() = Some(Kept {
                    value: Arc::clone(&value),
                    fetched: Instant::now(),
                });
                Ok(value)
            }
            Err(error) => {
                warn!(upstream.path = %self.path, "cannot fetch `{}`: {error}", self.path);
                attempts.failed = Some((Instant::now(), error.clone()));
                self.usable().ok_or(error)
            }
        }
    }

    async fn fetched(&self) -> Result<T, UpstreamError> {
        let broken = |cause: String| UpstreamError::Broken(format!("`{}` {cause}", self.path));
        let mut request = Request::new(body::empty());
        *request.uri_mut() = self.path.parse().map_err(|_| broken("is no path".into()))?;
        request.headers_mut().clone_from(&self.headers);
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.upstream.call_within(request, MAX_DOCUMENT).await?;
        if response.status() != StatusCode::OK {
            return Err(UpstreamError::Status(response.status()));
        }
        (self.parse)(response.body()).map_err(broken)
    }

    fn usable(&self) -> Option<Arc<T>> {
        self.copy_within(self.lifetime.stale)
    }

    fn copy_within(&self, age: Duration) -> Option<Arc<T>> {
        let copy = self.kept();
        copy.as_ref()
            .filter(|copy| copy.fetched.elapsed() < age)
            .map(|copy| Arc::clone(&copy.value))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept<T>>> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Remembered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

const MAX_DOCUMENT: usize = 256 * 1024;
const BETWEEN_REFETCHES: Duration = Duration::from_secs(10);
/// While the upstream is away, the requests that need the document do not queue up behind one timeout each.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
