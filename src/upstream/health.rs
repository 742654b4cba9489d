//! Whether an address of the upstream is well: by what becomes of connections to it, and by asking it from time to time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::{HeaderMap, Method, Request, Uri};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Inner,
    address::{Address, EJECTED_FOR},
    error::UpstreamError,
};
use crate::{body, clock::Period, misconfigured::Misconfigured};

/// `upstream.health_check`: each address is asked for a path from time to time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheckSettings {
    /// What is asked for, with GET; an answer of 200 to 399 is good. Default: the preset's discovery document, where there are
    /// realms that of `master`.
    #[serde(default)]
    pub path: Option<String>,
    /// The time from one question to the next. Default: `5s`.
    #[serde(default = "interval")]
    pub interval: Period,
    /// How long an answer may take, connecting included. Default: `2s`.
    #[serde(default = "timeout")]
    pub timeout: Period,
    /// After so many bad answers in a row an address gets no more requests. Default: 3.
    #[serde(default = "unhealthy_after")]
    pub unhealthy_after: u32,
    /// After so many good answers in a row it gets them again. Default: 2.
    #[serde(default = "healthy_after")]
    pub healthy_after: u32,
}

/// Whether requests go to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They do.
    Healthy,
    /// A connection could not be made lately; one request at a time will try.
    Ejected,
    /// The health check failed.
    Unhealthy,
}

/// What [`State`] comes to for the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    Healthy,
    /// It was ejected long enough ago; somebody should try.
    Due,
    Unfit,
}

#[derive(Debug, Default)]
pub(super) struct Health {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ejection: Option<Ejection>,
    unhealthy: bool,
    /// Answers to health checks in a row that contradict `unhealthy`.
    contrary: u32,
}

#[derive(Clone, Copy, Debug)]
enum Ejection {
    Until(Instant),
    Trying,
}

impl Health {
    pub(super) fn fitness(&self, now: Instant) -> Fitness {
        let known = self.known();
        match known.ejection {
            _ if known.unhealthy => Fitness::Unfit,
            None => Fitness::Healthy,
            Some(Ejection::Until(end)) if end <= now => Fitness::Due,
            Some(_) => Fitness::Unfit,
        }
    }

    pub(super) fn state(&self) -> State {
        let known = self.known();
        match known.ejection {
            _ if known.unhealthy => State::Unhealthy,
            Some(_) => State::Ejected,
            None => State::Healthy,
        }
    }

    /// Whether the caller is the one to try an address that is due.
    pub(super) fn try_again(&self, now: Instant) -> bool {
        let mut known = self.known();
        let due = matches!(known.ejection, Some(Ejection::Until(end)) if end <= now);
        if due {
            known.ejection = Some(Ejection::Trying);
        }
        due
    }

    /// Whoever tried has left; without a result, the next one tries.
    pub(super) fn left(&self) {
        let mut known = self.known();
        if matches!(known.ejection, Some(Ejection::Trying)) {
            known.ejection = Some(Ejection::Until(Instant::now()));
        }
    }

    /// Says whether that is news.
    pub(super) fn failed_to_connect(&self) -> bool {
        let until = Ejection::Until(Instant::now() + EJECTED_FOR);
        self.known().ejection.replace(until).is_none()
    }

    /// Says whether that is news.
    pub(super) fn answered(&self) -> bool {
        self.known().ejection.take().is_some()
    }

