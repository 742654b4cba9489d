//! How much may be under way at once. What is over that is refused at once instead of waiting for its turn: a queue would only make
//! everybody's answer late, and let load decide what an interceptor's failure policy should.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http_body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::recognise::{Content, Recognition};
use crate::{metrics::Metrics, refusal::Refusal, route::Action};

/// What may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Requests whose answer has not begun; those with a body that streams through have as many places again.
    pub requests: usize,
    /// Requests that an interceptor may be asked about.
    pub paused: usize,
}

/// What all gates of a process have together: the places, and the tasks of requests that were recognised. Cheap to clone.
#[derive(Clone)]
pub struct Room {
    most: Most,
    pub(super) places: Arc<Places>,
    pub(super) tasks: TaskTracker,
}

impl Room {
    /// With nothing under way.
    pub fn new(most: Most, metrics: Metrics) -> Self {
        Self {
            most,
            places: Arc::new(Places::new(most, metrics)),
            tasks: TaskTracker::new(),
        }
    }

    /// The same with other limits. What is under way counts where they did not change, and is waited for either way.
    pub fn with(self, most: Most, metrics: Metrics) -> Self {
        if self.most == most {
            return self;
        }
        Self {
            tasks: self.tasks,
            ..Self::new(most, metrics)
        }
    }

    /// Waits for what is under way. Call it when no more requests come.
    pub(super) async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The places for all requests.
pub(super) struct Places {
    requests: Arc<Semaphore>,
    /// Apart from the others: a client that sends its body slowly takes nobody's place but that of such another.
    streams: Arc<Semaphore>,
    paused: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    metrics: Metrics,
    warned: Mutex<Option<Instant>>,
}

/// One request's places, given back when dropped.
pub(super) struct Place<'p> {
    places: &'p Places,
    held: Held,
}

/// What a request holds while it is under way.
#[derive(Default)]
pub(super) struct Held {
    bytes: Option<OwnedSemaphorePermit>,
    _request: Option<OwnedSemaphorePermit>,
    _paused: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(most: Most, metrics: Metrics) -> Self {
        let semaphore = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self {
            requests: semaphore(most.requests),
            streams: semaphore(most.requests),
            paused: semaphore(most.paused),
            bytes: semaphore(MOST_BYTES),
            metrics,
            warned: Mutex::default(),
        }
    }

    /// A request that has none yet.
    pub(super) fn begin(&self) -> Place<'_> {
        Place {
            places: self,
            held: Held::default(),
        }
    }

    fn shed(&self, what: &str, why: &str) -> Refusal {
        self.metrics.shed(what);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() >= BETWEEN_WARNINGS) {
            *warned = Some(Instant::now());
            tracing::warn!(limit = what, "overloaded: {why}; requests over that are answered 503");
        }
        Refusal::overloaded(why)
    }
}

impl Place<'_> {
    /// Room for so many more bytes of a body that is read.
    pub(super) fn room_for(&mut self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.places.bytes).try_acquire_many_owned(bytes) else {
            return false;
        };
        match &mut self.held.bytes {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        true
    }

    /// There was no room for a body.
    pub(super) fn without_room(&self) -> Refusal {
        self.places.shed(
            "bodies",
            "the bodies that are being read take all the memory there is for them",
        )
    }

    /// A place for a request whose body was read where that has to be; given back when what is returned is dropped.
    pub(super) fn enter(self, recognition: &mut Recognition) -> Result<Held, Refusal> {
        let Self { places, held } = self;
        let (request, paused) = match recognition {
            Recognition::None(Content::Unread(body)) => match body.get_mut().is_end_stream() {
                true => (&places.requests, false),
                false => (&places.streams, false),
            },
            Recognition::None(_) => (&places.requests, false),
            Recognition::Found(found) => (
                &places.requests,
                matches!(found.route.does, Action::Consult | Action::Tokens | Action::Session),
            ),
        };
        let request = Arc::clone(request).try_acquire_owned().map_err(|_| {
            places.shed(
                "requests",
                "as many requests as `listen.max_requests` allows are under way",
            )
        })?;
        // Before the upstream is asked: what it has issued must not be lost for want of a place.
        let paused = paused
            .then(|| Arc::clone(&places.paused).try_acquire_owned())
            .transpose()
            .map_err(|_| {
                places.shed(
                    "paused",
                    "as many requests as `listen.max_paused` allows wait for a verdict",
                )
            })?;
        Ok(Held {
            bytes: held.bytes,
            _request: Some(request),
            _paused: paused,
        })
    }
}

/// Bytes of bodies that are held at once, over all requests.
const MOST_BYTES: usize = 32 * 1024 * 1024;

const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);
