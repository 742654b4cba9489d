//! `tollgate run`.

use std::io::{self, IsTerminal};

use tracing_subscriber::util::SubscriberInitExt;

use super::{
    block_on,
    outcome::{Outcome, Stop},
};
use crate::{
    clock::Clock,
    config::{Config, Log},
    listen, serve,
};

/// Serves until a signal comes.
pub(super) fn run(config: &Config) -> Result<Outcome, Stop> {
    log(&config.log);
    listen::raise_descriptor_limit();
    block_on(async {
        let running = serve::start(config, Clock::system()).await?;
        running
            .until_signal()
            .await
            .map_err(|e| Stop::Ours(format!("signals cannot be waited for: {e}")))
    })??;
    Ok(Outcome::Well)
}

/// Lines go to standard error: standard output belongs to what a command was asked for.
fn log(log: &Log) {
    let instead = std::env::var("TOLLGATE_LOG").ok();
    let coloured = io::stderr().is_terminal();
    log.subscriber(instead.as_deref(), coloured, io::stderr).init();
}
