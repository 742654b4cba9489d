//! What is recognised under this configuration.

use super::Config;
use crate::{
    event::Trigger,
    interceptor::Policy,
    misconfigured::Misconfigured,
    preset::Preset,
    route::{Protocol, Route},
    upstream::Saml,
};

impl Config {
    /// The preset with the operator's routes, as far as they are in force.
    ///
    /// # Errors
    /// An unknown preset, or one with a mistake; a route that cannot work.
    pub fn preset(&self) -> Result<Preset, Misconfigured> {
        let preset = Preset::load(&self.upstream.preset, &self.base, &self.routes)?;
        Ok(preset.keeping(|route| self.is_in_force(route)))
    }

    /// What becomes of SAML, by `upstream.saml` or by what the interceptors of sessions need.
    pub fn saml(&self) -> Saml {
        let fails_closed = |settings: &&crate::interceptor::Settings| {
            settings.enabled && settings.trigger == Trigger::PreSessionCreation && settings.on_failure() == Policy::Deny
        };
        self.upstream.saml.unwrap_or_else(|| {
            if self.interceptors.iter().any(|settings| fails_closed(&settings)) {
                Saml::Block
            } else {
                Saml::Allow
            }
        })
    }

    /// Whether a route counts: one that asks about registering clients where somebody is asked, SAML's where it is refused.
    pub fn is_in_force(&self, route: &Route) -> bool {
        let asked = |trigger| {
            let mut interceptors = self.interceptors.iter();
            interceptors.any(|settings| settings.enabled && settings.trigger == trigger)
        };
        let unasked = route.trigger == Some(Trigger::PreClientRegistration) && !asked(Trigger::PreClientRegistration);
        let unguarded = route.protocol == Some(Protocol::Saml) && self.saml() == Saml::Allow;
        !unasked && !unguarded
    }
}
