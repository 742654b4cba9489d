//! What a configuration leaves open.

use std::io::Write;

use crate::{
    cli::outcome::Stop,
    config::Config,
    event::Trigger,
    interceptor::{Conditions, Policy},
    preset::{Need, Preset},
    route::{Action, Protocol},
    token::Publish,
    upstream::Egress,
};

/// Lists it after the table.
pub(super) fn write(config: &Config, preset: &Preset, out: &mut impl Write) -> Result<(), Stop> {
    writeln!(out, "\n## What {} leaves open\n", config.file())?;
    let mut open = unasked(config, preset);
    open.extend(ways(config, preset));
    open.extend(routes(config, preset));
    if open.is_empty() {
        writeln!(out, "Nothing but what the table says is not covered.")?;
    }
    for line in open {
        writeln!(out, "- {line}")?;
    }
    Ok(())
}

/// Triggers without an interceptor, and interceptors that let something through.
fn unasked(config: &Config, preset: &Preset) -> Vec<String> {
    let mut open = Vec::new();
    for trigger in Trigger::ALL {
        let occurs = preset
            .routes
            .iter()
            .any(|route| route.trigger == Some(trigger) || (route.does == Action::Tokens && trigger.adds_claims()));
        let mut asked = config
            .interceptors
            .iter()
            .filter(|settings| settings.enabled && settings.trigger == trigger)
            .peekable();
        if occurs && asked.peek().is_none() {
            open.push(format!(
                "`{trigger}`: no interceptor has this trigger, so nobody is asked"
            ));
        }
        for settings in asked {
            let (name, none) = (&settings.name, Conditions::default());
            if settings.on_failure() == Policy::Allow {
                open.push(format!(
                    "`{trigger}`: \"{name}\" is passed by while it does not answer (`on_failure = \"allow\"`)"
                ));
            }
            if settings.when != none || settings.unless != none {
                open.push(format!(
                    "`{trigger}`: \"{name}\" is asked only where its `when` and `unless` say so"
                ));
            }
        }
    }
    open
}

/// Ways whose setting is not there.
fn ways(config: &Config, preset: &Preset) -> Vec<String> {
    let missing = preset.ways.iter().filter_map(|way| {
        let need = way.needs.filter(|need| !is_set(config, *need))?;
        Some(format!("{}: there is no `{}`", way.summary, need.setting()))
    });
    missing.collect()
}

fn is_set(config: &Config, need: Need) -> bool {
    match need {
        Need::LateSignup => config.upstream.late_signup.is_some(),
        Need::LogoutRelay => !config.logouts.is_empty(),
        Need::Egress => config.upstream.egress == Egress::Block,
        Need::RequireReissued => config.tokens.require_reissued,
        Need::OwnKeys => config.jwks.upstream_keys == Publish::Omit,
    }
}

/// Routes that are not in force, and those of the operator that let something through.
fn routes(config: &Config, preset: &Preset) -> Vec<String> {
    let mut open = Vec::new();
    for route in &preset.routes {
        if route.protocol == Some(Protocol::Saml) && !config.is_in_force(route) {
            open.push(format!(
                "`{}`: SAML passes, and nobody is asked about its sessions",
                route.name
            ));
        }
        let own = config.routes.iter().any(|own| own.name == route.name);
        if own && route.does == Action::Pass {
            open.push(format!("`{}`: your `[[route]]` lets it pass", route.name));
        }
    }
    open
}
