//! How the walk is written down: aligned, within 100 columns, each claim of the text checked.

use std::io::{self, Write};

use super::Outcome;
use crate::{
    demo::{client::NoReply, config::INTERCEPTORS},
    event::Trigger,
};

/// The text so far, and what did not come true.
pub(super) struct Tale<'w> {
    out: &'w mut (dyn Write + Send),
    text: String,
    title: String,
    steps: usize,
    failures: Vec<String>,
}

impl<'w> Tale<'w> {
    pub(super) fn new(out: &'w mut (dyn Write + Send)) -> Self {
        Self {
            out,
            text: String::new(),
            title: String::new(),
            steps: 0,
            failures: Vec::new(),
        }
    }

    /// Opens the next decision.
    pub(super) fn begin(&mut self, trigger: Trigger, title: &str) {
        self.steps += 1;
        self.title = format!("{} of {DECISIONS}", self.steps);
        let head = format!("── {} · {trigger} · {title} ", self.title);
        let rule = "─".repeat(WIDTH.saturating_sub(head.chars().count()));
        self.line("");
        self.line(&format!("{head}{rule}"));
        self.line("");
        self.title = format!("{}, {title}", self.title);
    }

    /// Closes a decision: what it said is written out, and what stopped it is a failure.
    pub(super) fn end<T>(&mut self, told: Result<T, NoReply>) -> io::Result<Option<T>> {
        let told = told.map_err(|broken| self.check(&broken.to_string(), false)).ok();
        self.flush()?;
        Ok(told)
    }

    /// One line as it is.
    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A label and what it stands for; further lines are indented like the first.
    pub(super) fn row(&mut self, label: &str, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let label = if index == 0 { label } else { "" };
            let row = format!("  {label:<LABEL$}  {line}");
            self.line(row.trim_end());
        }
    }

    /// A label and a wide table below it.
    pub(super) fn table(&mut self, label: &str, lines: &[String]) {
        self.line("");
        self.line(&format!("  {label}"));
        for line in lines {
            self.line(format!("    {line}").trim_end());
        }
    }

    /// Something that must be so.
    pub(super) fn check(&mut self, what: &str, holds: bool) {
        let mark = if holds { '✓' } else { '✗' };
        self.line(&format!("  {:LABEL$}  {mark} {what}", ""));
        if !holds {
            self.failures.push(format!("{}: not so: {what}", self.title));
        }
    }

    /// The last words.
    pub(super) fn conclude(mut self) -> io::Result<Outcome> {
        self.line("");
        if self.failures.is_empty() {
            self.line(&format!("All {} decisions came out as said.", self.steps));
        } else {
            self.line("This did not come out as said:");
            for failure in self.failures.clone() {
                self.line(&format!("  ✗ {failure}"));
            }
        }
        self.flush()?;
        Ok(Outcome {
            steps: self.steps,
            failures: self.failures,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(std::mem::take(&mut self.text).as_bytes())?;
        self.out.flush()
    }
}

/// How many decisions a walk has: each trigger allowed and denied.
pub(super) const DECISIONS: usize = 2 * INTERCEPTORS.len();
const WIDTH: usize = 96;
const LABEL: usize = 12;
