//! The page Overview: what needs attention, what was decided, how the interceptors do, what runs.

use std::time::Duration;

use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use serde::Deserialize;

use super::{
    access::Visitor,
    attention::{self, Notice},
    chart::{self, Chart},
    console::{Console, Shared},
    escape::filters,
    frame::{Frame, Section, moment, show, span},
    interceptors::Breaker,
    row::{Outcome, Row},
};
use crate::{
    audit::{self, Statistics, Tally},
    interceptor::Interceptor,
    token::State as KeyState,
    upstream::State as AddressState,
};

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    notices: Vec<Notice>,
    ranges: Vec<(&'static str, &'static str, bool)>,
    /// The range in words, such as `the last hour`.
    range: &'static str,
    tiles: Vec<Tile>,
    height: usize,
    first: String,
    last: String,
    interceptors: Vec<Line>,
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    steps: Vec<(String, Tally)>,
}

/// One outcome over time.
struct Tile {
    outcome: Outcome,
    count: u64,
    share: String,
    chart: Chart,
    link: String,
}

/// How an interceptor does.
struct Line {
    name: String,
    enabled: bool,
    breaker: Breaker,
    calls: u64,
    denied: String,
    failures: u64,
    p50: String,
    p95: String,
    p99: String,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    range: String,
}

/// A range of time that can be looked at.
struct Range {
    name: &'static str,
    label: &'static str,
    words: &'static str,
    length: Duration,
    step: Duration,
}

