//! `tollgate check`: whether this configuration would work here and now, and how to mend what would not.

mod endpoint;
mod findings;
mod local;
mod routes;
mod service;
mod upstream;

use std::io::Write;

use clap::Args;

use self::findings::Findings;
use super::{
    block_on,
    outcome::{Outcome, Stop},
};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Look at this machine's files only
    #[arg(long, conflicts_with_all = ["call", "realm"])]
    offline: bool,
    /// Ask every interceptor about a sample as well, marked as a dry run
    #[arg(long)]
    call: bool,
    /// A realm whose discovery document to look at, as often as needed; those that interceptors name if left out
    #[arg(long, value_name = "NAME")]
    realm: Vec<String>,
}

/// Goes through everything that `tollgate run` needs. The answer is no when something fails.
pub(super) fn run(config: &Config, arguments: &Arguments, out: &mut impl Write) -> Result<Outcome, Stop> {
    let mut findings = Findings::new(config, out);
    findings.ok(
        "configuration",
        format!("{}, revision {}", config.file(), config.revision),
    )?;
    for one in config.each() {
        local::public_url(one, findings.about(one))?;
    }
    for one in config.each() {
        local::tls(one, findings.about(one))?;
    }
    for one in config.each() {
        local::keys(one, findings.about(one))?;
    }
    findings.about_all().errors("keys", config.shared_keys())?;
    for one in config.each() {
        local::nets(one, findings.about(one))?;
    }
    local::audit(config, findings.about_all())?;
    local::dashboard(config, &mut findings)?;
    for one in config.each() {
        local::page(one, findings.about(one))?;
    }
    local::geo(config, findings.about_all())?;
    local::telemetry(config, &mut findings)?;
    let interceptors = local::interceptors(config, &mut findings)?;
    let mut presets = Vec::new();
    for one in config.each() {
        let findings = findings.about(one);
        local::lock_out(one, findings)?;
        local::saml(one, findings)?;
        presets.push(local::preset(one, findings)?);
    }
    if arguments.offline {
        findings.about_all().note("network", "not looked at: `--offline`")?;
    } else {
        block_on(async {
            for (one, preset) in config.each().zip(&presets) {
                let findings = findings.about(one);
                service::note(one, findings)?;
                if let Some(preset) = preset {
                    upstream::check(one, preset, &arguments.realm, findings).await?;
                }
            }
            let findings = findings.about_all();
            endpoint::check(config, interceptors.as_ref(), arguments.call, findings).await
        })??;
    }
    findings.summary()
}
