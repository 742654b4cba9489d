//! The sections that `tollgate keys` and `tollgate audit` need.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{ConfigErrors, base, open, read::read, source::Source};
use crate::{audit, misconfigured::Misconfigured, token};

/// What lies on the disk, out of a configuration whose other sections may be unfinished.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// `[tokens]`.
    pub tokens: token::Settings,
    /// `[audit]`.
    pub audit: audit::Settings,
    /// The folder of the file.
    #[serde(skip)]
    pub base: PathBuf,
    #[serde(skip)]
    source: Source,
}

impl Kept {
    /// Reads the two sections and looks at nothing else.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let mut source = open(path)?;
        let mut kept: Self = read(&mut source, environment)?;
        kept.base = base(path);
        kept.source = source;
        Ok(kept)
    }

    /// The default places beside a file that is not there yet.
    pub fn defaults(path: &Path) -> Self {
        Self {
            base: base(path),
            source: Source::new(path.display().to_string(), String::new()),
            ..Self::default()
        }
    }

    /// Shows what was found wrong, each at its place in the file or the environment.
    pub fn errors<'m>(&self, findings: impl IntoIterator<Item = &'m Misconfigured>) -> ConfigErrors {
        self.source.errors(findings)
    }
}
