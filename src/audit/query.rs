//! What to look for.

use std::{fmt, str::FromStr};

use clap::Args;
use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Kind,
    facets::{self, Term},
};
use crate::{clock::Period, escape, event::Trigger, verdict::Effect};

/// Which records to list, newest first. What is not named does not matter.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct Query {
    /// Only records since then: a time like `2026-11-23T10:15:00Z`, a day, or how long ago, like `24h`
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only records before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Only this trigger, such as PRE_SIGNUP
    #[arg(long)]
    pub trigger: Option<Trigger>,
    /// Only this kind: consult, revocation, account, membership, refused, failure or anchor
    #[arg(long)]
    pub kind: Option<Kind>,
    /// Only this decision: allow or deny
    #[arg(long, value_parser = decision)]
    pub decision: Option<Effect>,
    /// Only what this decided: endpoint, on_failure, on_invalid, breaker, concurrency_cap, fail_open_limit, remembered, `rule` for any rule, or a rule's name
    #[arg(long, value_name = "WHO")]
    pub decided_by: Option<String>,
    /// Only this interceptor, by its name
    #[arg(long, value_name = "NAME")]
    pub interceptor: Option<String>,
    /// Only this client, by its client_id
    #[arg(long, value_name = "CLIENT_ID")]
    pub client: Option<String>,
    /// Only this user: an id, an e-mail address, the beginning of either like `ada*`, or all of a domain like `@example.com`
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only this realm
    #[arg(long)]
    pub realm: Option<String>,
    /// Only this operation, such as `token`
    #[arg(long)]
    pub operation: Option<String>,
    /// Only this HTTP status of the endpoint's last answer
    #[arg(long)]
    pub status: Option<u16>,
    /// Only this request, by its id
    #[arg(long, value_name = "REQUEST_ID")]
    pub request: Option<String>,
    /// Only records that contain this text, whatever its case
    #[arg(long)]
    pub text: Option<String>,
    /// Only records before this one, by its id; in a file by its number, too
    #[arg(long, value_name = "RECORD")]
    pub before: Option<Place>,
    /// Only records after this one: with a limit, those next to it
    #[arg(long, value_name = "RECORD")]
    pub after: Option<Place>,
    /// At most so many records [default: 50]
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<u32>,
}

/// A time, as such or counted back from now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// This time.
    At(Timestamp),
    /// So long ago.
    Ago(Period),
}

/// Where a record stands in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its number: the order of a store with one chain.
    Number(u64),
    /// Its id: the order of a store with several, by time.
    Id(Uuid),
}

/// In which direction records are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From new to old.
    Back,
    /// From old to new.
    Forth,
}

/// A query, taken apart for a store.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    /// Of each list, one facet must have its value.
    pub(super) all: Vec<Vec<(&'static str, Term<'a>)>>,
    /// The user's id or e-mail address begins so.
    pub(super) prefix: Option<&'a str>,
    /// The record's text is like this.
    pub(super) text: Option<String>,
    pub(super) since_ms: Option<i64>,
    pub(super) until_ms: Option<i64>,
    pub(super) before: Option<Place>,
    pub(super) after: Option<Place>,
}

