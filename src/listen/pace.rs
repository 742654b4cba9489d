//! Slow clients: a head that does not end and a body that crawls are cut off, since hyper only times the time between requests.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::body::{Body, BoxError};

/// How slow a request's body may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The longest pause, and the time within which the rate must be reached.
    pub(super) stall: Duration,
    /// The least rate over the whole body.
    pub(super) bytes_per_second: u64,
}

impl Pace {
    /// The body, cut off when it is slower than the pace; `busy` is held until it ends.
    pub(super) fn hold(self, body: Incoming, busy: Busy) -> Body {
        if body.is_end_stream() {
            return body.map_err(Into::into).boxed_unsync();
        }
        let clock = Box::pin(tokio::time::sleep(self.stall));
        Paced {
            body,
            pace: self,
            began: Instant::now(),
            read: 0,
            clock,
            _busy: busy,
        }
        .boxed_unsync()
    }
}

struct Paced {
    body: Incoming,
    pace: Pace,
    began: Instant,
    read: u64,
    clock: Pin<Box<Sleep>>,
    _busy: Busy,
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.read += frame.data_ref().map_or(0, |data| data.len() as u64);
                let elapsed = this.began.elapsed();
                if elapsed > this.pace.stall && this.read < elapsed.as_secs() * this.pace.bytes_per_second {
                    return Poll::Ready(Some(Err("the request's body is too slow".into())));
                }
                this.clock.as_mut().reset(Instant::now() + this.pace.stall);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => Poll::Ready(ended.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => {
                ready!(this.clock.as_mut().poll(cx));
                Poll::Ready(Some(Err("the request's body has stopped".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that gives a request's head a limited time from its first byte.
pub(super) struct Patient<I> {
    io: I,
    patience: Patience,
    reading_head: bool,
    clock: Pin<Box<Sleep>>,
    limit: Duration,
}

/// Counts the requests that are being served on a connection: while there is one, its bytes are no head.
#[derive(Clone)]
pub(super) struct Patience(Arc<AtomicUsize>);

/// One request that is being served.
pub(super) struct Busy(Patience);

impl Patience {
    /// Marks a request as being served until the mark and all its copies are dropped.
    pub(super) fn busy(&self) -> Busy {
        self.0.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }
}

impl Clone for Busy {
    fn clone(&self) -> Self {
        self.0.busy()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<I> Patient<I> {
    /// Wraps a connection. Its first bytes are awaited no longer than a head may take.
    pub(super) fn new(io: I, limit: Duration) -> (Self, Patience) {
        let patience = Patience(Arc::default());
        let clock = Box::pin(tokio::time::sleep(limit));
        (
            Self {
                io,
                patience: patience.clone(),
                reading_head: true,
                clock,
                limit,
            },
            patience,
        )
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let serving = this.patience.0.load(Ordering::Acquire) > 0;
        if serving {
            this.reading_head = false;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(cx, buffer);
        if serving {
            return read;
        }
        if buffer.filled().len() > before && !this.reading_head {
            this.reading_head = true;
            this.clock.as_mut().reset(Instant::now() + this.limit);
        }
        if this.reading_head && this.clock.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the request's head took too long",
            )));
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
