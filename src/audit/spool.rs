//! A local file that keeps records while the store is away. Each group of records is one line, on disk before anything follows from it; what the
//! store has again is found by the records' ids, so that none comes twice and none is left out, wherever the process stopped.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use super::{
    Hash, StoreError, files,
    record::{Draft, Stamped, time_text},
    retention::MaxSize,
    store,
};
use crate::misconfigured::Misconfigured;

/// Where records wait, and how many bytes of them may.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The file, made for its owner only; a relative one is looked up from the folder of `proxy.toml`. It must be on a disk that stays. Default:
    /// `audit.spool`.
    pub file: PathBuf,
    /// How large it may grow, like `256MiB`. When it is full, recognised requests are refused with 503. Default: `256MiB`.
    pub max_size: MaxSize,
}

/// How much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many records.
    pub records: u64,
    /// How many bytes the file has.
    pub bytes: u64,
    /// How many it may have.
    pub most: u64,
    /// When the first of them was written.
    pub since: Timestamp,
}

/// The open file. Nobody else writes to it.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    most: u64,
    /// Up to here, the file is whole and on disk.
    end: Mark,
    /// Up to here, the store has it.
    taken: Mark,
    records: u64,
    since: Option<Timestamp>,
}

/// A place between two lines.
#[derive(Clone, Copy, Debug)]
struct Mark {
    bytes: u64,
    hash: Hash,
}

/// Some of the oldest records that wait.
pub(super) struct Batch {
    pub(super) records: Vec<Stamped>,
    upto: Mark,
}

#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    time: Timestamp,
    record: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file: "audit.spool".into(),
            max_size: MaxSize::Bytes(256 << 20),
        }
    }
}

impl Settings {
    /// How many bytes the file may have.
    pub(super) fn bytes(&self) -> Result<u64, Misconfigured> {
        match self.max_size {
            MaxSize::Bytes(bytes) => Ok(bytes),
            MaxSize::Records(_) => Err(Misconfigured::new(
                "audit.spool.max_size",
                "the spool's size is a number of bytes",
            )
            .hint("write it like `256MiB`")),
        }
    }
}

impl Spool {
    /// Opens the file, making it when there is none, and counts what waits in it. A last line that was being written when the process stopped
    /// is cut off: nobody was told that it is there.
    pub(super) fn open(path: &Path, most: u64) -> Result<Self, StoreError> {
        let file = store::lock(path, path)?;
        let failed = |source: io::Error| StoreError::File {
            path: path.to_owned(),
            source: Arc::new(source),
        };
        files::sync_folder(path).map_err(failed)?;
        let begin = Mark {
            bytes: 0,
            hash: Hash::genesis(),
        };
        let mut spool = Self {
            path: path.to_owned(),
            file,
            most,
            end: begin,
            taken: begin,
            records: 0,
            since: None,
        };
        spool.count()?;
        Ok(spool)
    }

    fn count(&mut self) -> Result<(), StoreError> {
        let mut lines = BufReader::new(self.file.try_clone().map_err(|e| self.failed(e))?);
        lines.seek(SeekFrom::Start(0)).map_err(|e| self.failed(e))?;
        for number in 1.. {
            match read(&mut lines, self.end).map_err(|e| self.failed(e))? {
                Next::Line(records, end) => {
                    self.records += records.len() as u64;
                    self.since = self.since.or(records.first().map(|record| record.time));
                    self.end = end;
                }
                Next::End => return Ok(()),
                Next::Torn => {
                    warn!(
                        "the last line of the spool `{}` was never finished, and is cut off",
                        self.path.display()
                    );
                    return self.cut().map_err(|e| self.failed(e));
                }
                Next::Damaged => {
                    return Err(StoreError::SpoolDamaged {
                        path: self.path.clone(),
                        line: number,
                    });
                }
            }
        }
        Ok(())
    }

