//! The audit: what was asked, what came back and what was done about it, on disk before anybody sees its effect.
//!
//! Records form a chain: each carries the hash of the one before, so [`Reader::verify`] finds what was changed,
//! removed, swapped or inserted. Secrets are masked before a record leaves the task that made it.

mod chain;
mod entry;
mod export;
mod facets;
mod files;
mod heads;
mod histogram;
mod page;
mod postgres;
mod query;
mod reader;
mod record;
mod redaction;
mod render;
mod retention;
mod rollups;
mod settings;
mod sink;
mod spool;
mod sqlite;
mod statistics;
mod store;
mod tidy;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use uuid::Uuid;

use crate::{clock::Clock, metrics::Metrics, misconfigured::Misconfigured};

pub use self::{
    chain::{Hash, Head},
    entry::{Call, ClaimChanges, ClaimNames, Decider, Entry, Fault, Kind, Refused},
    export::Format,
    heads::{Heads, Settings as HeadsSettings},
    histogram::Histogram,
    page::Page,
    postgres::Failure,
    query::{Moment, Place, Query},
    reader::{ReadError, Reader},
    record::Record,
    redaction::{MASK, redact},
    retention::{MaxSize, Removed, Retention},
    settings::{OnFailure, Settings},
    sink::{Destination, From as SinkFrom, Settings as SinkSettings},
    spool::{Settings as SpoolSettings, Waiting},
    statistics::{Bucket, Figures, Statistics, Tally},
    store::StoreError,
    verify::{Flaw, FlawKind, Report},
};

/// The writing end of the audit. Clones share one store, one queue and one thread.
#[derive(Clone, Debug)]
pub struct Audit {
    writer: writer::Writer,
    sinks: Arc<sink::Sinks>,
    /// The configuration that decides.
    revision: Option<Arc<str>>,
}

/// Where a record stands, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The place in the chain; the first record is 1 and no number is left out.
    pub seq: u64,
    /// The record's id (UUID version 7).
    pub id: Uuid,
}

/// Why records were not written. Whoever waits for them must refuse the request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// So many records wait for the disk that no more are taken.
    #[error("the audit's queue is full: the disk does not keep up with the records")]
    Full,
    /// The audit was closed, or its thread has ended.
    #[error("the audit is closed")]
    Closed,
    /// The store refused; the next call tries again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How the writing end is.
#[derive(Clone, Debug)]
pub struct Health {
    /// The last record on disk. Kept elsewhere, it shows a later truncation.
    pub head: Head,
    /// Transactions committed since the start; fewer than records when writers are many.
    pub commits: u64,
    /// Calls of [`Audit::record`] that wait for the disk.
    pub queued: usize,
    /// The last write's failure, until a write succeeds again.
    pub failing: Option<StoreError>,
    /// What waits in the spool for the store to be back.
    pub spooled: Option<Waiting>,
}

impl Audit {
    /// Opens the store of `settings`, creating it (mode 0600) where there is none, and starts its thread. A relative path is looked up
    /// below `base`, the folder of `proxy.toml`. Fails when another process writes to the same store. Blocks on the disk.
    pub fn open(settings: &Settings, base: &Path, clock: Clock) -> Result<Self, Misconfigured> {
        Self::open_counted(settings, base, clock, Metrics::default())
    }

    /// The same, counting what is written there.
    pub fn open_counted(
        settings: &Settings,
        base: &Path,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Misconfigured> {
        let outlets = sink::outlets(settings, base)?;
        let writer = writer::Writer::start(settings, base, clock, metrics.clone())?;
        let sinks = sink::Sinks::start(outlets, settings, base, &writer.head(), &metrics)?;
        Ok(Self {
            writer,
            sinks: Arc::new(sinks),
            revision: None,
        })
    }

    /// The same audit, for what is decided under a configuration: its revision is in every record, and fields are redacted by its
    /// rules. What else `[audit]` says counts from the next start on.
    pub fn under(&self, revision: &str, settings: &Settings, base: &Path) -> Result<Self, Misconfigured> {
        let mut audit = self.clone();
        audit.writer.rules = Arc::new(settings.rules(base)?);
        audit.revision = Some(revision.into());
        Ok(audit)
    }

    /// Writes the entries, all of them or none, and returns once they are on disk, in the same order. Secrets in them are masked first.
    /// After the first poll the entries are written even when the future is dropped.
    pub async fn record(&self, mut entries: Vec<Entry>) -> Result<Vec<Receipt>, AuditError> {
        if let Some(revision) = &self.revision {
            for entry in &mut entries {
                entry.revision.get_or_insert_with(|| revision.as_ref().to_owned());
            }
        }
        self.writer.record(entries).await
    }

    /// Writes what is queued, closes the store, lets its lock go, and gives sinks 2 s for what they have not delivered. Every later [`Audit::record`] fails with [`AuditError::Closed`].
    pub async fn close(&self) {
        self.writer.close().await;
        self.sinks.close().await;
    }

    /// Applies the limits of retention now, and returns when nothing is left to do; it happens by itself within a minute.
    pub async fn tidy(&self) {
        self.writer.tidy().await;
    }

    /// How the audit is, without touching the disk.
    pub fn health(&self) -> Health {
        self.writer.health()
    }
}
