//! A body that is lent to an attempt and comes back if nobody began to read it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::body::{Body, BoxError};

/// A request's body between two attempts to send it.
#[derive(Clone)]
pub(super) struct Lender(Arc<Mutex<Option<Body>>>);

struct Lent {
    body: Option<Body>,
    begun: bool,
    lender: Lender,
}

impl Lender {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// The body, if it is here: not lent, and never begun.
    pub(super) fn lend(&self) -> Option<Body> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let lent = Lent {
            body: Some(body),
            begun: false,
            lender: self.clone(),
        };
        Some(lent.boxed_unsync())
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.begun = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.begun {
            let mut slot = self.lender.0.lock().unwrap_or_else(PoisonError::into_inner);
            *slot = self.body.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    #[tokio::test]
    async fn a_body_comes_back_only_if_nobody_began_to_read_it() {
        let lender = Lender::new(body::full("abc"));
        let lent = lender.lend().unwrap();
        assert!(lender.lend().is_none(), "it is lent");
        assert_eq!(http_body::Body::size_hint(&lent).exact(), Some(3));
        drop(lent);
        let mut lent = lender.lend().unwrap();
        assert!(lent.frame().await.is_some());
        drop(lent);
        assert!(lender.lend().is_none(), "it was begun");
    }
}
