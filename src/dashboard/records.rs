//! The one place where the dashboard reads records: off the threads that serve, for the store waits for the disk.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::{
    audit::{Query, ReadError, Reader, Record, Settings},
    clock::Clock,
};

/// Where records are.
pub(super) struct Records {
    settings: Settings,
    base: PathBuf,
    clock: Clock,
}

impl Records {
    pub(super) fn new(settings: Settings, base: PathBuf, clock: Clock) -> Self {
        Self { settings, base, clock }
    }

    /// The records that `query` asks for, newest first.
    pub(super) async fn list(&self, query: Query) -> Result<Vec<Record>, ReadError> {
        self.read(move |reader, now| reader.records(&query, now)).await
    }

    /// The records of an id, the beginning of one, a number, or a request's id.
    pub(super) async fn named(&self, name: String) -> Result<Vec<Record>, ReadError> {
        self.read(move |reader, _| reader.named(&name)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader, Timestamp) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (settings, base, now) = (self.settings.clone(), self.base.clone(), self.clock.now());
        let read = tokio::task::spawn_blocking(move || ask(&Reader::open(&settings, &base)?, now));
        read.await
            .unwrap_or_else(|error| Err(ReadError::Output(std::io::Error::other(error))))
    }
}