    /// Adds the records as one line. When this returns `Ok`, it is on disk.
    pub(super) fn append(&mut self, records: &[Stamped]) -> Result<(), StoreError> {
        let lines: Vec<_> = records
            .iter()
            .map(|record| Line {
                id: record.id.to_string(),
                time: record.time,
                record: record.draft.members().clone(),
            })
            .collect();
        let text = serde_json::to_string(&lines).map_err(|e| self.failed(e.into()))?;
        let hash = self.end.hash.link(&text);
        let line = format!("{hash} {text}\n");
        let bytes = self.end.bytes + line.len() as u64;
        if bytes > self.most {
            return Err(StoreError::SpoolFull(self.path.clone()));
        }
        let written = self
            .file
            .seek(SeekFrom::Start(self.end.bytes))
            .and_then(|_| self.file.write_all(line.as_bytes()))
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What is half there would be taken for a damaged line by whoever reads on.
            if let Err(error) = self.cut() {
                warn!(%error, "the spool `{}` keeps half a line until it is opened again: {error}", self.path.display());
            }
            return Err(self.failed(error));
        }
        self.end = Mark { bytes, hash };
        self.records += records.len() as u64;
        self.since = self.since.or(records.first().map(|record| record.time));
        Ok(())
    }

    /// About so many of the oldest records; `None` when none waits.
    pub(super) fn oldest(&self, about: usize) -> Result<Option<Batch>, StoreError> {
        if self.is_empty() {
            return Ok(None);
        }
        let failed = |e| self.failed(e);
        let mut file = self.file.try_clone().map_err(failed)?;
        file.seek(SeekFrom::Start(self.taken.bytes)).map_err(failed)?;
        let left = self.end.bytes - self.taken.bytes;
        let mut lines = BufReader::new(file.take(left));
        let mut batch = Batch {
            records: Vec::new(),
            upto: self.taken,
        };
        while batch.records.len() < about {
            match read(&mut lines, batch.upto).map_err(failed)? {
                Next::Line(records, end) => {
                    batch.records.extend(records);
                    batch.upto = end;
                }
                Next::End => break,
                Next::Torn | Next::Damaged => {
                    return Err(StoreError::SpoolDamaged {
                        path: self.path.clone(),
                        line: 0,
                    });
                }
            }
        }
        Ok(Some(batch))
    }

    /// The store has this batch. The last one empties the file.
    pub(super) fn taken(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.taken = batch.upto;
        self.records = self.records.saturating_sub(batch.records.len() as u64);
        if self.taken.bytes < self.end.bytes {
            self.since = self.oldest(1)?.and_then(|next| Some(next.records.first()?.time));
            return Ok(());
        }
        let begin = Mark {
            bytes: 0,
            hash: Hash::genesis(),
        };
        (self.end, self.taken, self.since) = (begin, begin, None);
        self.cut().map_err(|e| self.failed(e))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.bytes == self.end.bytes
    }

    /// What waits; `None` when nothing does.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        Some(Waiting {
            records: self.records,
            bytes: self.end.bytes,
            most: self.most,
            since: self.since.filter(|_| !self.is_empty())?,
        })
    }

    /// Cuts off what is behind the last whole line.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.end.bytes)?;
        self.file.sync_all()
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::File {
            path: self.path.clone(),
            source: Arc::new(source),
        }
    }
}

/// What stands behind a mark.
enum Next {
    Line(Vec<Stamped>, Mark),
    End,
    /// A line without its end.
    Torn,
    /// A line that does not follow the one before.
    Damaged,
}

