//! Message bodies as every module hands them on: streamed, boxed, with trailers.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

/// Whatever broke a stream, with its causes.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A body on its way, in either direction.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// The sender stalled or crawled: it kept us waiting longer than the limits allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body came too slowly")]
pub struct TooSlow;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It is longer than allowed; in bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// There is no room for it now.
    #[error("there is no room for the body")]
    NoRoom,
    /// See [`TooSlow`].
    #[error(transparent)]
    TooSlow(TooSlow),
    /// The stream ended early or its framing is wrong.
    #[error("the body broke off")]
    Broken(#[source] BoxError),
}

/// Reads a body to its end, at most `limit` bytes. Trailers are dropped.
pub async fn read_all(body: Body, limit: usize) -> Result<Bytes, Unread> {
    read_admitted(body, limit, |_| true).await
}

/// The same, as long as there is room: `admit` is asked about every piece, by its length, before it is kept.
pub async fn read_admitted(
    mut body: Body,
    limit: usize,
    mut admit: impl FnMut(usize) -> bool,
) -> Result<Bytes, Unread> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match caused_by::<TooSlow>(error.as_ref()) {
            Some(slow) => Unread::TooSlow(*slow),
            None => Unread::Broken(error),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(Unread::TooLarge(limit));
        }
        if !admit(data.len()) {
            return Err(Unread::NoRoom);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The first cause of this type in an error's chain.
pub(crate) fn caused_by<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_not_read() {
        assert_eq!(read_all(full("12345"), 5).await.unwrap(), "12345");
        assert!(matches!(read_all(full("123456"), 5).await, Err(Unread::TooLarge(5))));
        assert_eq!(read_all(empty(), 0).await.unwrap(), "");
    }
}
