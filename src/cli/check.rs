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
    local::listener(config, &mut findings)?;
    local::keys(config, &mut findings)?;
    local::nets(config, &mut findings)?;
    local::audit(config, &mut findings)?;
    local::dashboard(config, &mut findings)?;
    local::page(config, &mut findings)?;
    local::geo(config, &mut findings)?;
    local::telemetry(config, &mut findings)?;
    let interceptors = local::interceptors(config, &mut findings)?;
    local::lock_out(config, &mut findings)?;
    local::saml(config, &mut findings)?;
    let preset = local::preset(config, &mut findings)?;
    if arguments.offline {
        findings.note("network", "not looked at: `--offline`")?;
    } else {
        block_on(async {
            service::note(config, &mut findings)?;
            if let Some(preset) = &preset {
                upstream::check(config, preset, &arguments.realm, &mut findings).await?;
            }
            endpoint::check(config, interceptors.as_ref(), arguments.call, &mut findings).await
        })??;
    }
    findings.summary()
}
