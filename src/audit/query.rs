//! What to look for.

use std::str::FromStr;

use clap::Args;
use jiff::{Timestamp, civil, tz::TimeZone};
use rusqlite::types::Value as Sql;
use serde_json::Value;

use super::{Kind, entry::word};
use crate::escape;
use crate::{clock::Period, event::Trigger, verdict::Effect};

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
    /// Only this decision: allow or deny
    #[arg(long, value_parser = decision)]
    pub decision: Option<Effect>,
    /// Only this interceptor, by its name
    #[arg(long, value_name = "NAME")]
    pub interceptor: Option<String>,
    /// Only this client, by its client_id
    #[arg(long, value_name = "CLIENT_ID")]
    pub client: Option<String>,
    /// Only this user, by id or e-mail address
    #[arg(long, value_name = "ID_OR_EMAIL")]
    pub user: Option<String>,
    /// Only this request, by its id
    #[arg(long, value_name = "REQUEST_ID")]
    pub request: Option<String>,
    /// Only this kind: consult, revocation, account, membership, refused or failure
    #[arg(long)]
    pub kind: Option<Kind>,
    /// Only records that contain this text, whatever its case
    #[arg(long)]
    pub text: Option<String>,
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

impl Query {
    /// The condition and its values, with a limit.
    pub(super) fn sql(&self, now: Timestamp) -> (String, Vec<Sql>) {
        let mut conditions = vec!["1".to_owned()];
        let mut values = Vec::new();
        let mut add = |condition: &str, value: Option<Sql>| {
            if let Some(value) = value {
                values.push(value);
                conditions.push(condition.replace('?', &format!("?{}", values.len())));
            }
        };
        let text = |text: &Option<String>| text.clone().map(Sql::Text);
        let time = |moment: Option<Moment>| moment.map(|m| Sql::Integer(m.resolve(now).as_millisecond()));
        add("time_ms >= ?", time(self.since));
        add("time_ms < ?", time(self.until));
        add("trigger = ?", self.trigger.map(|t| Sql::Text(t.as_str().to_owned())));
        add("decision = ?", self.decision.map(|d| Sql::Text(word(&d))));
        add("interceptor = ?", text(&self.interceptor));
        add("client_id = ?", text(&self.client));
        add("(user_id = ? OR user_email = ?)", text(&self.user));
        add("request_id = ?", text(&self.request));
        add("kind = ?", self.kind.map(|k| Sql::Text(word(&k))));
        add(
            "body LIKE ? ESCAPE '\\'",
            self.text.as_deref().map(|t| Sql::Text(pattern(t))),
        );
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        (
            format!("{} ORDER BY seq DESC LIMIT {limit}", conditions.join(" AND ")),
            values,
        )
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
