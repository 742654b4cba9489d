//! Events as lines: on standard output, or at the end of a file.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use crate::audit::files::{self, FileId};

/// Takes lines.
pub(in crate::audit) enum Lines {
    Stdout,
    File(Appended),
}

/// A file that others may move away, as `logrotate` does.
pub(in crate::audit) struct Appended {
    path: PathBuf,
    open: Option<(File, FileId)>,
}

impl Lines {
    /// Writes whole lines. After an error, none of them counts as written.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            }
            Self::File(file) => file.append(text),
        }
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Stdout | Self::File(Appended { open: None, .. }) => Ok(()),
            Self::File(Appended {
                open: Some((file, _)), ..
            }) => sync(file),
        }
    }
}

impl Appended {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// Appends `text`; with none, only sees to it that the file is there.
    pub(super) fn append(&mut self, text: &str) -> io::Result<()> {
        let there = FileId::of(&self.path).ok();
        let mut file = match self.open.take() {
            Some((file, id)) if there == Some(id) => file,
            moved => {
                if let Some((file, _)) = moved {
                    sync(&file)?;
                }
                let mut file = files::owner_only()
                    .read(true)
                    .append(true)
                    .create(true)
                    .open(&self.path)?;
                end_line(&mut file)?;
                file
            }
        };
        let id = FileId::of(&self.path)?;
        let before = file.metadata()?;
        if let Err(error) = file.write_all(text.as_bytes()) {
            if before.is_file() {
                // A full disk takes half a line. What cannot be cut off is ended at the next opening.
                _ = file.set_len(before.len());
            }
            return Err(error);
        }
        self.open = Some((file, id));
        Ok(())
    }
}

/// Ends the line that a crash left unfinished, so that the next one is whole.
fn end_line(file: &mut File) -> io::Result<()> {
    let about = file.metadata()?;
    if !about.is_file() || about.len() == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

fn sync(file: &File) -> io::Result<()> {
    // A pipe or a terminal has no disk.
    if file.metadata()?.is_file() {
        file.sync_data()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_that_a_crash_left_unfinished_does_not_spoil_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        fs::write(&path, "{\"half").unwrap();
        let mut file = Appended::new(path.clone());
        file.append("{}\n").unwrap();
        file.append("[]\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"half\n{}\n[]\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("events"), dir.path().join("events.1"));
        let mut file = Appended::new(path.clone());
        file.append("1\n").unwrap();
        fs::rename(&path, &old).unwrap();
        file.append("2\n").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
    }
}
