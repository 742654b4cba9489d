//! How far a sink has come, kept in a file beside the store.
//!
//! Not in the store: it has one writer, and every commit of it waits for the disk. A sink's progress would stand in line with decisions.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use crate::audit::files;

/// The number of the last record that was delivered. Written at most once a second: what was delivered since is delivered again after a
/// crash, never left out.
pub(super) struct Cursor {
    file: PathBuf,
    at: u64,
    due: Option<Instant>,
}

impl Cursor {
    /// Reads the file of the sink `name`; `None` for one that was never seen before.
    pub(super) fn read(store: &Path, name: &str) -> io::Result<Option<Self>> {
        let file = files::beside(store, &format!("-sink-{name}"));
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let at = text.trim_end().parse().map_err(|_| {
            let what = format!("`{}` should have the number of a record in it", file.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(Some(Self { file, at, due: None }))
    }

    /// Begins behind the record `at`, and keeps that.
    pub(super) fn begin(store: &Path, name: &str, at: u64) -> io::Result<Self> {
        let mut cursor = Self {
            file: files::beside(store, &format!("-sink-{name}")),
            at,
            due: None,
        };
        cursor.save()?;
        Ok(cursor)
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Everything up to this record is delivered, or gone.
    pub(super) fn advance(&mut self, to: u64) {
        self.at = to;
        self.due.get_or_insert_with(|| Instant::now() + SAVE);
    }

    /// When it has to be saved; `None` when the file says the same.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes the file anew, durably, never half of it.
    pub(super) fn save(&mut self) -> io::Result<()> {
        let new = files::beside(&self.file, ".new");
        let mut file = files::owner_only().write(true).create(true).truncate(true).open(&new)?;
        writeln!(file, "{}", self.at)?;
        file.sync_all()?;
        fs::rename(&new, &self.file)?;
        files::sync_folder(&self.file)?;
        self.due = None;
        Ok(())
    }
}

/// How long a delivery may be known in memory only.
const SAVE: Duration = Duration::from_secs(1);
