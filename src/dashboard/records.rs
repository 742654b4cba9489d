//! The one place where the dashboard reads records: off the threads that serve, for the store waits for the disk.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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
    idle: Arc<Idle>,
}

/// Readers that nobody reads with at the moment, the one that was used last at the end.
#[derive(Default)]
struct Idle(Mutex<Vec<Reader>>);

impl Idle {
    fn take(&self) -> Option<Reader> {
        let mut readers = self.readers();
        // Those that were closed meanwhile, by the database or on the way to it.
        readers.retain(Reader::is_lasting);
        readers.pop()
    }

    fn keep(&self, reader: Reader) {
        let mut readers = self.readers();
        if reader.is_lasting() && readers.len() < KEPT {
            readers.push(reader);
        }
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    pub(super) fn new(settings: Settings, base: PathBuf, clock: Clock) -> Self {
        Self {
            settings,
            base,
            clock,
            idle: Arc::default(),
        }
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
        let idle = Arc::clone(&self.idle);
        let read = tokio::task::spawn_blocking(move || {
            let reader = match idle.take() {
                Some(reader) => reader,
                None => Reader::open(&settings, &base)?,
            };
            let answer = ask(&reader, now)?;
            // Only after an answer: with a failure, who knows what becomes of its connection.
            idle.keep(reader);
            Ok(answer)
        });
        read.await
            .unwrap_or_else(|error| Err(ReadError::Output(std::io::Error::other(error))))
    }
}

/// How many connections to a database stay open for the next page.
const KEPT: usize = 2;
