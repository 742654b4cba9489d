//! A body that is looked through while it streams.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::Gate;
use crate::{
    body::{Body, BoxError},
    token::{self, Scanner, Sighting},
};

/// How a body ends that a token was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer ends before a token of the upstream's own")]
pub(super) struct Caught;

/// Says what was found and where; the task ends when that is recorded.
type Report = Box<dyn FnOnce(Sighting, &str) -> JoinHandle<()> + Send>;

/// Gives the same bytes as the body in it, up to a token of the upstream if it `blocks`.
pub(super) struct Watched {
    body: Body,
    blocks: bool,
    scanner: Scanner<Arc<Gate>>,
    report: Option<Report>,
    /// What was read and may go on.
    free: VecDeque<Result<Frame<Bytes>, BoxError>>,
    state: State,
}

enum State {
    Watching,
    /// A token passed, so there is nothing more to find out.
    Passing,
    /// A token was found, and its record is being written.
    Recording(JoinHandle<()>),
    Ended,
}

impl Watched {
    pub(super) fn new(body: Body, known: Arc<Gate>, blocks: bool, report: Report) -> Self {
        Self {
            body,
            blocks,
            scanner: Scanner::new(known),
            report: Some(report),
            free: VecDeque::new(),
            state: State::Watching,
        }
    }

    /// Waits until the first bytes may go on. Dropping the future loses nothing.
    ///
    /// # Errors
    /// A token before any of them.
    pub(super) async fn begin(&mut self) -> Result<(), Caught> {
        match poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await {
            Some(Err(e)) if e.is::<Caught>() => return Err(Caught),
            Some(frame) => self.free.push_front(frame),
            None => {}
        }
        Ok(())
    }

    /// A frame of the body: what of it may go on is put in `free`.
    fn look_through(&mut self, frame: Frame<Bytes>) -> Result<(), (Sighting, &'static str)> {
        match frame.into_data() {
            Ok(data) => {
                let free = self.scanner.feed(data).map_err(|sighting| (sighting, "the body"))?;
                self.let_go(free);
            }
            Err(frame) => {
                let trailers = frame.trailers_ref();
                let mut values = trailers.iter().flat_map(|trailers| trailers.values());
                let sighting = values.find_map(|value| token::sight(value.as_bytes(), self.scanner.known()));
                let rest = self.rest();
                self.free.push_back(Ok(frame));
                rest?;
                if let Some(sighting) = sighting {
                    return Err((sighting, "a trailer"));
                }
            }
        }
        Ok(())
    }

    /// What is held, at the end.
    fn rest(&mut self) -> Result<(), (Sighting, &'static str)> {
        let free = self.scanner.finish().map_err(|sighting| (sighting, "the body"))?;
        self.let_go(free);
        Ok(())
    }

    fn let_go(&mut self, free: Bytes) {
        if free.has_remaining() {
            self.free.push_back(Ok(Frame::data(free)));
        }
    }

    fn caught(&mut self, sighting: Sighting, place: &str) {
        let recording = self.report.take().map(|report| report(sighting, place));
        if self.blocks {
            self.free.clear();
            self.state = recording.map_or(State::Ended, State::Recording);
        } else {
            let held = self.scanner.release();
            if held.has_remaining() {
                self.free.push_front(Ok(Frame::data(held)));
            }
            self.state = State::Passing;
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let watched = &mut *self;
        loop {
            if let Some(frame) = watched.free.pop_front() {
                return Poll::Ready(Some(frame));
            }
            match &mut watched.state {
                State::Ended => return Poll::Ready(None),
                State::Passing => return Pin::new(&mut watched.body).poll_frame(cx),
                State::Recording(record) => {
                    _ = ready!(Pin::new(record).poll(cx));
                    watched.state = State::Ended;
                    return Poll::Ready(Some(Err(Caught.into())));
                }
                State::Watching => {}
            }
            let looked = match ready!(Pin::new(&mut watched.body).poll_frame(cx)) {
                Some(Ok(frame)) => watched.look_through(frame),
                Some(Err(e)) => {
                    watched.state = State::Ended;
                    return Poll::Ready(Some(Err(e)));
                }
                None => {
                    watched.state = State::Ended;
                    watched.rest()
                }
            };
            if let Err((sighting, place)) = looked {
                watched.caught(sighting, place);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.free.is_empty()
            && match self.state {
                State::Watching => self.scanner.held() == 0 && self.body.is_end_stream(),
                State::Passing => self.body.is_end_stream(),
                State::Recording(_) => false,
                State::Ended => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.free.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        let read = data.map(|data| data.len() as u64).sum::<u64>() + self.scanner.held() as u64;
        let behind = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(behind.lower() + read);
        if let Some(upper) = behind.upper() {
            hint.set_upper(upper + read);
        }
        hint
    }
}
