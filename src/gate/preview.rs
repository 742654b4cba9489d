//! A running gate, as far as an operator may look at it. Nothing here changes what happens to a request.

use std::sync::Arc;

use super::Gate;
use crate::{audit::Health, interceptor::Interceptors, preset::Preset, token::KeyRing};

/// The view of a gate. Cheap to clone.
#[derive(Clone)]
pub struct Preview(Arc<Gate>);

impl Gate {
    /// The view of this gate.
    pub fn preview(self: &Arc<Self>) -> Preview {
        Preview(Arc::clone(self))
    }
}

impl Preview {
    /// Who is asked.
    pub fn interceptors(&self) -> &Interceptors {
        &self.0.interceptors
    }

    /// The keys that tokens are signed with.
    pub fn ring(&self) -> &KeyRing {
        self.0.reissuer.ring()
    }

    /// How the audit is.
    pub fn audit(&self) -> Health {
        self.0.audit.health()
    }

    /// What is recognised now; `None` while its paths are not known from the upstream's discovery document yet.
    pub fn preset(&self) -> Option<Arc<Preset>> {
        self.0.preset.load_full()
    }
}
