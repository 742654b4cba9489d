//! Who would be asked about an event.

use std::{io::Write, slice};

use super::super::outcome::Stop;
use crate::{
    clock::Clock,
    config::Config,
    event::Event,
    interceptor::{self, Conditions, Interceptors, OnRefresh, Policy},
};

/// Prints every interceptor of the event's trigger, and whether its conditions fit.
pub(super) fn list(config: &Config, event: &Event, out: &mut impl Write) -> Result<(), Stop> {
    let mut place = 0;
    for settings in config
        .interceptors
        .iter()
        .filter(|settings| settings.trigger == event.trigger)
    {
        let fate = fate(config, settings, event);
        let number = if fate.starts_with("asked") {
            place += 1;
            format!("{place}.")
        } else {
            "-".to_owned()
        };
        let on_failure = match settings.on_failure() {
            Policy::Allow => "allow",
            Policy::Deny => "deny",
        };
        let on_refresh = match settings.on_refresh {
            OnRefresh::Consult => "",
            OnRefresh::Reuse => ", on_refresh = reuse",
        };
        writeln!(out, "  {number:<4}{}: {fate}", settings.name)?;
        writeln!(
            out,
            "      POST {}, timeout {}, on_failure = {on_failure}{on_refresh}",
            settings.endpoint, settings.timeout
        )?;
        for (word, conditions) in [("when", &settings.when), ("unless", &settings.unless)] {
            if *conditions != Conditions::default() {
                writeln!(out, "      {word} {}", spelled(conditions))?;
            }
        }
    }
    if !config
        .interceptors
        .iter()
        .any(|settings| settings.trigger == event.trigger)
    {
        writeln!(out, "  nobody is asked: no `[[interceptor]]` has this trigger")?;
    }
    Ok(())
}

fn fate(config: &Config, settings: &interceptor::Settings, event: &Event) -> &'static str {
    if !settings.enabled {
        return "not asked, `enabled = false`";
    }
    let alone = Interceptors::build(
        slice::from_ref(settings),
        config.consult_budget,
        &config.base,
        Clock::system(),
    );
    match alone {
        Ok(alone) if alone.applies(event) => "asked",
        Ok(_) => "not asked, its conditions do not fit",
        Err(_) => "asked if its conditions fit; it cannot be used as it is, see `tollgate check`",
    }
}

fn spelled(conditions: &Conditions) -> String {
    let lists = conditions.given();
    let written: Vec<_> = lists
        .map(|(name, list)| format!("{name} in {}", list.join(" | ")))
        .collect();
    written.join(", ")
}
