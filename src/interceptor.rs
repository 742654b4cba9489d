//! Asking the operator's endpoints: who is asked about an event, and what their answers come to.

mod address;
mod answer;
mod authentication;
mod breaker;
mod call;
mod condition;
mod consult;
mod exchange;
mod limit;
mod refused;
mod sample;
mod settings;
mod signature;
mod together;
mod window;

#[cfg(test)]
mod tests;

pub use self::{
    answer::decision,
    breaker::BreakerState,
    exchange::{Exchange, Prepared, RawAnswer, Trial},
    sample::sample,
    settings::{Authentication, BreakerSettings, Conditions, OnRefresh, Policy, Settings},
    together::{Counted, Counts, SharedMinute},
};

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use rustls::RootCertStore;
use tokio::sync::Semaphore;

use self::{
    breaker::Breaker,
    call::{Caller, Lookup},
    condition::{Circumstances, Selector},
    consult::{Budget, Question},
    limit::{FailOpenLimit, PerClient},
};
use crate::{
    clock::{Clock, Period},
    event::{Event, TokenClaims, Trigger},
    fields::{Needed, Rules},
    misconfigured::Misconfigured,
    verdict::{Additions, DecidedBy, Decision, Effect, Remembered, Verdict},
};

/// All interceptors of the configuration, in file order.
#[derive(Debug)]
pub struct Interceptors {
    all: Vec<Arc<Interceptor>>,
    budget: Duration,
    clock: Clock,
    others: Option<Arc<dyn SharedMinute>>,
}

/// One interceptor, ready to be asked.
#[derive(Debug)]
pub struct Interceptor {
    settings: Settings,
    selector: Selector,
    rules: Rules,
    caller: Caller,
    breaker: Breaker,
    fail_open_limit: FailOpenLimit,
    slots: Semaphore,
    per_client: PerClient,
}

impl Interceptors {
    /// Reads secrets and certificates and judges every setting; relative paths are looked up below `base`, the folder
    /// of `proxy.toml`. `budget` is the time that all interceptors of one request have together.
    ///
    /// Errors: every finding, under `interceptor.N.…` (N from 0) or `consult_budget`.
    pub fn build(settings: &[Settings], budget: Period, base: &Path, clock: Clock) -> Result<Self, Vec<Misconfigured>> {
        Self::build_with(settings, budget, base, clock, &call::system_lookup())
    }

