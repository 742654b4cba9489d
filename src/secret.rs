//! Values that are never shown: they come from a file or the environment and print as `***`.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// Where a secret is kept; the configuration has no form that holds the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum SecretSource {
    /// `{ file = "certs/hook.key" }`: the content of a file, one line break at its end removed.
    File {
        /// Relative to the folder of `proxy.toml`.
        file: PathBuf,
    },
    /// `{ env = "HOOK_SECRET" }`: an environment variable.
    Env {
        /// The variable's name.
        env: String,
    },
}

/// A secret's bytes. Neither `Debug` nor `Display` shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Why a secret could not be read. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("the secret file `{}` cannot be read: {source}", path.display())]
    File {
        /// The path that was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The variable is not set.
    #[error("the environment variable `{0}` is not set")]
    Env(String),
    /// There is a place, and nothing in it.
    #[error("the secret in {0} is empty")]
    Empty(String),
}

impl SecretSource {
    /// Reads the secret; a relative file is looked up below `base`, the folder of `proxy.toml`.
    pub fn read(&self, base: &Path) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::File { file } => {
                let path = base.join(file);
                let mut bytes = std::fs::read(&path).map_err(|source| SecretError::File { path, source })?;
                for end in [b'\n', b'\r'] {
                    if bytes.last() == Some(&end) {
                        bytes.pop();
                    }
                }
                bytes
            }
            Self::Env { env } => std::env::var(env)
                .map_err(|_| SecretError::Env(env.clone()))?
                .into_bytes(),
        };
        if bytes.is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(Secret(bytes))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file } => write!(f, "the file `{}`", file.display()),
            Self::Env { env } => write!(f, "the environment variable `{env}`"),
        }
    }
}

impl Secret {
    /// Takes bytes that are already at hand: generated ones, or a test's.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text, where it is UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "***");
    }

    #[test]
    fn one_line_break_at_the_end_of_a_file_is_not_part_of_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "abc\r\n").unwrap();
        let source = SecretSource::File { file: "key".into() };
        assert_eq!(source.read(dir.path()).unwrap().expose(), b"abc");
    }
}
