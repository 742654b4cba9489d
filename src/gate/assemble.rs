//! A gate is put together, and takes the place of another.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use tokio_util::task::TaskTracker;

use super::{Gate, Parts, issuers::Issuers, learning::Learning, overload::Places};

impl Gate {
    /// Puts the parts together; talks to nobody yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self::assemble(parts))
    }

    /// The same for the configuration after that of `before`, whose requests go on there. What was learned of the upstream is
    /// kept where that is the same one, seen from the same place.
    pub fn succeeding(parts: Parts, before: &Self, is_same_upstream: bool) -> Arc<Self> {
        let mut gate = Self::assemble(parts);
        gate.natives = Arc::clone(&before.natives);
        gate.tasks = before.tasks.clone();
        if gate.parts.most == before.parts.most {
            gate.places = Arc::clone(&before.places);
        }
        if is_same_upstream {
            gate.issuers = Arc::clone(&before.issuers);
            gate.learned = Arc::clone(&before.learned);
            gate.asked = Arc::clone(&before.asked);
        }
        Arc::new(gate)
    }

    fn assemble(parts: Parts) -> Self {
        let origin = parts.outside.origin();
        let mut headers = HeaderMap::new();
        parts.outside.stamp(&mut headers, None);
        let known = (!parts.preset.needs_discovery()).then(|| Arc::new(parts.preset.clone()));
        Self {
            issuers: Arc::new(Issuers::new(parts.upstream.clone(), headers, origin.clone())),
            preset: ArcSwapOption::new(known),
            learned: Arc::default(),
            learning: Learning::default(),
            asked: Arc::default(),
            natives: Arc::default(),
            places: Arc::new(Places::new(parts.most, parts.metrics.clone())),
            tasks: TaskTracker::new(),
            origin,
            parts,
        }
    }
}
