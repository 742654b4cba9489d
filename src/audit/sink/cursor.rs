//! How far a sink has come, kept in a file beside the store, or in a table of the database.
//!
//! Not in the file itself: it has one writer, and every commit of it waits for the disk. A sink's progress would stand in line with decisions.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use super::Undelivered;
use crate::audit::{files, postgres::Marks, store::Location};

/// The number of the last record of a chain that was delivered. Written at most once a second: what was delivered since is delivered again
/// after a crash, never left out.
pub(super) struct Cursor {
    chain: u32,
    keep: Keep,
    at: u64,
    due: Option<Instant>,
}

/// Where the number is kept.
enum Keep {
    File(PathBuf),
    /// The table of the database, under this name: whoever goes on with the chain goes on with its deliveries.
    Table(Marks, String),
}

impl Keep {
    fn of(location: &Location, name: &str) -> Self {
        match location {
            Location::Sqlite(store) => Self::File(files::beside(store, &format!("-sink-{name}"))),
            Location::Postgres(address) => Self::Table(Marks::new(address), name.to_owned()),
        }
    }
}

impl Cursor {
    /// How far the sink `name` is in this chain; `None` for one that was never seen in it before.
    pub(super) fn read(location: &Location, name: &str, chain: u32) -> Result<Option<Self>, Undelivered> {
        let mut keep = Keep::of(location, name);
        let at = match &mut keep {
            Keep::File(file) => read(file)?,
            Keep::Table(marks, name) => marks.read(name, chain).map_err(Undelivered::Unmarked)?,
        };
        Ok(at.map(|at| Self {
            chain,
            keep,
            at,
            due: None,
        }))
    }

    /// Begins behind the record `at`, and keeps that.
    pub(super) fn begin(location: &Location, name: &str, chain: u32, at: u64) -> Result<Self, Undelivered> {
        let mut cursor = Self {
            chain,
            keep: Keep::of(location, name),
            at,
            due: None,
        };
        cursor.save()?;
        Ok(cursor)
    }

    pub(super) fn chain(&self) -> u32 {
        self.chain
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

    /// Keeps the number, durably.
    pub(super) fn save(&mut self) -> Result<(), Undelivered> {
        match &mut self.keep {
            Keep::File(file) => write(file, self.at)?,
            Keep::Table(marks, name) => marks.write(name, self.chain, self.at).map_err(Undelivered::Unmarked)?,
        }
        self.due = None;
        Ok(())
    }
}

fn read(file: &Path) -> io::Result<Option<u64>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    text.trim_end().parse().map(Some).map_err(|_| {
        let what = format!("`{}` should have the number of a record in it", file.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

/// Writes the file anew, never half of it.
fn write(file: &Path, at: u64) -> io::Result<()> {
    let new = files::beside(file, ".new");
    let mut written = files::owner_only().write(true).create(true).truncate(true).open(&new)?;
    writeln!(written, "{at}")?;
    written.sync_all()?;
    fs::rename(&new, file)?;
    files::sync_folder(file)
}

/// How long a delivery may be known in memory only.
const SAVE: Duration = Duration::from_secs(1);
