//! `tollgate audit`: recorded decisions.

use std::{io::Write, path::Path};

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

use super::outcome::{Outcome, Stop};
use crate::{
    audit::{Head, Query, ReadError, Reader},
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
    /// Check that no record was changed, removed, swapped or inserted
    Verify {
        /// A head that an earlier `verify` printed: it must still be there, or the end was cut off
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<Head>,
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
            Command::Verify { expect, json } => {
                let report = reader.verify(expect)?;
                if json {
                    let flaw = report
                        .flaw
                        .as_ref()
                        .map(|flaw| json!({"seq": flaw.seq, "id": flaw.id, "message": flaw.to_string()}));
                    let summary = json!({
                        "holds": report.holds(), "records": report.records, "head": report.head.to_string(),
                        "first": report.first, "last": report.last, "flaw": flaw,
                    });
                    writeln!(out, "{summary:#}")?;
                } else {
                    writeln!(out, "{report}")?;
                }
                return Ok(report.holds().into());
            }
        }
        Ok(Outcome::Well)
    };
    read().map_err(|error| unread(error, |wrong| kept.errors([wrong])))
}

/// Why the audit could not be read; `place` finds a setting in the file.
pub(super) fn unread(error: ReadError, place: impl FnOnce(&Misconfigured) -> ConfigErrors) -> Stop {
    match error {
        ReadError::Misconfigured(wrong) => Stop::Config(place(&wrong)),
        ReadError::Output(error) => Stop::Output(error),
        ReadError::Unknown(_) | ReadError::Ambiguous { .. } => Stop::Usage(error.to_string()),
        _ => Stop::Ours(error.to_string()),
    }
}
