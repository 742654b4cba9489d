//! The one place where the dashboard reads records: off the threads that serve, for the store waits for the disk.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;

use crate::{
    audit::{Format, Page, Place, Query, ReadError, Reader, Record, Settings, Statistics},
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

    /// A page of the records that `query` asks for, newest first.
    pub(super) async fn page(&self, query: Query) -> Result<Page, ReadError> {
        self.read(move |reader, now| reader.page(&query, now)).await
    }

    /// The next part of an export, and behind which number to go on; `None` after the last.
    pub(super) async fn export_part(
        &self,
        query: Query,
        format: Format,
    ) -> Result<(Vec<u8>, Option<Place>), ReadError> {
        self.read(move |reader, now| {
            let mut part = Vec::new();
            let next = reader.export_part(&query, format, now, &mut part)?;
            Ok((part, next))
        })
        .await
    }

    /// The record with this number or id, and everything that was recorded of the same request.
    pub(super) async fn record(&self, name: String) -> Result<Option<(Record, Vec<Record>)>, ReadError> {
        self.read(move |reader, _| {
            let Some(record) = reader.record(&name)? else {
                return Ok(None);
            };
            let of_request = match record.entry.request_id.as_str() {
                "" => Vec::new(),
                request_id => reader.request(request_id)?,
            };
            Ok(Some((record, of_request)))
        })
        .await
    }

    /// What was decided in the time up to now, in steps.
    pub(super) async fn statistics(&self, length: Duration, step: Duration) -> Result<Statistics, ReadError> {
        self.read(move |reader, now| reader.statistics(now - length, now, step))
            .await
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