/// Which records to read, whatever they say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    /// The one with this number in this chain; in chain 0, with this number in any.
    Number(u32, u64),
    /// The one with this id.
    Id(&'a str),
    /// Those, a hundred at the most, whose ids begin so.
    Prefix(&'a str),
    /// All of one request, in the order in which they were written.
    Request(&'a str),
    /// Some of those behind the one with this number in this chain, in its order.
    Following(u32, u64),
}

impl Query {
    /// The filter. `hashed` is what is stored for this user where it is hashed.
    pub(super) fn filter<'a>(&'a self, now: Timestamp, hashed: Option<&'a str>) -> Filter<'a> {
        let mut filter = Filter {
            all: Vec::new(),
            prefix: None,
            text: self.text.as_deref().map(pattern),
            since_ms: self.since.map(|m| m.resolve(now).as_millisecond()),
            until_ms: self.until.map(|m| m.resolve(now).as_millisecond()),
            before: self.before,
            after: self.after,
        };
        let by = |by| {
            if by == facets::RULE || facets::is_policy(by) {
                "decided_by"
            } else {
                "rule"
            }
        };
        let decided_by = self.decided_by.as_deref();
        // What seldom occurs comes first: it is what the others are held against.
        for (name, term) in [
            ("request_id", self.request.as_deref().map(Term::Text)),
            ("client_id", self.client.as_deref().map(Term::Text)),
            ("status", self.status.map(|status| Term::Number(status.into()))),
            (decided_by.map_or("rule", by), decided_by.map(Term::Text)),
            ("interceptor", self.interceptor.as_deref().map(Term::Text)),
            ("realm", self.realm.as_deref().map(Term::Text)),
            ("operation", self.operation.as_deref().map(Term::Text)),
            ("kind", self.kind.map(|kind| Term::Text(kind.as_str()))),
            ("decision", self.decision.map(|effect| Term::Text(effect.as_str()))),
            ("trigger", self.trigger.map(|trigger| Term::Text(trigger.as_str()))),
        ] {
            filter.all.extend(term.map(|term| vec![(name, term)]));
        }
        match self.user.as_deref() {
            None => {}
            Some(user) if user.len() > 1 && user.starts_with('@') => {
                filter
                    .all
                    .push(vec![("email_domain", Term::Text(user.trim_start_matches('@')))]);
            }
            Some(user) => match user.strip_suffix('*') {
                Some(prefix) => filter.prefix = Some(prefix),
                None => {
                    let either = [Some(user), hashed].into_iter().flatten();
                    let either =
                        either.flat_map(|user| [("user_id", Term::Text(user)), ("user_email", Term::Text(user))]);
                    filter.all.push(either.collect());
                }
            },
        }
        filter
    }

    /// Where to begin: at the newest, or with `after` alone at the one behind it.
    pub(super) fn way(&self) -> Way {
        if self.after.is_some() && self.before.is_none() {
            Way::Forth
        } else {
            Way::Back
        }
    }

    /// How many records are wanted.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX)
    }
}

impl Moment {
    /// The time that is meant.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            // Longer ago than time goes back is the beginning of time.
            Self::Ago(period) => now.checked_sub(period.0).unwrap_or(Timestamp::MIN),
        }
    }
}

impl Place {
    /// The place next to this one, towards older records.
    pub(super) fn older(self) -> Self {
        match self {
            Self::Number(seq) => Self::Number(seq.saturating_sub(1)),
            Self::Id(id) => Self::Id(Uuid::from_u128(id.as_u128().saturating_sub(1))),
        }
    }

    /// The place next to this one, towards newer records.
    pub(super) fn newer(self) -> Self {
        match self {
            Self::Number(seq) => Self::Number(seq.saturating_add(1)),
            Self::Id(id) => Self::Id(Uuid::from_u128(id.as_u128().saturating_add(1))),
        }
    }
}

impl From<u64> for Place {
    fn from(seq: u64) -> Self {
        Self::Number(seq)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Number(seq));
        }
        let id = text.parse().map(Self::Id);
        id.map_err(|_| format!("`{text}` is no record: write its whole id, or its number"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(seq) => seq.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time));
        }
        if let Ok(time) = text
            .parse::<civil::DateTime>()
            .and_then(|day| TimeZone::UTC.to_timestamp(day))
        {
            return Ok(Self::At(time));
        }
        text.parse().map(Self::Ago).map_err(|_| {
            format!(
                "`{text}` is no time; write `2026-11-23T10:15:00Z`, `2026-11-23` (UTC), or how long ago, such as `24h`"
            )
        })
    }
}

/// The text as it stands in a stored record, as a pattern of LIKE.
fn pattern(text: &str) -> String {
    let json = Value::from(text).to_string();
    let json = escape::in_json(&json);
    let inner = json
        .strip_prefix('"')
        .and_then(|j| j.strip_suffix('"'))
        .unwrap_or(&json);
    let mut pattern = String::from("%");
    for c in inner.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn decision(text: &str) -> Result<Effect, String> {
    serde_json::from_value(Value::from(text.to_lowercase())).map_err(|_| "a decision is `allow` or `deny`".to_owned())
}

/// How many records are listed when nobody says.
const DEFAULT_LIMIT: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_day_or_how_long_ago() {
        let now: Timestamp = "2026-11-23T10:15:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00Z"),
            ("2026-11-23T10:00:00+01:00", "2026-11-23T09:00:00Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("24h", "2026-11-22T10:15:00Z"),
            ("2d", "2026-11-21T10:15:00Z"),
        ] {
            assert_eq!(
                text.parse::<Moment>().unwrap().resolve(now),
                expected.parse().unwrap(),
                "{text}"
            );
        }
        assert!("yesterday".parse::<Moment>().is_err());
    }

    #[test]
    fn text_is_looked_for_as_it_is_stored() {
        assert_eq!(pattern("50%_\"\u{202e}"), r#"%50\%\_\\"\\u202e%"#);
    }
}
