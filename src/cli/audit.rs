//! `tollgate audit`: recorded decisions.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::outcome::{Outcome, Stop};
use crate::{
    audit::{Format, Head, Heads, Query, ReadError, Reader, Report},
    config::{ConfigErrors, Kept},
    misconfigured::Misconfigured,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List records, newest first
    List {
        #[command(flatten)]
        query: Box<Query>,
        /// Print JSON, one record a line
        #[arg(long)]
        json: bool,
    },
    /// Show everything about one record, or about all of one request
    Show {
        /// A record's id, the beginning of one, its number, or a request's id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write records for other programs, oldest first; without a limit all that match
    Export {
        #[command(flatten)]
        query: Box<Query>,
        /// How to write them
        #[arg(long, value_enum, default_value_t = Format::Ndjson)]
        format: Format,
    },
    /// Check that no record was changed, removed, swapped or inserted
    Verify {
        /// A head that an earlier `verify` printed: it must still be there, or the end was cut off
        #[arg(long, value_name = "HEAD")]
        expect: Option<Head>,
        /// The file that `audit.heads.file` names, or a copy: every signed head in it must still be there
        #[arg(long, value_name = "FILE")]
        heads: Option<PathBuf>,
        /// The public key of the heads [default: the one beside `audit.heads.key`]
        #[arg(long, value_name = "FILE", requires = "heads")]
        key: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(config: &Path, command: Command, out: &mut impl Write) -> Result<Outcome, Stop> {
    let kept = Kept::load(config, std::env::vars_os())?;
    let now = Timestamp::now();
    let read = || -> Result<Outcome, ReadError> {
        let reader = Reader::open(&kept.audit, &kept.base)?;
        match command {
            Command::List { query, json: true } => drop(reader.list_json(&query, now, out)?),
            Command::List { query, json: false } => drop(reader.list(&query, now, out)?),
            Command::Show { id, json: true } => reader.show_json(&id, out)?,
            Command::Show { id, json: false } => reader.show(&id, out)?,
            Command::Export { query, format } => drop(reader.export(&query, format, now, out)?),
            Command::Verify {
                expect,
                heads,
                key,
                json,
            } => {
                let mut known = match heads {
                    Some(file) => {
                        let settings = kept.audit.heads.clone().unwrap_or_default();
                        Heads::read(&file, &key.unwrap_or_else(|| settings.public_key(&kept.base)))
                            .map_err(ReadError::Heads)?
                    }
                    None => Heads::default(),
                };
                known.expect(expect);
                let reports = reader.verify(&known)?;
                if json {
                    writeln!(out, "{:#}", summary(&reports))?;
                } else {
                    for report in &reports {
                        writeln!(out, "{report}")?;
                    }
                    if reports.is_empty() {
                        writeln!(out, "there are no chains yet")?;
                    }
                }
                return Ok(reports.iter().all(Report::holds).into());
            }
        }
        Ok(Outcome::Well)
    };
    read().map_err(|error| unread(error, |wrong| kept.errors([wrong])))
}

/// The reports for programs: an object for the chain of a file, and one with all `chains` for a store of several.
fn summary(reports: &[Report]) -> Value {
    let one = |report: &Report| {
        let flaw = report
            .flaw
            .as_ref()
            .map(|flaw| json!({"seq": flaw.seq, "id": flaw.id, "message": flaw.to_string()}));
        json!({
            "holds": report.holds(), "records": report.records, "head": report.head.to_string(),
            "removed": report.removed, "first": report.first, "last": report.last, "flaw": flaw,
        })
    };
    match reports {
        [only] if only.chain == 0 => one(only),
        _ => json!({
            "holds": reports.iter().all(Report::holds),
            "records": reports.iter().map(|report| report.records).sum::<u64>(),
            "chains": reports.iter().map(one).collect::<Vec<_>>(),
        }),
    }
}

/// Why the audit could not be read; `place` finds a setting in the file.
pub(super) fn unread(error: ReadError, place: impl FnOnce(&Misconfigured) -> ConfigErrors) -> Stop {
    match error {
        ReadError::Misconfigured(wrong) => Stop::Config(place(&wrong)),
        ReadError::Output(error) => Stop::Output(error),
        ReadError::Unknown(_) | ReadError::Ambiguous { .. } | ReadError::Heads(_) | ReadError::Number => {
            Stop::Usage(error.to_string())
        }
        _ => Stop::Ours(error.to_string()),
    }
}
