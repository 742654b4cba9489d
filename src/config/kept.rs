//! The sections that `tollgate keys` and `tollgate audit` need.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use super::{
    ConfigErrors, base, open,
    read::{Extent, read},
    source::Source,
    upstreams::Keys,
};
use crate::{audit, misconfigured::Misconfigured, token};

/// What lies on the disk for one upstream, out of a configuration whose other sections may be unfinished.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// `[tokens]`.
    pub tokens: token::Settings,
    /// `[audit]`.
    pub audit: audit::Settings,
    upstream: Named,
    /// The folder of the file.
    #[serde(skip)]
    pub base: PathBuf,
    #[serde(skip)]
    source: Arc<Source>,
    #[serde(skip)]
    keys: Keys,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Option<String>,
}

impl Kept {
    /// Reads the two sections for every upstream, one at least, and looks at nothing else.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Vec<Self>, ConfigErrors> {
        let mut source = open(path)?;
        let read = read::<Self>(&mut source, environment, Extent::Sections)?;
        let source = Arc::new(source);
        let kept = read.into_iter().map(|read| Self {
            base: base(path),
            source: Arc::clone(&source),
            keys: read.keys,
            ..read.value
        });
        Ok(kept.collect())
    }

    /// The same for the first upstream alone, for what all share.
    ///
    /// # Errors
    /// As for [`Kept::load`].
    pub fn shared(
        path: &Path,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let first = Self::load(path, environment)?.into_iter().next();
        Ok(first.unwrap_or_else(|| Self::defaults(path)))
    }

    /// The default places beside a file that is not there yet.
    pub fn defaults(path: &Path) -> Self {
        Self {
            base: base(path),
            source: Arc::new(Source::new(path.display().to_string(), String::new())),
            ..Self::default()
        }
    }

    /// The name of the upstream, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.upstream.name.as_deref()
    }

    /// Shows what was found wrong, each at its place in the file or the environment.
    pub fn errors<'m>(&self, findings: impl IntoIterator<Item = &'m Misconfigured>) -> ConfigErrors {
        self.source.errors(&self.keys, findings)
    }
}
