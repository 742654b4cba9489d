//! Recorded events of an interceptor, asked about again.

use askama::Template;
use axum::{
    Extension, Form,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{AT_ONCE, BUSY, LONGEST, Page, is_partial};
use crate::{
    audit::{Kind, Query},
    dashboard::{
        access::Visitor,
        console::{Console, Shared},
        frame::{machine, moment, show},
        interceptors::find,
    },
    interceptor::Interceptor,
    trial::{Outcome, Pace, Replayed, replay},
    verdict::{Effect, FailureKind},
};

/// What a replay came to; empty before one.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) summary: String,
    pub(super) icon: &'static str,
    pub(super) problem: String,
    pub(super) lines: Vec<Line>,
    pub(super) masked: usize,
}

/// A record whose answer is not the same.
pub(super) struct Line {
    pub(super) seq: String,
    pub(super) time: String,
    pub(super) machine_time: String,
    pub(super) about: String,
    pub(super) icon: &'static str,
    pub(super) word: &'static str,
    pub(super) details: Vec<Detail>,
    pub(super) masked: String,
}

/// One thing that is not as it was, or why nothing can be said.
pub(super) struct Detail {
    pub(super) what: String,
    pub(super) before: String,
    pub(super) after: String,
}

#[derive(Template)]
#[template(path = "interceptor/test/replay.html")]
struct Fragment {
    replay: Replay,
}

/// Which records.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    since: String,
    decision: String,
    limit: String,
}

pub(super) async fn run(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Response {
    let (_, interceptor) = match find(&console, &visitor, &name) {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let replay = match ask(&console, interceptor, &chosen).await {
        Ok(replay) => replay,
        Err(problem) => Replay {
            problem,
            ..Replay::default()
        },
    };
    if is_partial(&headers) {
        return show(&Fragment { replay });
    }
    show(&Page {
        replay,
        ..Page::new(&console, &visitor, interceptor).await
    })
}

async fn ask(console: &Console, interceptor: &Interceptor, chosen: &Chosen) -> Result<Replay, String> {
    let query = query(interceptor, chosen)?;
    let _slot = console.trials.slot().ok_or(BUSY)?;
    let found = console
        .records
        .page(query)
        .await
        .map_err(|error| format!("The records cannot be read: {error}."))?;
    let mut records = found.records;
    if records.is_empty() {
        return Err("There is no such record.".to_owned());
    }
    records.reverse();
    let pace = Pace {
        at_once: AT_ONCE,
        until: Some(Instant::now() + LONGEST),
    };
    let replayed = replay(console.gate.interceptors(), records, pace, console.clock.now()).await;
    Ok(Replay::of(&replayed))
}

fn query(interceptor: &Interceptor, chosen: &Chosen) -> Result<Query, String> {
    let since = match chosen.since.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|why| format!("{why}."))?),
    };
    let limit = match chosen.limit.as_str() {
        "" => 20,
        text => text.parse().map_err(|_| "How many is a number.".to_owned())?,
    };
    Ok(Query {
        since,
        decision: match chosen.decision.as_str() {
            "allow" => Some(Effect::Allow),
            "deny" => Some(Effect::Deny),
            _ => None,
        },
        interceptor: Some(interceptor.name().to_owned()),
        kind: Some(Kind::Consult),
        limit: Some(u32::min(limit, MOST)),
        ..Query::default()
    })
}

impl Replay {
    fn of(replayed: &[Replayed]) -> Self {
        let count = |is: fn(&Outcome) -> bool| replayed.iter().filter(|one| is(&one.outcome)).count();
        let same = count(|o| matches!(o, Outcome::Same));
        let different = count(|o| matches!(o, Outcome::Different { .. }));
        let failed = count(|o| matches!(o, Outcome::Failed { .. }));
        let skipped = count(|o| matches!(o, Outcome::Skipped { .. }));
        Self {
            summary: format!(
                "{} replayed: {same} the same, {different} different, {failed} failed, {skipped} skipped",
                replayed.len()
            ),
            icon: match (failed + skipped, different) {
                (0, 0) => "ok",
                (0, _) => "warn",
                _ => "fail",
            },
            problem: String::new(),
            lines: replayed.iter().filter_map(Line::of).collect(),
            masked: replayed.iter().filter(|one| !one.masked.is_empty()).count(),
        }
    }
}

impl Line {
    fn of(replayed: &Replayed) -> Option<Self> {
        let detail = |what: &str, after: &str| Detail {
            what: what.to_owned(),
            before: String::new(),
            after: after.to_owned(),
        };
        let (icon, word, details) = match &replayed.outcome {
            Outcome::Same => return None,
            Outcome::Different { differences } => {
                let details = differences.iter().map(|difference| Detail {
                    what: difference.what.clone(),
                    before: shown(&difference.before),
                    after: shown(&difference.after),
                });
                ("warn", "Different", details.collect())
            }
            Outcome::Failed { kind, detail: why } => {
                let what = match kind {
                    FailureKind::Down => "no answer",
                    FailureKind::Invalid => "an answer that cannot be taken",
                };
                ("fail", "Failed", vec![detail(what, why)])
            }
            Outcome::Skipped { why } => ("off", "Skipped", vec![detail("", why)]),
        };
        Some(Self {
            seq: replayed.record.clone(),
            time: moment(replayed.time),
            machine_time: machine(replayed.time),
            about: replayed.about.clone().unwrap_or_default(),
            icon,
            word,
            details,
            masked: replayed.masked.join(", "),
        })
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    }
}

/// Records that one replay of the dashboard asks about.
const MOST: u32 = 100;
