//! What `tollgate check` found, told as it is found.

use std::io::Write;

use super::super::{
    outcome::{Outcome, Stop},
    paint::Paint,
};
use crate::{
    config::{Config, ConfigErrors},
    misconfigured::Misconfigured,
};

/// Prints findings and counts them.
pub(super) struct Findings<'c, W> {
    config: &'c Config,
    /// The one of several upstreams that is looked at.
    one: Option<&'c Config>,
    out: W,
    paint: Paint,
    warnings: usize,
    failures: usize,
}

impl<'c, W: Write> Findings<'c, W> {
    pub(super) fn new(config: &'c Config, out: W) -> Self {
        Self {
            config,
            one: None,
            out,
            paint: Paint::for_stdout(),
            warnings: 0,
            failures: 0,
        }
    }

    /// From now on they are about this upstream; lines say so where there are several.
    pub(super) fn about(&mut self, one: &'c Config) -> &mut Self {
        self.one = self.config.has_several().then_some(one);
        self
    }

    /// From now on they are about what all share.
    pub(super) fn about_all(&mut self) -> &mut Self {
        self.one = None;
        self
    }

    /// All is well with `subject`.
    pub(super) fn ok(&mut self, subject: &str, what: impl AsRef<str>) -> Result<(), Stop> {
        let word = self.paint.green("ok  ");
        self.line(&word, subject, what.as_ref(), None)
    }

    /// Something to know, neither good nor bad.
    pub(super) fn note(&mut self, subject: &str, what: impl AsRef<str>) -> Result<(), Stop> {
        self.line("note", subject, what.as_ref(), None)
    }

    /// It would run, and somebody may be sorry.
    pub(super) fn warn(&mut self, subject: &str, what: impl AsRef<str>, mend: &str) -> Result<(), Stop> {
        self.warnings += 1;
        let word = self.paint.yellow("warn");
        self.line(&word, subject, what.as_ref(), Some(mend))
    }

    /// It would not work.
    pub(super) fn fail(&mut self, subject: &str, what: impl AsRef<str>, mend: &str) -> Result<(), Stop> {
        self.failures += 1;
        let word = self.paint.red("FAIL");
        self.line(&word, subject, what.as_ref(), Some(mend))
    }

    /// A module could not be built from its settings.
    pub(super) fn misconfigured(&mut self, subject: &str, wrong: &Misconfigured) -> Result<(), Stop> {
        let errors = match self.one {
            Some(one) => one.errors([wrong]),
            // Their keys are those of the file.
            None if self.config.has_several() => self.config.errors_in_file([wrong]),
            None => self.config.errors([wrong]),
        };
        self.errors(subject, [errors])
    }

    /// What was found wrong already.
    pub(super) fn errors(&mut self, subject: &str, errors: impl IntoIterator<Item = ConfigErrors>) -> Result<(), Stop> {
        for finding in errors
            .into_iter()
            .flat_map(|errors| errors.iter().cloned().collect::<Vec<_>>())
        {
            let mend = finding
                .hint
                .clone()
                .unwrap_or_else(|| format!("correct it in {}", self.config.file()));
            self.fail(subject, format!("{}: {}", finding.place, finding.message), &mend)?;
        }
        Ok(())
    }

    /// The last line, and the outcome.
    pub(super) fn summary(mut self) -> Result<Outcome, Stop> {
        let plural = |count: usize, word: &str| match count {
            0 => format!("no {word}s"),
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        let failures = plural(self.failures, "failure");
        let failures = if self.failures == 0 {
            self.paint.green(&failures)
        } else {
            self.paint.red(&failures)
        };
        writeln!(self.out, "\n{failures}, {}", plural(self.warnings, "warning"))?;
        Ok((self.failures == 0).into())
    }

    fn line(&mut self, word: &str, subject: &str, what: &str, mend: Option<&str>) -> Result<(), Stop> {
        let subject = match self.one.and_then(Config::name) {
            Some(name) => format!("{name}: {subject}"),
            None => subject.to_owned(),
        };
        writeln!(self.out, "{word}  {subject:<14} {what}")?;
        if let Some(mend) = mend {
            writeln!(self.out, "      {:<14} mend: {mend}", "")?;
        }
        Ok(())
    }
}
