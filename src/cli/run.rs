//! `tollgate run`.

use std::io::{self, IsTerminal};

use tracing_subscriber::fmt;

use super::{
    block_on,
    outcome::{Outcome, Stop},
};
use crate::{
    clock::Clock,
    config::{Config, Log, LogFormat},
    serve,
};

/// Serves until a signal comes.
pub(super) fn run(config: &Config) -> Result<Outcome, Stop> {
    log(&config.log);
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
    let lines = fmt()
        .with_env_filter(log.filter(instead.as_deref()))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).init(),
        LogFormat::Text => lines.with_target(false).init(),
    }
}
