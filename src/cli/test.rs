//! `tollgate test`: what an interceptor would be sent and what would come of it.

mod report;

use std::{
    fs,
    io::{self, Read, Write},
    path::PathBuf,
};

use clap::{ArgGroup, Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    block_on,
    outcome::{Outcome, Stop},
};
use crate::{
    clock::Clock,
    config::Config,
    event::{Event, TokenClaims, Trigger},
    interceptor::{Interceptor, Interceptors, Trial, sample},
    json,
    verdict::{DecidedBy, Effect},
};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("who").required(true).args(["interceptor", "trigger"]))]
pub(super) struct Arguments {
    /// The interceptor, by its name
    #[arg(long, value_name = "NAME")]
    interceptor: Option<String>,
    /// All interceptors of a trigger, such as PRE_SIGNUP, one after the other
    #[arg(long)]
    trigger: Option<Trigger>,
    /// The event to send, as JSON in a file or `-` for the standard input; a sample if left out
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// What must come of it
    #[arg(long)]
    expect: Option<Expected>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Expected {
    Allow,
    Deny,
}

/// Sends the event, marked as a dry run. Well when the decision is the expected one, or without expectation, when each
/// endpoint gave a verdict of its own.
pub(super) fn run(config: &Config, arguments: &Arguments, out: &mut impl Write) -> Result<Outcome, Stop> {
    let interceptors = Interceptors::build(
        &config.interceptors,
        config.consult_budget,
        &config.base,
        Clock::system(),
    )
    .map_err(|findings| config.errors(&findings))?;
    let asked = chosen(&interceptors, arguments)?;
    let mut well = true;
    let mut reports = Vec::new();
    for (index, interceptor) in asked.into_iter().enumerate() {
        let (event, existing) = event(config, interceptor.trigger(), arguments)?;
        let trial = block_on(interceptors.consult_one(interceptor.name(), &event, &existing))?
            .ok_or_else(|| Stop::Usage(format!("there is no interceptor `{}`", interceptor.name())))?;
        well &= as_expected(&trial, arguments.expect);
        if arguments.json {
            reports.push(report::json(interceptor, &trial));
            continue;
        }
        if index > 0 {
            writeln!(out)?;
        }
        report::text(interceptor, &trial, &existing, out)?;
    }
    match (arguments.json, reports.as_slice()) {
        (true, [one]) => writeln!(out, "{one:#}")?,
        (true, all) => writeln!(out, "{:#}", json!(all))?,
        (false, _) => {}
    }
    Ok(well.into())
}

fn as_expected(trial: &Trial, expected: Option<Expected>) -> bool {
    let effect = trial.consultation.effect;
    match expected {
        Some(Expected::Allow) => effect == Effect::Allow,
        Some(Expected::Deny) => effect == Effect::Deny,
        None => trial.consultation.decided_by == DecidedBy::Endpoint,
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
    if let Some(interceptor) = interceptors.named(name) {
        return Ok(vec![interceptor]);
    }
    let names: Vec<_> = interceptors
        .iter()
        .map(|interceptor| format!("`{}`", interceptor.name()))
        .collect();
    Err(Stop::Usage(match names.as_slice() {
        [] => "the configuration has no `[[interceptor]]`".to_owned(),
        names => format!("there is no interceptor `{name}`; there are {}", names.join(", ")),
    }))
}

fn event(config: &Config, trigger: Trigger, arguments: &Arguments) -> Result<(Event, TokenClaims), Stop> {
    let Some(file) = &arguments.event else {
        let (mut event, existing) = sample(trigger, Timestamp::now());
        event.context.environment_id.clone_from(&config.environment);
        return Ok((event, existing));
    };
    let place = file.display();
    let unreadable = |error: io::Error| Stop::Usage(format!("the event `{place}` cannot be read: {error}"));
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        io::stdin().read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        bytes = fs::read(file).map_err(unreadable)?;
    }
    json::parse(&bytes).map_err(|error| Stop::Usage(format!("the event `{place}` is not valid JSON: {error}")))?;
    let mut event: Event = serde_json::from_slice(&bytes)
        .map_err(|error| Stop::Usage(format!("the event `{place}` is not one that Tollgate sends: {error}")))?;
    if event.trigger != trigger {
        return Err(Stop::Usage(format!(
            "the event `{place}` is of {}, and the interceptor is asked at {trigger}",
            event.trigger
        )));
    }
    event.context.dry_run = true;
    let claims = event.data.get("claims").cloned().unwrap_or(Value::Null);
    let existing = serde_json::from_value(claims).unwrap_or_default();
    Ok((event, existing))
}