fn read(lines: &mut impl BufRead, from: Mark) -> io::Result<Next> {
    let mut line = Vec::new();
    let bytes = lines.read_until(b'\n', &mut line)? as u64;
    if bytes == 0 {
        return Ok(Next::End);
    }
    // A file system may have made the file longer before it had the text.
    if line.pop() != Some(b'\n') || line.contains(&0) {
        return Ok(Next::Torn);
    }
    let parsed = || -> Option<(Vec<Stamped>, Hash)> {
        let (hash, text) = std::str::from_utf8(&line).ok()?.split_once(' ')?;
        let due = from.hash.link(text);
        if hash.parse() != Ok(due) {
            return None;
        }
        let lines: Vec<Line> = serde_json::from_str(text).ok()?;
        let records = lines.into_iter().map(|line| {
            Some(Stamped {
                id: line.id.parse().ok()?,
                time: line.time,
                draft: Draft::from_members(line.record),
            })
        });
        Some((records.collect::<Option<_>>()?, due))
    };
    Ok(match parsed() {
        Some((records, hash)) => Next::Line(
            records,
            Mark {
                bytes: from.bytes + bytes,
                hash,
            },
        ),
        None => Next::Damaged,
    })
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.records == 1 { "" } else { "s" };
        write!(f, "{} record{plural} since {}", self.records, time_text(self.since))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use uuid::Uuid;

    use super::*;
    use crate::{
        audit::{Entry, record::Stamp},
        clock::Clock,
    };

    fn records(count: usize) -> Vec<Stamped> {
        let mut stamp = Stamp::new(Clock::system());
        let entry = Entry::of_refusal("rule", "reason");
        (0..count).map(|_| stamp.on(Draft::of(entry.clone()))).collect()
    }

    fn ids(records: &[Stamped]) -> Vec<Uuid> {
        records.iter().map(|record| record.id).collect()
    }

    #[test]
    fn what_was_spooled_comes_out_in_order_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let (first, second) = (records(3), records(2));
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert!(spool.waiting().is_none());
        spool.append(&first).unwrap();
        spool.append(&second).unwrap();
        assert!(matches!(Spool::open(&path, 1 << 20), Err(StoreError::Locked(_))));
        drop(spool);

        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        assert_eq!(spool.waiting().unwrap().records, 5);
        let batch = spool.oldest(1).unwrap().unwrap();
        assert_eq!(ids(&batch.records), ids(&first));
        spool.taken(&batch).unwrap();
        assert_eq!(spool.waiting().unwrap().records, 2);
        let batch = spool.oldest(100).unwrap().unwrap();
        assert_eq!(ids(&batch.records), ids(&second));
        let members = batch.records.first().unwrap().draft.members();
        assert_eq!(members, second.first().unwrap().draft.members());
        spool.taken(&batch).unwrap();
        assert!(spool.oldest(100).unwrap().is_none());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        Spool::open(&path, 1 << 20).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_spool_takes_nothing_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut spool = Spool::open(&path, 2_000).unwrap();
        let mut taken = 0;
        let full = loop {
            match spool.append(&records(1)) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, StoreError::SpoolFull(_)), "{full}");
        assert_eq!(spool.waiting().unwrap().records, taken);
        assert!(fs::metadata(&path).unwrap().len() <= 2_000);
    }

    #[test]
    fn a_line_cut_anywhere_costs_that_line_only_and_a_changed_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut spool = Spool::open(&path, 1 << 20).unwrap();
        spool.append(&records(2)).unwrap();
        let whole = spool.end.bytes as usize;
        spool.append(&records(1)).unwrap();
        drop(spool);
        let text = fs::read(&path).unwrap();
        for length in whole..text.len() {
            fs::write(&path, &text[..length]).unwrap();
            let mut spool = Spool::open(&path, 1 << 20).unwrap();
            assert_eq!(spool.waiting().unwrap().records, 2, "cut at {length}");
            spool.append(&records(1)).unwrap();
            drop(spool);
            assert_eq!(Spool::open(&path, 1 << 20).unwrap().waiting().unwrap().records, 3);
        }
        let changed = String::from_utf8(text).unwrap().replacen("rule", "role", 1);
        fs::write(&path, changed).unwrap();
        let damaged = Spool::open(&path, 1 << 20).unwrap_err();
        assert!(matches!(damaged, StoreError::SpoolDamaged { line: 1, .. }), "{damaged}");
    }
}
