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
    lifecycle::Signals,
    serve,
};

/// Serves until a signal comes.
pub(super) fn run(config: &Config) -> Result<Outcome, Stop> {
    log(&config.log);
    block_on(async {
        let signals = Signals::to_end_and_reload();
        let signals = signals.map_err(|e| Stop::Ours(format!("signals cannot be waited for: {e}")))?;
        serve::start(config, Clock::system()).await?.until(signals).await;
        Ok(Outcome::Well)
    })?
}

/// Lines go to standard error: standard output belongs to what a command was asked for.
fn log(log: &Log) {
    let instead = std::env::var("TOLLGATE_LOG").ok();
    let coloured = io::stderr().is_terminal();
    log.subscriber(instead.as_deref(), coloured, io::stderr).init();
}
