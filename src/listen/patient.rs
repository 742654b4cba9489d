//! A socket whose reader must not stop reading for ever.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::{activity::Activity, limits::Limits};

/// Reports what comes to the connection's [`Activity`], fails a write that the client has not taken for `body_timeout`, and lets
/// others have their turn in the middle of a flood.
#[derive(Debug)]
pub(super) struct Patient<I> {
    inner: I,
    patience: Duration,
    max_head: usize,
    blocked: Option<Pin<Box<Sleep>>>,
    activity: Activity,
    /// Bytes that were read without a pause.
    at_a_stretch: usize,
    /// What was read before, and is read again.
    ahead: Bytes,
}

/// A connection to a client, perhaps in TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// What is below.
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for Box<TlsStream<TcpStream>> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl<I> Patient<I> {
    pub(super) fn new(inner: I, limits: &Limits, activity: Activity) -> Self {
        Self {
            inner,
            patience: limits.body_timeout,
            max_head: limits.max_head,
            blocked: None,
            activity,
            at_a_stretch: 0,
            ahead: Bytes::new(),
        }
    }

    /// Puts back what was read and nobody has looked at.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    fn timed<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.blocked.take().is_some() {
                self.activity.blocked(false);
            }
            return polled;
        }
        let (patience, activity) = (self.patience, &self.activity);
        let timer = self.blocked.get_or_insert_with(|| {
            activity.blocked(true);
            Box::pin(sleep_until(Instant::now() + patience))
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: Socket> Patient<I> {
    /// Waits until there is something to read, or nothing more to come.
    pub(super) async fn readable(&self) {
        if self.ahead.is_empty() {
            // An error is read as well.
            _ = self.inner.tcp().readable().await;
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // HTTP/2 reads on as long as there is something to read, and thousands of small frames fit into little.
        if self.at_a_stretch >= STRETCH {
            self.at_a_stretch = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if self.ahead.is_empty() {
            let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buf) else {
                self.at_a_stretch = 0;
                self.activity.waits();
                return Poll::Pending;
            };
            read?;
        } else {
            let most = buf.remaining().min(self.ahead.len());
            buf.put_slice(&self.ahead.split_to(most));
        }
        self.at_a_stretch += buf.filled().len() - before;
        if let Some(came @ [_, ..]) = buf.filled().get(before..) {
            self.activity.bytes_came(came, self.max_head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.timed(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.timed(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.timed(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.timed(cx, polled)
    }
}

/// Bytes that a connection may read before others have their turn.
const STRETCH: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_put_back_is_read_first_and_counts_as_having_come() {
        let limits = Limits::usual();
        let activity = Activity::new();
        let (in_flight, ..) = activity.begin(false);
        let mut patient = Patient::new(&b" HTTP/1.1"[..], &limits, activity.clone());
        drop(in_flight);
        patient.put_back(Bytes::from_static(b"GET /"));
        let mut first = [0; 3];
        patient.read_exact(&mut first).await.unwrap();
        let mut rest = String::new();
        patient.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&first, rest.as_str()), (b"GET", " / HTTP/1.1"));
        assert_eq!(activity.begin(false).2, b"GET / HTTP/1.1");
    }
}