pub(super) async fn page(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Response {
    let fallback = &RANGES[1];
    let range = RANGES
        .iter()
        .find(|range| range.name == asked.range)
        .unwrap_or(fallback);
    let read = async {
        let hour = console.records.statistics(HOUR, HOUR).await?;
        let statistics = console.records.statistics(range.length, range.step).await?;
        let latest = audit::Query {
            limit: Some(LATEST),
            ..audit::Query::default()
        };
        Ok((hour, statistics, console.records.page(latest).await?))
    };
    // What needs attention is shown all the more when the store is away.
    let ((hour, statistics, latest), unread) = match read.await {
        Ok(read) => (read, None),
        Err(error) => (Default::default(), Some(error)),
    };
    let mut notices = attention::notices(&console, &hour).await;
    notices.extend(unread.map(|error| attention::unread(&error)));
    let label = |at: jiff::Timestamp| {
        at.strftime(if range.length > DAY { "%d %b %H:%M" } else { "%H:%M" })
            .to_string()
    };
    let steps: Vec<_> = statistics
        .buckets
        .iter()
        .map(|bucket| (label(bucket.start), bucket.tally))
        .collect();
    show(&Page {
        frame: Frame::new(&console, &visitor, Section::Overview, "Overview"),
        notices,
        ranges: RANGES
            .iter()
            .map(|one| (one.name, one.label, one.name == range.name))
            .collect(),
        range: range.words,
        tiles: tiles(&statistics, &steps, range.name),
        height: chart::HEIGHT,
        first: steps.first().map(|(name, _)| name.clone()).unwrap_or_default(),
        last: "now".into(),
        interceptors: console
            .gate
            .interceptors()
            .iter()
            .map(|one| Line::of(one, &statistics))
            .collect(),
        facts: facts(&console),
        rows: latest.records.iter().map(Row::of).collect(),
        steps: steps.into_iter().filter(|(_, tally)| tally.decisions() > 0).collect(),
    })
}

fn tiles(statistics: &Statistics, steps: &[(String, Tally)], range: &str) -> Vec<Tile> {
    let all = statistics.total.decisions();
    let tile = |outcome: Outcome, count: fn(&Tally) -> u64, conditions: &str| {
        let counts: Vec<_> = steps.iter().map(|(name, tally)| (name.clone(), count(tally))).collect();
        let total = count(&statistics.total);
        Tile {
            outcome,
            count: total,
            share: share(total, all),
            chart: Chart::of(outcome.word(), &counts, 0),
            link: format!("/log?since={range}&{conditions}"),
        }
    };
    vec![
        tile(
            Outcome::Allowed,
            |tally| tally.allowed,
            "decision=allow&decided_by=endpoint",
        ),
        tile(
            Outcome::Denied,
            |tally| tally.denied,
            "decision=deny&decided_by=endpoint",
        ),
        tile(
            Outcome::FailedOpen,
            |tally| tally.failed_open,
            "decision=allow&decided_by=on_failure",
        ),
        tile(
            Outcome::FailedClosed,
            |tally| tally.failed_closed,
            "decision=deny&decided_by=on_failure",
        ),
    ]
}

impl Line {
    fn of(interceptor: &Interceptor, statistics: &Statistics) -> Self {
        let figures = statistics
            .interceptors
            .get(interceptor.name())
            .cloned()
            .unwrap_or_default();
        let calls = figures.tally.decisions();
        let quantile = |share| {
            figures
                .durations
                .quantile(share)
                .map_or_else(|| "—".to_owned(), |ms| format!("{ms} ms"))
        };
        Self {
            name: interceptor.name().to_owned(),
            enabled: interceptor.settings().enabled,
            breaker: Breaker::of(interceptor),
            calls,
            denied: share(figures.tally.denied, calls),
            failures: figures.tally.failed_open + figures.tally.failed_closed,
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        }
    }
}

fn facts(console: &Console) -> Vec<(&'static str, String)> {
    let what = &console.installation;
    let now = console.clock.now();
    let keys = console.gate.ring().list(now);
    let count = |state| keys.iter().filter(|key| key.state == state).count();
    let (signing, next, old) = (
        count(KeyState::Signing),
        count(KeyState::Next),
        count(KeyState::Old) + count(KeyState::Retired),
    );
    vec![
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("Configuration", format!("{}, revision {}", what.file, what.revision)),
        ("Public address", what.public_url.clone()),
        ("Listens on", what.address.clone()),
        ("Provider", format!("{}, preset {}", what.upstream, what.preset)),
        ("Provider's addresses", addresses(console)),
        ("Keys", format!("{signing} signing, {next} next, {old} old")),
        (
            "Records",
            format!("{} since the beginning", console.gate.audit().head.seq),
        ),
        (
            "Running for",
            format!(
                "{}, since {}",
                span(now.as_second() - console.started.as_second()),
                moment(console.started)
            ),
        ),
    ]
}

/// Each address of the provider, and whether requests go there.
fn addresses(console: &Console) -> String {
    let addresses = console.gate.addresses();
    let told = addresses.iter().map(|one| {
        let state = match one.state {
            AddressState::Healthy => "in use",
            AddressState::Ejected => "cannot be reached",
            AddressState::Unhealthy => "unhealthy",
        };
        format!("{} ({state}, {} under way)", one.address, one.in_flight)
    });
    told.collect::<Vec<_>>().join(", ")
}

/// A part of a whole in percent; nothing of nothing is a dash.
fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) => "—".into(),
        (0, _) => "0 %".into(),
        (part, whole) => match part.saturating_mul(1000) / whole {
            0 => "< 0.1 %".into(),
            tenths => format!("{}.{} %", tenths / 10, tenths % 10),
        },
    }
}

const LATEST: u32 = 8;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const RANGES: [Range; 3] = [
    Range {
        name: "1h",
        label: "1 hour",
        words: "the last hour",
        length: HOUR,
        step: Duration::from_secs(60),
    },
    Range {
        name: "24h",
        label: "24 hours",
        words: "the last 24 hours",
        length: DAY,
        step: Duration::from_secs(1_800),
    },
    Range {
        name: "7d",
        label: "7 days",
        words: "the last 7 days",
        length: Duration::from_secs(7 * 86_400),
        step: Duration::from_secs(4 * 3_600),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_say_enough_and_no_more() {
        for (part, whole, text) in [
            (0, 0, "—"),
            (0, 9, "0 %"),
            (1, 3, "33.3 %"),
            (9, 9, "100.0 %"),
            (1, 10_000, "< 0.1 %"),
        ] {
            assert_eq!(share(part, whole), text);
        }
    }
}
