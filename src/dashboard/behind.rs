//! The upstreams as pages see them, and which interceptors are asked at which.

use std::collections::BTreeMap;

use super::console::Console;
use crate::{
    gate::preview::Preview,
    interceptor::{BreakerState, Interceptor, Interceptors},
};

/// One upstream: its gate, as far as it can be looked at, and what the configuration says of it.
pub struct Behind {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its gate.
    pub gate: Preview,
    /// Where clients see it.
    pub public_url: String,
    /// The hosts that are its own, in every spelling.
    pub hosts: Vec<String>,
    /// `upstream.url`.
    pub url: String,
    /// `upstream.preset`.
    pub preset: String,
    /// The names of the operator's own routes.
    pub own_routes: Vec<String>,
    /// The place in the file of each of its interceptors, counted from 0.
    pub places: Vec<usize>,
    /// Where the setting of a key was written, such as `proxy.toml:12`; `None` for a default.
    pub origin: Origins,
}

/// Answers where a setting was written, by its key.
pub type Origins = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// An interceptor with the upstreams that it is for, the first of which speaks for it.
pub(super) struct Applied<'c> {
    /// Its place in the file, counted from 0.
    pub(super) place: usize,
    /// Its place among the interceptors of the first upstream.
    pub(super) index: usize,
    pub(super) first: (&'c Behind, &'c Interceptor),
    others: Vec<(&'c Behind, &'c Interceptor)>,
}

impl Behind {
    /// The name, empty where it has none.
    pub(super) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// A sentence about it, saying about which where there are several.
    pub(super) fn say(&self, sentence: impl Into<String>) -> String {
        match &self.name {
            Some(name) => format!("{name}: {}", sentence.into()),
            None => sentence.into(),
        }
    }
}

impl Applied<'_> {
    /// The names of its upstreams; empty where upstreams have none.
    pub(super) fn names(&self) -> String {
        let all = std::iter::once(&self.first).chain(&self.others);
        let names: Vec<_> = all.map(|(behind, _)| behind.label()).collect();
        names.join(", ")
    }

    /// The worst state of its breakers: each upstream has one.
    pub(super) fn breaker(&self) -> BreakerState {
        let all = std::iter::once(&self.first).chain(&self.others);
        let states = all.map(|(_, interceptor)| interceptor.breaker());
        let badness = |state: &BreakerState| match state {
            BreakerState::Closed => 0,
            BreakerState::Probing => 1,
            BreakerState::Open { .. } => 2,
        };
        states.max_by_key(badness).unwrap_or(BreakerState::Closed)
    }
}

impl Console {
    /// All upstreams, in the order of the file.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &Behind> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(super) fn has_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// The upstream of this name; the first one where there is none.
    pub(super) fn upstream(&self, name: &str) -> &Behind {
        let mut all = self.upstreams();
        all.find(|behind| behind.label() == name).unwrap_or(&self.first)
    }

    /// Every interceptor once, in the order of the file.
    pub(super) fn interceptors(&self) -> Vec<Applied<'_>> {
        let mut found: BTreeMap<usize, Applied<'_>> = BTreeMap::new();
        for behind in self.upstreams() {
            for (index, interceptor) in behind.gate.interceptors().iter().enumerate() {
                let place = behind.places.get(index).copied().unwrap_or(index);
                match found.get_mut(&place) {
                    Some(applied) => applied.others.push((behind, interceptor)),
                    None => {
                        let applied = Applied {
                            place,
                            index,
                            first: (behind, interceptor),
                            others: Vec::new(),
                        };
                        found.insert(place, applied);
                    }
                }
            }
        }
        found.into_values().collect()
    }

    /// The interceptors of the first upstream that has one of this name.
    pub(super) fn among(&self, name: &str) -> &Interceptors {
        let has = |behind: &&Behind| behind.gate.interceptors().iter().any(|one| one.name() == name);
        let behind = self.upstreams().find(has).unwrap_or(&self.first);
        behind.gate.interceptors()
    }
}
