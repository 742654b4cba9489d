//! What needs attention, the worst first, each with what to do.

use super::{
    console::Console,
    frame::{moment, span},
};
use crate::{
    audit::{ReadError, Statistics},
    interceptor::{BreakerState, Policy},
    token::State,
    upstream::State as AddressState,
};

/// One thing that needs attention.
pub(super) struct Notice {
    pub(super) level: Level,
    pub(super) title: String,
    /// What to do.
    pub(super) advice: String,
    /// Where to look; empty where there is no page.
    pub(super) link: String,
    pub(super) link_text: &'static str,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// People are turned away or let through unasked, now.
    Bad,
    /// It was so lately, or will be.
    Soon,
    /// Worth knowing.
    Note,
}

impl Level {
    /// The icon's id, which is the style's as well.
    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::Bad => "fail",
            Self::Soon => "warn",
            Self::Note => "info",
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bad => "Now",
            Self::Soon => "Soon",
            Self::Note => "Note",
        }
    }
}

/// Everything that needs attention. `hour` is what was decided in the last hour.
pub(super) async fn notices(console: &Console, hour: &Statistics) -> Vec<Notice> {
    let mut found = Vec::new();
    audit(console, &mut found);
    configuration(console, &mut found);
    interceptors(console, hour, &mut found);
    keys(console, &mut found);
    upstream(console, &mut found).await;
    found.sort_by_key(|notice| notice.level);
    found
}

/// The store cannot be read.
pub(super) fn unread(error: &ReadError) -> Notice {
    Notice::new(
        Level::Bad,
        format!("Records cannot be read, so there are no figures below: {error}"),
        "Is the database running and reachable from here, or the file in its place?",
    )
}

fn audit(console: &Console, found: &mut Vec<Notice>) {
    let health = console.gate.audit();
    if let Some(error) = health.failing {
        found.push(Notice::new(
            Level::Bad,
            format!("The audit cannot be written: {error}"),
            "Every recognised request is refused with 503 until it can. Look at the disk: is it full, is the folder writable?",
        ));
    } else if let Some(waiting) = health.spooled {
        let now = console.clock.now().as_second();
        let full = waiting.bytes.saturating_mul(100) / waiting.most.max(1);
        found.push(Notice::new(
            if full >= SPOOL_FULL { Level::Bad } else { Level::Soon },
            format!(
                "{} in the spool for the audit's store, the first for {}: it is {full} % full",
                waits(waiting.records),
                span(now - waiting.since.as_second())
            ),
            "The store is away, and records are kept on this machine until it is back. When the spool is full, every recognised request is \
             refused with 503. Is the database running and reachable from here, or the disk full?",
        ));
    } else if health.queued > QUEUE {
        found.push(Notice::new(
            Level::Soon,
            format!("{} requests wait for the audit", health.queued),
            "The disk does not keep up with the records. When too many wait, requests are refused.",
        ));
    }
}

fn configuration(console: &Console, found: &mut Vec<Notice>) {
    if let Some(refused) = console.reloading.standing().refused {
        let first = refused.why.lines().next().unwrap_or_default();
        let title = format!("The configuration on the disk was refused, and the one before runs on: {first}");
        found.push(Notice {
            link: "/configuration".into(),
            link_text: "All that is wrong with it",
            ..Notice::new(
                Level::Soon,
                title,
                "Mend the file, or take the change back; it is loaded again by itself.",
            )
        });
    }
}

fn interceptors(console: &Console, hour: &Statistics, found: &mut Vec<Notice>) {
    let all = console.gate.interceptors();
    if !all.iter().any(|interceptor| interceptor.settings().enabled) {
        let text = "Add an [[interceptor]] to the configuration; until then every request goes on as if Tollgate were not there.";
        found.push(Notice::new(Level::Note, "Nobody is asked about anything", text));
    }
    for interceptor in all.iter() {
        let name = interceptor.name();
        let of = |level, title: String, advice: &str| Notice {
            link: page_of(name),
            link_text: "Its records",
            ..Notice::new(level, title, advice)
        };
        let fails_open = interceptor.settings().on_failure() == Policy::Allow;
        let meanwhile = if fails_open {
            "lets requests through unasked"
        } else {
            "turns requests away"
        };
        match interceptor.breaker() {
            BreakerState::Closed => {}
            BreakerState::Open { .. } | BreakerState::Probing => found.push(of(
                Level::Bad,
                format!("“{name}” is down, and meanwhile {meanwhile}"),
                "Its endpoint did not answer several times in a row, so it is called only now and then to see. Is it running and reachable from here? \
                 It is asked again as soon as one call succeeds.",
            )),
        }
        let Some(figures) = hour.interceptors.get(name) else {
            continue;
        };
        if figures.tally.failed_open > 0 {
            found.push(of(
                Level::Soon,
                format!("“{name}” let {} through without a verdict in the last hour", requests(figures.tally.failed_open)),
                "Its endpoint gave no answer that can be taken, and its policy is `allow`. The records say what went wrong.",
            ));
        }
        if figures.tally.failed_closed > 0 {
            found.push(of(
                Level::Soon,
                format!("“{name}” turned {} away without a verdict in the last hour", requests(figures.tally.failed_closed)),
                "Its endpoint gave no answer that can be taken, and its policy is `deny`. The records say what went wrong.",
            ));
        }
    }
}

