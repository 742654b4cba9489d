//! `tollgate replay`: recorded events sent again, to see what a new endpoint would decide otherwise.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    audit::unread,
    block_on,
    outcome::{Outcome, Stop},
    paint::Paint,
    test::unknown,
};
use crate::{
    audit::{Kind, Query, Reader, Record},
    clock::Clock,
    config::Config,
    escape::{for_terminal, in_json},
    interceptor::Interceptors,
    trial::{self, Difference, Pace, Replayed, replay},
    verdict::FailureKind,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where the events of `--interceptor` are sent, signed with its secret and with its authentication; `current` is where the configuration
    /// sends them
    #[arg(long, value_name = "URL", default_value = "current")]
    endpoint: String,
    #[command(flatten)]
    query: Box<Query>,
    /// How many endpoints are asked at once
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    at_once: u8,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How many there are of each outcome.
#[derive(Default)]
struct Sums {
    same: usize,
    different: usize,
    failed: usize,
    skipped: usize,
    masked: usize,
}

/// Sends recorded events again, as dry runs. Well when every one of them was answered as it was then.
pub(super) fn run(config: &Config, arguments: &Arguments, out: &mut impl Write) -> Result<Outcome, Stop> {
    let interceptors = interceptors(config, arguments)?;
    let now = Timestamp::now();
    let records = records(config, arguments, now)?;
    if records.is_empty() {
        return Err(Stop::Usage(
            "the audit has no such consultation; `tollgate audit list --kind consult` shows what it has".to_owned(),
        ));
    }
    let pace = Pace {
        at_once: arguments.at_once.into(),
        until: None,
    };
    let replayed = block_on(replay(&interceptors, records, pace, now))?;
    let sums = Sums::of(&replayed);
    if arguments.json {
        let document = json!({
            "endpoint": arguments.endpoint, "replayed": replayed.len(), "same": sums.same, "different": sums.different,
            "failed": sums.failed, "skipped": sums.skipped, "with_masked_values": sums.masked, "records": replayed,
        });
        for line in format!("{document:#}").lines() {
            writeln!(out, "{}", in_json(line))?;
        }
    } else {
        text(&replayed, &sums, out)?;
    }
    Ok((sums.same == replayed.len()).into())
}

fn interceptors(config: &Config, arguments: &Arguments) -> Result<Interceptors, Stop> {
    let name = arguments.query.interceptor.as_deref();
    let mut settings = config.interceptors.clone();
    let mut given = None;
    if arguments.endpoint != CURRENT {
        // Without a name, the events and credentials of every interceptor would go to one that is meant for one of them.
        let Some(name) = name else {
            return Err(Stop::Usage(
                "`--endpoint` needs `--interceptor`, whose events it is for".to_owned(),
            ));
        };
        for (index, one) in settings.iter_mut().enumerate().filter(|(_, one)| one.name == name) {
            one.endpoint.clone_from(&arguments.endpoint);
            given = Some(format!("interceptor.{index}.endpoint"));
        }
    }
    let interceptors = Interceptors::build(&settings, config.consult_budget, &config.base, Clock::system());
    let interceptors = interceptors.map_err(|findings| {
        match findings.iter().find(|finding| Some(&finding.key) == given.as_ref()) {
            Some(finding) => Stop::Usage(format!("`--endpoint`: {}", finding.message)),
            None => config.errors(&findings).into(),
        }
    })?;
    match name {
        Some(name) if interceptors.named(name).is_none() => Err(unknown(&interceptors, name)),
        _ => Ok(interceptors),
    }
}

/// Consultations only, the oldest first.
fn records(config: &Config, arguments: &Arguments, now: Timestamp) -> Result<Vec<Record>, Stop> {
    let query = Query {
        kind: Some(Kind::Consult),
        ..(*arguments.query).clone()
    };
    let found = Reader::open(&config.audit, &config.base).and_then(|reader| reader.records(&query, now));
    let mut records = found.map_err(|error| unread(error, |wrong| config.errors([wrong])))?;
    records.reverse();
    Ok(records)
}

fn text(replayed: &[Replayed], sums: &Sums, out: &mut impl Write) -> Result<(), Stop> {
    let paint = Paint::for_stdout();
    for one in replayed {
        let (state, details) = match &one.outcome {
            trial::Outcome::Same => continue,
            trial::Outcome::Different { differences } => {
                (paint.yellow("differs"), differences.iter().map(difference).collect())
            }
            trial::Outcome::Failed { kind, detail } => {
                let what = match kind {
                    FailureKind::Down => "no answer: ",
                    FailureKind::Invalid => "an answer that cannot be taken: ",
                };
                (paint.red("failed "), vec![format!("{what}{}", for_terminal(detail))])
            }
            trial::Outcome::Skipped { why } => (paint.red("skipped"), vec![for_terminal(why).into_owned()]),
        };
        let name = for_terminal(one.interceptor.as_deref().unwrap_or("-"));
        let about = for_terminal(one.about.as_deref().unwrap_or("-"));
        writeln!(out, "{state}  record {}  {:.0}  {name}  {about}", one.record, one.time)?;
        for detail in details {
            writeln!(out, "         {detail}")?;
        }
        if !one.masked.is_empty() {
            writeln!(
                out,
                "         sent with placeholders for {}",
                for_terminal(&one.masked.join(", "))
            )?;
        }
    }
    if sums.same < replayed.len() {
        writeln!(out)?;
    }
    let Sums {
        same,
        different,
        failed,
        skipped,
        masked,
    } = sums;
    writeln!(
        out,
        "{} replayed: {same} the same, {different} different, {failed} failed, {skipped} skipped",
        replayed.len()
    )?;
    if *masked > 0 {
        writeln!(
            out,
            "{masked} events were sent with placeholders for what the audit does not keep"
        )?;
    }
    Ok(())
}

fn difference(difference: &Difference) -> String {
    let value = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        value => in_json(&value.to_string()).into_owned(),
    };
    format!(
        "{}: {} becomes {}",
        for_terminal(&difference.what),
        value(&difference.before),
        value(&difference.after)
    )
}

impl Sums {
    fn of(replayed: &[Replayed]) -> Self {
        let mut sums = Self::default();
        for one in replayed {
            *match one.outcome {
                trial::Outcome::Same => &mut sums.same,
                trial::Outcome::Different { .. } => &mut sums.different,
                trial::Outcome::Failed { .. } => &mut sums.failed,
                trial::Outcome::Skipped { .. } => &mut sums.skipped,
            } += 1;
            sums.masked += usize::from(!one.masked.is_empty());
        }
        sums
    }
}

const CURRENT: &str = "current";