    fn build_with(
        settings: &[Settings],
        budget: Period,
        base: &Path,
        clock: Clock,
        lookup: &Lookup,
    ) -> Result<Self, Vec<Misconfigured>> {
        let mut found = Vec::new();
        if !(Period::millis(50)..=Period::secs(60)).contains(&budget) {
            let message = format!("a budget of {budget} is out of range");
            found.push(Misconfigured::new("consult_budget", message).hint("write a time from `50ms` to `60s`"));
        }
        // Reading the system's certificates takes a while, and plain HTTP needs none.
        let roots = if settings.iter().any(|s| s.endpoint.starts_with("https:")) {
            call::system_roots()
        } else {
            RootCertStore::empty()
        };
        let mut names = HashSet::new();
        let mut all = Vec::new();
        for (index, settings) in settings.iter().enumerate() {
            let place = format!("interceptor.{index}");
            if !names.insert(settings.name.as_str()) {
                let message = format!("another interceptor is called `{}`", settings.name);
                found.push(
                    Misconfigured::new("name", message)
                        .hint("give each a name of its own")
                        .below(&place),
                );
            }
            match Interceptor::build(settings, base, &roots, lookup.clone()) {
                Ok(interceptor) => all.push(Arc::new(interceptor)),
                Err(findings) => found.extend(findings.into_iter().map(|f| f.below(&place))),
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        Ok(Self {
            all,
            budget: budget.0,
            clock,
            others: None,
        })
    }

    /// With limits on failing open that hold over all who count there.
    pub fn counting_with(mut self, others: Option<Arc<dyn SharedMinute>>) -> Self {
        self.others = others;
        self
    }

    /// Puts those of `before` in the place of their successors that are just like them, with their breakers, limits and
    /// connections. `is_same` says of a place here and one there whether they have the same settings and files.
    pub fn succeeding(mut self, before: &Self, is_same: impl Fn(usize, usize) -> bool) -> Self {
        for (index, interceptor) in self.all.iter_mut().enumerate() {
            let like = |(place, _): &(usize, &Arc<Interceptor>)| is_same(index, *place);
            if let Some((_, old)) = before.all.iter().enumerate().find(like) {
                *interceptor = Arc::clone(old);
            }
        }
        self
    }

    /// Whether any interceptor would be asked about this event.
    pub fn applies(&self, event: &Event) -> bool {
        self.asked_about(event).next().is_some()
    }

    /// Asks, in file order, every interceptor whose trigger and conditions fit, until one denies. `existing` are the
    /// claims that the upstream's tokens already have. Takes no longer than the budget, and never fails: what goes
    /// wrong with an endpoint becomes a decision by its policies.
    pub async fn consult(&self, event: &Event, existing: &TokenClaims) -> Verdict {
        self.consult_again(event, existing, &[]).await
    }

    /// The same at a refresh: an interceptor with `on_refresh = "reuse"` is not called where its earlier ALLOW is among
    /// `remembered`.
    pub async fn consult_again(&self, event: &Event, existing: &TokenClaims, remembered: &[Remembered]) -> Verdict {
        let budget = Budget::start(self.budget);
        let mut consultations = Vec::new();
        let mut remember = Vec::new();
        let mut sum = Additions::default();
        for interceptor in self.asked_about(event) {
            let question = Question {
                event,
                existing,
                earlier: &sum,
                clock: &self.clock,
                others: self.others.as_deref(),
            };
            let consultation = match interceptor.recall(&question, remembered) {
                Some(consultation) => consultation,
                None => interceptor.ask(&question, budget).await,
            };
            if consultation.effect == Effect::Deny {
                let message = consultation.message.clone();
                consultations.push(consultation);
                return Verdict {
                    decision: Decision::Deny { message },
                    consultations,
                    remember: Vec::new(),
                };
            }
            // A policy that let the request through is no verdict: the next refresh asks.
            if interceptor.settings.on_refresh == OnRefresh::Reuse
                && matches!(consultation.decided_by, DecidedBy::Endpoint | DecidedBy::Remembered)
            {
                remember.push(Remembered {
                    interceptor: consultation.interceptor.clone(),
                    claims: consultation.claims.clone(),
                });
            }
            let added = consultation.additions.clone();
            sum.access_token.extend(added.access_token);
            sum.id_token.extend(added.id_token);
            sum.organization_membership = added.organization_membership.or(sum.organization_membership);
            consultations.push(consultation);
        }
        Verdict {
            decision: Decision::Allow(sum),
            consultations,
            remember,
        }
    }

    /// Asks one interceptor, whatever its conditions, breaker and limits say, and leaves no trace in those; `None` when
    /// there is none of that name. For `tollgate test`, `replay` and `check`, and the Test page.
    pub async fn consult_one(&self, name: &str, event: &Event, existing: &TokenClaims) -> Option<Trial> {
        let question = Question {
            event,
            existing,
            earlier: &Additions::default(),
            clock: &self.clock,
            others: None,
        };
        let mut exchanges = Vec::new();
        let consultation = self.named(name)?.try_out(&question, &mut exchanges).await;
        Some(Trial {
            consultation,
            exchanges,
        })
    }

    /// The enabled interceptors of a trigger, in file order.
    pub fn for_trigger(&self, trigger: Trigger) -> impl Iterator<Item = &Interceptor> {
        self.iter()
            .filter(move |interceptor| interceptor.trigger() == trigger && interceptor.settings.enabled)
    }

    /// All interceptors, in file order, those that are not enabled too.
    pub fn iter(&self) -> impl Iterator<Item = &Interceptor> {
        self.all.iter().map(Arc::as_ref)
    }

    /// The interceptor of that name.
    pub fn named(&self, name: &str) -> Option<&Interceptor> {
        self.iter().find(|interceptor| interceptor.name() == name)
    }

    fn asked_about<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Interceptor> {
        let circumstances = Circumstances::of(&event.context);
        self.for_trigger(event.trigger)
            .filter(move |interceptor| interceptor.selector.matches(&circumstances))
    }
}

impl Interceptor {
    fn build(
        settings: &Settings,
        base: &Path,
        roots: &RootCertStore,
        lookup: Lookup,
    ) -> Result<Self, Vec<Misconfigured>> {
        let mut found = settings.findings();
        found.extend(answer::name_findings(
            settings.claims_at.as_deref(),
            &settings.may_override,
        ));
        let selector = Selector::build(&settings.when, &settings.unless);
        let caller = Caller::build(settings, base, roots, lookup);
        let rules = Rules::build("redact", &settings.redact, settings.redact_key.as_ref(), &NEEDED, base);
        match (selector, caller, rules) {
            (Ok(selector), Ok(caller), Ok(rules)) if found.is_empty() => Ok(Self {
                rules,
                settings: settings.clone(),
                selector,
                caller,
                breaker: Breaker::new(settings.breaker.clone()),
                fail_open_limit: FailOpenLimit::new(settings.fail_open_limit),
                slots: Semaphore::new(settings.max_concurrent),
                per_client: PerClient::new(settings.per_client()),
            }),
            (selector, caller, rules) => {
                found.extend(rules.err());
                found.extend(selector.err().into_iter().flatten());
                found.extend(caller.err().into_iter().flatten());
                Err(found)
            }
        }
    }

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

    /// Whether its conditions fit an event of its trigger.
    pub fn fits(&self, event: &Event) -> bool {
        self.selector.matches(&Circumstances::of(&event.context))
    }

    /// Whether its endpoint is called.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Everything the file says about it; secrets are there by reference only.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// What an endpoint tells events apart by, and a dry run from a real one.
const NEEDED: [Needed<'_>; 5] = {
    const fn fixed(path: &str) -> Needed<'_> {
        Needed { path, droppable: false }
    }
    [
        fixed("trigger_point"),
        fixed("interceptor_context.environment_id"),
        fixed("interceptor_context.request_id"),
        fixed("interceptor_context.triggered_at"),
        fixed("interceptor_context.dry_run"),
    ]
};