fn keys(console: &Console, found: &mut Vec<Notice>) {
    let now = console.clock.now();
    let keys = console.gate.ring().list(now);
    let of = |level, title: String, advice: &str| Notice {
        link: "/keys".into(),
        link_text: "Keys",
        ..Notice::new(level, title, advice)
    };
    let next = keys
        .iter()
        .filter(|key| key.state == State::Next)
        .filter_map(|key| key.signs_from)
        .min();
    if let Some(at) = next {
        found.push(of(
            Level::Note,
            format!(
                "New keys sign from {} UTC, in {}",
                moment(at),
                span(at.as_second() - now.as_second())
            ),
            "They are published already. Every replica must have their files by then.",
        ));
    }
    let signing = keys.iter().filter(|key| key.state == State::Signing);
    let oldest = signing.filter_map(|key| key.signs_from).min();
    if let Some(from) = oldest.filter(|from| now.as_second() - from.as_second() > YEAR) {
        found.push(of(
            Level::Note,
            format!(
                "A signing key is older than a year: it signs since {} UTC",
                moment(from)
            ),
            "`tollgate keys rotate` adds a new one beside it; nobody is logged out.",
        ));
    }
}

async fn upstream(console: &Console, found: &mut Vec<Notice>) {
    if console.gate.preset().await.is_none() {
        found.push(Notice::new(
            Level::Bad,
            "The provider's discovery document cannot be fetched",
            "Until it is there, nothing can be recognised and no request passes. Is the provider running and reachable from here? `tollgate check` \
             says more.",
        ));
    }
    for one in console.gate.addresses() {
        let why = match one.state {
            AddressState::Healthy => continue,
            AddressState::Ejected => "cannot be reached",
            AddressState::Unhealthy => "fails its health check",
        };
        found.push(Notice::new(
            Level::Soon,
            format!("The provider's address {} {why}", one.address),
            "Requests go to the other addresses, if there are any; while none is well, all are tried. `tollgate check` asks each of them.",
        ));
    }
    for known in console.gate.upstream_keys().into_iter().filter(|known| known.stale) {
        let age = span(i64::try_from(known.age.as_secs()).unwrap_or(i64::MAX));
        found.push(Notice {
            link: "/keys".into(),
            link_text: "Keys",
            ..Notice::new(
                Level::Soon,
                format!("The provider's keys are {age} old and could not be fetched again"),
                "Its tokens are still verified with the copy, for an hour at the most; then no login works. Is the provider reachable from here?",
            )
        });
    }
}

impl Notice {
    fn new(level: Level, title: impl Into<String>, advice: &str) -> Self {
        Self {
            level,
            title: title.into(),
            advice: advice.to_owned(),
            link: String::new(),
            link_text: "",
        }
    }
}

fn page_of(interceptor: &str) -> String {
    let name = form_urlencoded::byte_serialize(interceptor.as_bytes()).collect::<String>();
    format!("/log?interceptor={name}")
}

fn requests(count: u64) -> String {
    if count == 1 {
        "a request".into()
    } else {
        format!("{count} requests")
    }
}

fn waits(records: u64) -> String {
    if records == 1 {
        "A record waits".into()
    } else {
        format!("{records} records wait")
    }
}

/// From so many percent on, the spool will soon be full.
const SPOOL_FULL: u64 = 80;
/// Callers that wait for the disk.
const QUEUE: usize = 200;
/// In seconds.
const YEAR: i64 = 365 * 86_400;
