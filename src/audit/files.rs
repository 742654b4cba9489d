//! Files that only their owner can read.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::StoreError;

/// Makes the file, empty and for its owner only, when it is not there; takes others' rights from one that is.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File {
        path: path.to_owned(),
        source: Arc::new(source),
    };
    // SQLite's locks end when any handle of this process on the file is closed, so one that exists is never opened here.
    match owner_only().write(true).create_new(true).open(path) {
        Ok(file) => {
            file.sync_all().map_err(failed)?;
            // Without this the name may be lost in a power failure, and all records with it.
            sync_folder(path).map_err(failed)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        close_to_others(&file).map_err(failed)?;
    }
    Ok(())
}

/// Brings the name of a file to the disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::File::open(folder)?.sync_all()
}

/// Tells a file from another one that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// The file that has this name now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Ok(Self(file.dev(), file.ino()))
        }
        #[cfg(not(unix))]
        {
            _ = file;
            Ok(Self(0, 0))
        }
    }
}

/// Options for a file that only its owner can read.
pub(super) fn owner_only() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The path with `ending` behind the file's name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(unix)]
fn close_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    match fs::metadata(path) {
        Ok(file) if file.permissions().mode() & 0o077 != 0 => {
            fs::set_permissions(path, fs::Permissions::from_mode(file.permissions().mode() & 0o700))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn close_to_others(_: &Path) -> io::Result<()> {
    Ok(())
}
