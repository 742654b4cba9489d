//! A named case: an event, and what must come of it.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    expectation::Expectation,
    mark::Mark,
    report::{Report, try_out},
    submission::Submission,
};
use crate::interceptor::Interceptors;

/// A case as it stands in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The interceptor that is asked, by its name.
    pub interceptor: String,
    /// What the case is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What must come of it.
    pub expect: Expectation,
    /// The event that is sent.
    pub event: Value,
}

/// A case's name, which is its file's without `.json`: 1 to 80 ASCII letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CaseName(String);

/// A case that was tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Everything that there is to see; the event's marks where it could not be sent.
    pub report: Result<Box<Report>, Vec<Mark>>,
    /// What came otherwise than expected, a sentence each.
    pub unmet: Vec<String>,
}

impl Case {
    /// Tries the case: what the endpoint answers now against what is expected.
    pub async fn try_out(&self, interceptors: &Interceptors, environment: &str, now: Timestamp) -> Tried {
        let Some(interceptor) = interceptors.named(&self.interceptor) else {
            return Tried {
                report: Err(Vec::new()),
                unmet: vec![format!(
                    "there is no interceptor `{}` in the configuration",
                    self.interceptor
                )],
            };
        };
        let read = Submission::of(self.event.clone(), interceptor.trigger(), environment, now);
        let submission = match read {
            Ok(submission) => submission,
            Err(marks) => {
                let errors = marks.iter().filter(|mark| mark.is_error());
                let unmet = errors.map(|mark| {
                    let pointer = mark.pointer.as_deref().unwrap_or_default();
                    format!("the event's `{pointer}` {}", mark.message)
                });
                return Tried {
                    unmet: unmet.collect(),
                    report: Err(marks),
                };
            }
        };
        match try_out(interceptors, &self.interceptor, &submission).await {
            Some(report) => Tried {
                unmet: self.expect.unmet(report.consultation()),
                report: Ok(Box::new(report)),
            },
            None => Tried {
                report: Err(Vec::new()),
                unmet: vec!["the interceptor is gone".to_owned()],
            },
        }
    }
}

impl Tried {
    /// Whether everything came as expected.
    pub fn is_met(&self) -> bool {
        self.unmet.is_empty()
    }
}

impl CaseName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if (1..=80).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err("a case's name is 1 to 80 letters, digits, `-` and `_`, like `no-gmail`".to_owned())
    }
}

impl fmt::Display for CaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
