//! Documents of the upstream that are fetched once and used for a while: discovery, JWKS.

use std::{
    fmt,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;

use super::{Upstream, UpstreamError};

/// A document at a fixed path of the configured upstream; never at an address that another document named.
///
/// One request at a time fetches it, at most 256 KiB, and the others wait for that.
pub struct Remembered<T> {
    upstream: Upstream,
    uri: Uri,
    headers: HeaderMap,
    fresh: Duration,
    stale: Stale,
    parse: Parse<T>,
    copy: StdMutex<Option<Kept<T>>>,
    fetching: Mutex<Attempts>,
}

/// How long a copy may be used after it ceased to be fresh, while fetching fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// For so long.
    For(Duration),
    /// As long as the process lives.
    Forever,
}

type Parse<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

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
    /// A document at `uri`, in origin-form, asked for with `headers` (the public `Host` and `X-Forwarded-*`, so that the
    /// upstream says what it says to clients). `parse` tells in a clause why a document is unusable.
    pub fn new(
        upstream: Upstream,
        uri: Uri,
        headers: HeaderMap,
        fresh: Duration,
        stale: Stale,
        parse: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            upstream,
            uri,
            headers,
            fresh,
            stale,
            parse: Box::new(parse),
            copy: StdMutex::new(None),
            fetching: Mutex::default(),
        }
    }

    /// The document: the copy while it is fresh, otherwise a new one, and the old copy where fetching fails.
    pub async fn get(&self) -> Result<Arc<T>, UpstreamError> {
        if let Some(value) = self.copy_within(self.fresh) {
            return Ok(value);
        }
        let mut attempts = self.fetching.lock().await;
        if let Some(value) = self.copy_within(self.fresh) {
            return Ok(value);
        }
        if let Some((at, error)) = &attempts.failed
            && at.elapsed() < PAUSE_AFTER_FAILURE
        {
            return self.usable().ok_or_else(|| error.clone());
        }
        self.fetch(&mut attempts).await
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
        match self.fetched().await {
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
                warn!(upstream.path = %self.uri, "cannot fetch `{}`: {error}", self.uri);
                attempts.failed = Some((Instant::now(), error.clone()));
                self.usable().ok_or(error)
            }
        }
    }

    async fn fetched(&self) -> Result<T, UpstreamError> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.upstream.call_within(request, MAX_DOCUMENT).await?;
        if response.status() != StatusCode::OK {
            return Err(UpstreamError::Broken(format!(
                "`{}` answers with status {}",
                self.uri,
                response.status()
            )));
        }
        (self.parse)(response.body()).map_err(|cause| UpstreamError::Broken(format!("`{}` {cause}", self.uri)))
    }

    fn usable(&self) -> Option<Arc<T>> {
        match self.stale {
            Stale::For(stale) => self.copy_within(self.fresh + stale),
            Stale::Forever => self.copy_within(Duration::MAX),
        }
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
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

const MAX_DOCUMENT: usize = 256 * 1024;
const BETWEEN_REFETCHES: Duration = Duration::from_secs(10);
/// While the upstream is away, the requests that need the document do not queue up behind one timeout each.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
