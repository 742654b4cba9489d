//! What is wrong with a configuration, as its operator reads it.

use std::{error::Error, fmt};

/// Everything that is wrong, in the order of the file; what the environment says comes last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Finding>);

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How far into the file, to sort by.
    pub(super) order: usize,
    /// `proxy.toml:31:14`, `proxy.toml`, or the name of an environment variable.
    pub place: String,
    /// What is wrong. Never shows a secret.
    pub message: String,
    /// The line of the file and a line of carets below it; secrets in it are masked.
    pub excerpt: Option<String>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl ConfigErrors {
    /// The findings, sorted, none of them twice.
    pub(super) fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.order);
        // The same mistake is found once for every upstream that it concerns, and others may stand between.
        let mut seen: Vec<Finding> = Vec::new();
        for finding in findings {
            if !seen.contains(&finding) {
                seen.push(finding);
            }
        }
        Self(seen)
    }

    /// These and others.
    pub(crate) fn and(self, others: Self) -> Self {
        Self::new(self.0.into_iter().chain(others.0).collect())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mistakes one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}
