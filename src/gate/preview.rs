//! A running gate, as far as an operator may look at it. Nothing here changes what happens to a request.

mod explain;
mod provider;

use std::{sync::Arc, time::Duration};

pub use self::{
    explain::{Asking, Explanation, Found, Question, deed, denial, explain},
    provider::Provider,
};
use super::Gate;
use crate::{
    audit::Health,
    interceptor::Interceptors,
    preset::Preset,
    token::{KeyRing, SealingKey, UpstreamKeys},
    upstream::AddressState,
};

/// The view of a gate. Cheap to clone.
#[derive(Clone)]
pub struct Preview(Arc<Gate>);

/// A key set of the upstream that is at hand.
pub struct KnownKeys {
    /// Its path at the upstream.
    pub path: String,
    /// The keys.
    pub keys: Arc<UpstreamKeys>,
    /// How long ago it was fetched.
    pub age: Duration,
    /// Whether it could not be fetched again when it should have been.
    pub stale: bool,
}

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

    /// The keys that capsules are sealed with, newest first.
    pub fn capsule_keys(&self) -> Vec<SealingKey> {
        self.0.reissuer.capsule_keys(self.0.clock.now())
    }

    /// The key sets of the upstream that are at hand, one for each issuer that was needed so far.
    pub fn upstream_keys(&self) -> Vec<KnownKeys> {
        self.0.issuers.known_keys()
    }

    /// How each address of the upstream is.
    pub fn addresses(&self) -> Vec<AddressState> {
        self.0.upstream.addresses()
    }

    /// The metrics as they are now, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.0.scrape()
    }

    /// How the audit is.
    pub fn audit(&self) -> Health {
        self.0.audit.health()
    }

    /// What is recognised; `None` where that needs the upstream's discovery document, which does not come within a second.
    pub async fn preset(&self) -> Option<Arc<Preset>> {
        tokio::time::timeout(PATIENCE, self.0.preset()).await.ok()?.ok()
    }

    /// The status of an OAuth denial.
    pub fn denied(&self) -> u16 {
        self.0.denied.as_u16()
    }

    /// What would become of a request; `None` while it is not known what is recognised.
    pub async fn explain(&self, asked: &Question) -> Option<Explanation> {
        Some(explain(&*self.preset().await?, &self.0.environment, asked))
    }

    /// The provider in this realm, where it has realms, for a login of our own.
    ///
    /// # Errors
    /// Why it cannot be used, in a sentence.
    pub async fn provider(&self, realm: Option<&str>) -> Result<Provider, String> {
        Provider::find(&self.0, realm).await
    }
}

/// A page does not wait longer for the upstream.
const PATIENCE: Duration = Duration::from_secs(1);
