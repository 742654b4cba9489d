//! Why records could not be read.

use std::{io, path::PathBuf};

use crate::{audit::postgres, misconfigured::Misconfigured};

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The setting names no store.
    #[error(transparent)]
    Misconfigured(#[from] Misconfigured),
    /// There is no such file.
    #[error("there is no audit at `{}`: it is made when `tollgate run` first starts", .0.display())]
    Missing(PathBuf),
    /// The file system refused.
    #[error("`{}` cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("`{}` is no audit store", .0.display())]
    Foreign(PathBuf),
    /// The file was written by a newer version.
    #[error("`{}` was written by a newer version of Tollgate", .0.display())]
    Newer(PathBuf),
    /// The file was written by an older version, and only the writer may bring it up to date.
    #[error("`{}` was written by an older version of Tollgate; `tollgate run` brings it up to date when it starts", .0.display())]
    Older(PathBuf),
    /// The database cannot be read.
    #[error("the audit store `{at}` cannot be read: {source}")]
    Postgres {
        /// The database, without the password.
        at: String,
        /// What it said.
        source: postgres::Failure,
    },
    /// A number names no place among several chains.
    #[error("this store has several chains: name a record by its id, not by its number")]
    Number,
    /// No record has this id, number or request id.
    #[error("no record has the id, number or request id `{0}`")]
    Unknown(String),
    /// Several records' ids begin so.
    #[error("{count} records' ids begin with `{name}`: write more of it")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// The heads to hold against the store cannot be used.
    #[error("the signed heads cannot be used: {0}")]
    Heads(io::Error),
    /// SQLite could not read the file.
    #[error("the audit store `{}` cannot be read: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The output could not be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}
