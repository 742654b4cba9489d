//! The demo's folder: for its owner's eyes only, and gone afterwards.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// A folder below the system's place for temporary files. Dropping it deletes it.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn create() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("tollgate-demo-{}", Uuid::now_v7().simple()));
        // Not recursive: a folder that somebody else made beforehand is an error.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that its owner alone can read; folders on the way are made.
    pub(super) fn write(&self, file: &str, content: &[u8]) -> io::Result<()> {
        let path = self.0.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be deleted stays behind in the place for temporary files; there is nobody left to tell.
        _ = fs::remove_dir_all(&self.0);
    }
}
