//! Whose turn it is while a request is on its way: only the upstream's own silence counts against it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{sync::Notify, time::Instant};

use crate::body::{Body, BoxError};

/// Watches a request's body being sent.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    turn: Mutex<Turn>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It has all that came so far, since then.
    Upstream(Instant),
    /// It waits for the client's next bytes.
    Client,
}

struct Watched {
    inner: Body,
    turns: Turns,
}

/// The request with its body watched.
pub(super) fn watch(request: Request<Body>) -> (Request<Body>, Turns) {
    let turns = Turns(Arc::new(Shared {
        turn: Mutex::new(Turn::Upstream(Instant::now())),
        changed: Notify::new(),
    }));
    // Where nothing is sent, it is the upstream's turn from the start.
    if request.body().is_end_stream() {
        return (request, turns);
    }
    let request = request.map(|inner| {
        let turns = turns.clone();
        Watched { inner, turns }.boxed_unsync()
    });
    (request, turns)
}

impl Turns {
    /// Returns when it has been the upstream's turn for longer than that.
    pub(super) async fn overdue(&self, allowed: Duration) {
        loop {
            let changed = self.0.changed.notified();
            match self.now() {
                Turn::Upstream(since) if since.elapsed() >= allowed => return,
                Turn::Upstream(since) => tokio::time::sleep_until(since + allowed).await,
                Turn::Client => changed.await,
            }
        }
    }

    fn now(&self) -> Turn {
        *self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, turn: Turn) {
        *self.0.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
        self.0.changed.notify_one();
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.turns.pass(match polled {
            Poll::Pending => Turn::Client,
            Poll::Ready(_) => Turn::Upstream(Instant::now()),
        });
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.turns.now() == Turn::Client {
            self.turns.pass(Turn::Upstream(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::channel::Channel;

    use super::*;

    const ALLOWED: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn only_the_upstreams_own_silence_counts() {
        let (mut client, body) = Channel::<Bytes, BoxError>::new(1);
        let (request, turns) = watch(Request::new(body.boxed_unsync()));
        let start = Instant::now();
        let sending = tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                frame.unwrap();
            }
        });
        let slow_client = tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(100)).await;
                client.send_data(Bytes::from_static(b"x")).await.unwrap();
            }
        });
        turns.overdue(ALLOWED).await;
        assert_eq!(start.elapsed(), Duration::from_secs(330));
        sending.await.unwrap();
        slow_client.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_does_not_take_the_body_is_overdue() {
        let (_request, turns) = watch(Request::new(crate::body::full("x")));
        let start = Instant::now();
        turns.overdue(ALLOWED).await;
        assert_eq!(start.elapsed(), ALLOWED);
    }
}
