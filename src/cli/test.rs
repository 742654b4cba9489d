//! `tollgate test`: what an interceptor would be sent and what would come of it.

mod cases;
mod document;
mod junit;
mod source;
mod text;

use std::{io::Write, path::PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use serde_json::json;

use super::{
    block_on,
    outcome::{Outcome, Stop},
};
use crate::{
    clock::Clock,
    config::Config,
    event::Trigger,
    interceptor::{Interceptor, Interceptors},
    trial::{Case, CaseName, Cases, CasesError, Expectation, Report, Submission, try_out},
    verdict::{DecidedBy, Effect, FailureKind},
};

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("who").required(true).multiple(true).args(["interceptor", "trigger", "case", "all"]),
    group = ArgGroup::new("kept").args(["case", "all"]),
)]
pub(super) struct Arguments {
    /// The interceptor, by its name
    #[arg(long, value_name = "NAME", conflicts_with = "trigger")]
    interceptor: Option<String>,
    /// All interceptors of a trigger, such as PRE_SIGNUP, one after the other
    #[arg(long, conflicts_with = "kept")]
    trigger: Option<Trigger>,
    /// The event to send, as JSON in a file or `-` for the standard input; a sample if left out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kept", "from_record"])]
    event: Option<PathBuf>,
    /// Send the event of a record in the audit: its id, its number, or a request's id
    #[arg(long, value_name = "ID", conflicts_with = "kept")]
    from_record: Option<String>,
    /// What must come of it
    #[arg(long, conflicts_with = "kept")]
    expect: Option<Expected>,
    /// Keep the event and what came of it as a case of this name
    #[arg(long, value_name = "NAME", requires = "interceptor", conflicts_with = "kept")]
    save: Option<CaseName>,
    /// What the saved case is for
    #[arg(long, value_name = "TEXT", requires = "save")]
    note: Option<String>,
    /// A case that was kept
    #[arg(long, value_name = "NAME")]
    case: Option<CaseName>,
    /// All cases, or with `--interceptor` all of one
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write the results of cases to this file, as JUnit XML
    #[arg(long, value_name = "FILE", requires = "kept")]
    junit: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Expected {
    Allow,
    Deny,
}

/// Sends the event, marked as a dry run. Well when the decision is the expected one, or without expectation, when each
/// endpoint gave a verdict of its own; with cases, when all are met.
pub(super) fn run(config: &Config, arguments: &Arguments, out: &mut impl Write) -> Result<Outcome, Stop> {
    let interceptors = Interceptors::build(
        &config.all_interceptors(),
        config.consult_budget,
        &config.base,
        Clock::system(),
    )
    .map_err(|findings| config.errors_in_file(&findings))?;
    let cases = Cases::new(&config.test, &config.base);
    if arguments.case.is_some() || arguments.all {
        return cases::run(config, &interceptors, &cases, arguments, out);
    }
    let mut well = true;
    let mut reports = Vec::new();
    for (index, interceptor) in chosen(&interceptors, arguments)?.into_iter().enumerate() {
        let submission = source::submission(config, interceptor, arguments)?;
        let report = block_on(try_out(&interceptors, interceptor.name(), &submission))?
            .ok_or_else(|| unknown(&interceptors, interceptor.name()))?;
        well &= as_expected(&report, arguments.expect);
        if let Some(name) = &arguments.save {
            save(&cases, name, &submission, &report, arguments)?;
        }
        if arguments.json {
            reports.push(document::report(&report));
            continue;
        }
        if index > 0 {
            writeln!(out)?;
        }
        text::report(&report, out)?;
        if let Some(name) = &arguments.save {
            writeln!(out, "\nsaved as the case `{name}` in {}", cases.folder().display())?;
        }
    }
    match (arguments.json, reports.as_slice()) {
        (true, [one]) => document::print(one, out)?,
        (true, all) => document::print(&json!(all), out)?,
        (false, _) => {}
    }
    Ok(well.into())
}

/// Nobody is called that.
pub(super) fn unknown(interceptors: &Interceptors, name: &str) -> Stop {
    let names: Vec<_> = interceptors.iter().map(|i| format!("`{}`", i.name())).collect();
    Stop::Usage(match names.as_slice() {
        [] => "the configuration has no `[[interceptor]]`".to_owned(),
        names => format!("there is no interceptor `{name}`; there are {}", names.join(", ")),
    })
}

fn as_expected(report: &Report, expected: Option<Expected>) -> bool {
    match expected {
        Some(Expected::Allow) => report.allows(),
        Some(Expected::Deny) => !report.allows(),
        None => report.consultation().decided_by == DecidedBy::Endpoint,
    }
}

fn chosen<'i>(interceptors: &'i Interceptors, arguments: &Arguments) -> Result<Vec<&'i Interceptor>, Stop> {
    if let Some(trigger) = arguments.trigger {
        let asked: Vec<_> = interceptors.for_trigger(trigger).collect();
        if asked.is_empty() {
            return Err(Stop::Usage(format!("no interceptor is asked at {trigger}")));
        }
        return Ok(asked);
    }
    let name = arguments.interceptor.as_deref().unwrap_or_default();
    let interceptor = interceptors.named(name).ok_or_else(|| unknown(interceptors, name))?;
    Ok(vec![interceptor])
}

fn save(
    cases: &Cases,
    name: &CaseName,
    submission: &Submission,
    report: &Report,
    arguments: &Arguments,
) -> Result<(), Stop> {
    let expect = match arguments.expect {
        Some(Expected::Allow) => Expectation::decision(Effect::Allow),
        Some(Expected::Deny) => Expectation::decision(Effect::Deny),
        None => match &report.consultation().failure {
            // An endpoint that happens to be away is nothing to expect from now on.
            Some(failure) if failure.kind == FailureKind::Down => {
                return Err(Stop::Usage(format!(
                    "nothing was saved, since the endpoint gave no answer: {}; `--expect` says what must come of the case",
                    failure.detail
                )));
            }
            _ => Expectation::of(report.trigger, report.consultation()),
        },
    };
    let case = Case {
        interceptor: report.interceptor.clone(),
        note: arguments.note.clone().unwrap_or_default(),
        expect,
        event: json!(submission.event),
    };
    cases.save(name, &case).map_err(unkept)?;
    Ok(())
}

/// A case that cannot be read or kept.
fn unkept(error: CasesError) -> Stop {
    match error {
        CasesError::File { .. } => Stop::Ours(error.to_string()),
        _ => Stop::Usage(error.to_string()),
    }
}