    /// Takes in the result of a health check, and says whether that changes what it is taken for.
    fn checked(&self, well: bool, settings: &HealthCheckSettings) -> bool {
        let mut known = self.known();
        if well != known.unhealthy {
            known.contrary = 0;
            return false;
        }
        known.contrary = known.contrary.saturating_add(1);
        let enough = if well {
            settings.healthy_after
        } else {
            settings.unhealthy_after
        };
        let changes = known.contrary >= enough;
        if changes {
            known.unhealthy = !well;
            known.contrary = 0;
            if well {
                known.ejection = None;
            }
        }
        changes
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HealthCheckSettings {
    pub(super) fn validate(&self) -> Result<(), Misconfigured> {
        let wrong = |key: &str, what: &str, hint: &str| {
            Err(Misconfigured::new(format!("upstream.health_check.{key}"), what).hint(hint))
        };
        let path_is_one = |path: &String| path.starts_with('/') && path.parse::<Uri>().is_ok();
        if !self.path.as_ref().is_none_or(path_is_one) {
            return wrong("path", "this is not a path", "write it like `/health/ready`");
        }
        let hour = Period::secs(3_600);
        if !(Period::millis(100)..=hour).contains(&self.interval) {
            return wrong(
                "interval",
                "the value is out of range",
                "write a time from `100ms` to `1h`",
            );
        }
        if !(Period::millis(10)..=hour).contains(&self.timeout) {
            return wrong(
                "timeout",
                "the value is out of range",
                "write a time from `10ms` to `1h`",
            );
        }
        for (key, count) in [
            ("unhealthy_after", self.unhealthy_after),
            ("healthy_after", self.healthy_after),
        ] {
            if count == 0 {
                return wrong(key, "the value is out of range", "write a number from 1 on");
            }
        }
        Ok(())
    }
}

/// Asks every address from time to time, as long as there is somebody who wants to know.
pub(super) fn watch(inner: &Arc<Inner>, settings: &HealthCheckSettings, path: &str, headers: &HeaderMap) {
    let Ok(target) = settings.path.as_deref().unwrap_or(path).parse::<Uri>() else {
        return tracing::error!("the upstream's health is not checked: `{path}` is no path");
    };
    for address in inner.addresses.iter() {
        let watcher = Watcher {
            upstream: Arc::downgrade(inner),
            address: Arc::clone(address),
            settings: settings.clone(),
            target: target.clone(),
            headers: headers.clone(),
        };
        tokio::spawn(watcher.run());
    }
}

struct Watcher {
    upstream: Weak<Inner>,
    address: Arc<Address>,
    settings: HealthCheckSettings,
    target: Uri,
    headers: HeaderMap,
}

impl Watcher {
    async fn run(self) {
        while let Some(upstream) = self.upstream.upgrade() {
            let asked = tokio::time::timeout(self.settings.timeout.0, self.ask(&upstream)).await;
            drop(upstream);
            let answer = asked.unwrap_or(Err(UpstreamError::Timeout(self.settings.timeout.0)));
            if self.address.health.checked(answer.is_ok(), &self.settings) {
                let name = &self.address.name;
                match answer {
                    Ok(()) => {
                        tracing::info!(upstream.address = %name, "the upstream's address {name} is healthy again")
                    }
                    Err(why) => {
                        tracing::warn!(upstream.address = %name, "the upstream's address {name} is unhealthy: {why}");
                    }
                }
            }
            tokio::time::sleep(self.settings.interval.0).await;
        }
    }

    async fn ask(&self, upstream: &Inner) -> Result<(), UpstreamError> {
        let mut request = Request::new(body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        let request = upstream.addressed(request)?;
        let answer = self.address.client.request(request).await?;
        let status = answer.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        Err(UpstreamError::Status(status))
    }
}

fn interval() -> Period {
    Period::secs(5)
}

fn timeout() -> Period {
    Period::secs(2)
}

fn unhealthy_after() -> u32 {
    3
}

fn healthy_after() -> u32 {
    2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> HealthCheckSettings {
        toml::from_str("").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_be_reached_is_left_alone_for_a_while_and_then_tried_by_one() {
        let health = Health::default();
        assert!(health.failed_to_connect());
        assert!(!health.failed_to_connect(), "said once");
        assert_eq!(health.fitness(Instant::now()), Fitness::Unfit);
        tokio::time::advance(EJECTED_FOR).await;
        let now = Instant::now();
        assert_eq!(health.fitness(now), Fitness::Due);
        assert!(health.try_again(now));
        assert!(!health.try_again(now), "one at a time");
        health.left();
        assert!(
            health.try_again(Instant::now()),
            "the first one went away without a result"
        );
        assert!(health.answered());
        assert_eq!(health.state(), State::Healthy);
    }

    #[test]
    fn checks_in_a_row_change_what_an_address_is_taken_for() {
        let (health, settings) = (Health::default(), settings());
        for well in [false, false, true, false, false] {
            assert!(!health.checked(well, &settings));
        }
        assert_eq!(health.state(), State::Healthy);
        assert!(health.checked(false, &settings));
        assert_eq!(health.state(), State::Unhealthy);
        assert!(!health.checked(true, &settings));
        assert!(health.checked(true, &settings));
        assert_eq!(health.state(), State::Healthy);
    }
}
