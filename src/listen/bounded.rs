//! A request's body that must keep coming.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{activity::Unread, limits::Limits};
use crate::body::{BoxError, TooSlow};

/// Cuts a body that stalls for `body_timeout`, or that has kept us waiting longer than `body_timeout` plus the time its
/// bytes may take at the lowest rate. Only waiting for the client counts: a slow upstream is not its fault.
#[derive(Debug)]
pub(super) struct Bounded<B> {
    inner: B,
    stall: Duration,
    rate: u64,
    received: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    unread: Option<Unread>,
}

impl<B: Body> Bounded<B> {
    pub(super) fn new(inner: B, limits: &Limits, unread: Unread) -> Self {
        let mut bounded = Self {
            inner,
            stall: limits.body_timeout,
            rate: limits.min_body_rate,
            received: 0,
            waited: Duration::ZERO,
            waiting: None,
            unread: Some(unread),
        };
        bounded.look_for_the_end(false);
        bounded
    }

    fn look_for_the_end(&mut self, ended: bool) {
        if (ended || self.inner.is_end_stream())
            && let Some(unread) = self.unread.take()
        {
            unread.over();
        }
    }

    /// How long the next bytes may take.
    fn patience(&self) -> Duration {
        let earned = Duration::from_secs(self.received / self.rate);
        (self.stall + earned).saturating_sub(self.waited).min(self.stall)
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            let patience = self.patience();
            let (_, timer) = self.waiting.get_or_insert_with(|| {
                let now = Instant::now();
                (now, Box::pin(sleep_until(now + patience)))
            });
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(TooSlow.into())));
        };
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &frame {
            self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        self.look_for_the_end(frame.is_none());
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, channel::Channel};

    use super::{super::activity::Activity, *};

    fn bounded() -> (
        http_body_util::channel::Sender<Bytes, BoxError>,
        Bounded<Channel<Bytes, BoxError>>,
    ) {
        let (sender, body) = Channel::new(1);
        let limits = Limits::usual();
        let (_, unread, _) = Activity::new().begin(false);
        (sender, Bounded::new(body, &limits, unread))
    }

    async fn feed(bytes: usize, every: Duration, times: usize) -> (bool, Duration) {
        let (mut sender, body) = bounded();
        let start = Instant::now();
        let feeder = tokio::spawn(async move {
            for _ in 0..times {
                tokio::time::sleep(every).await;
                if sender.send_data(Bytes::from(vec![0; bytes])).await.is_err() {
                    return;
                }
            }
        });
        let whole = body.collect().await;
        feeder.abort();
        (whole.is_ok(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_cut_soon_after_the_timeout() {
        let (whole, took) = feed(10, Duration::from_secs(5), 1000).await;
        assert!(!whole);
        assert!(took <= Duration::from_secs(35), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_cut_however_much_came_before() {
        let (mut sender, mut body) = bounded();
        sender.send_data(Bytes::from(vec![0; 1 << 20])).await.unwrap();
        body.frame().await.unwrap().unwrap();
        let start = Instant::now();
        assert!(body.frame().await.unwrap().unwrap_err().is::<TooSlow>());
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_stream_at_a_decent_rate_goes_on() {
        let (whole, took) = feed(20 * 1024, Duration::from_secs(10), 100).await;
        assert!(whole);
        assert!(took >= Duration::from_secs(1000));
    }
}
