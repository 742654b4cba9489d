//! A SQLite file that is only read.

use std::{cmp::Ordering, path::Path};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::ReadError;
use crate::audit::{files, sqlite};

/// Opens the file, and makes sure that it is one of ours.
pub(super) fn open(path: &Path) -> Result<Connection, ReadError> {
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(ReadError::Missing(path.to_owned())),
        Err(source) => {
            return Err(ReadError::File {
                path: path.to_owned(),
                source,
            });
        }
    }
    let connection = connect(path).map_err(|source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => ReadError::Foreign(path.to_owned()),
        _ => failed(path, source),
    })?;
    let (application, schema) = sqlite::identity(&connection).map_err(|e| failed(path, e))?;
    if application != sqlite::APPLICATION {
        return Err(ReadError::Foreign(path.to_owned()));
    }
    match schema.cmp(&sqlite::SCHEMA) {
        Ordering::Greater => Err(ReadError::Newer(path.to_owned())),
        Ordering::Less => Err(ReadError::Older(path.to_owned())),
        Ordering::Equal => Ok(connection),
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    match sqlite::identity(&connection) {
        // A copy on a read-only disk: SQLite cannot make its files beside it, and needs none when nobody writes.
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly)
            ) && !files::beside(path, "-wal").exists() =>
        {
            let name = utf8_percent_encode(&path.to_string_lossy(), NON_ALPHANUMERIC).to_string();
            Connection::open_with_flags(format!("file:{name}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        Err(error) => Err(error),
        Ok(_) => Ok(connection),
    }
}

pub(super) fn failed(path: &Path, source: rusqlite::Error) -> ReadError {
    ReadError::Sqlite {
        path: path.to_owned(),
        source,
    }
}
