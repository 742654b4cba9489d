//! A setting that parses and still cannot be used.

use std::fmt;

/// What is wrong with which setting and how to mend it. `config` finds the line and column of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misconfigured {
    /// The key's path as in the file, list items by index: `interceptor.1.endpoint`.
    pub key: String,
    /// What is wrong, in a sentence that never shows a secret.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Misconfigured {
    /// A finding without a hint.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same finding, saying how to mend it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same finding below another key: `endpoint` becomes `interceptor.1.endpoint`.
    pub fn below(mut self, parent: &str) -> Self {
        self.key = if self.key.is_empty() {
            parent.to_owned()
        } else {
            format!("{parent}.{}", self.key)
        };
        self
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Misconfigured {}
