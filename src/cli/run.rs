//! `tollgate run`.

use std::io::{self, BufWriter, IsTerminal};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::util::SubscriberInitExt;

use super::{
    block_on,
    outcome::{Outcome, Stop},
};
use crate::{
    clock::Clock,
    config::{Config, Log},
    lifecycle::Signals,
    listen, serve,
};

/// Serves until a signal comes.
pub(super) fn run(config: &Config) -> Result<Outcome, Stop> {
    // Writes what is left when it goes.
    let _lines = log(&config.log);
    listen::raise_descriptor_limit();
    block_on(async {
        let signals = Signals::to_end_and_reload();
        let signals = signals.map_err(|e| Stop::Ours(format!("signals cannot be waited for: {e}")))?;
        serve::start(config, Clock::system()).await?.until(signals).await;
        Ok(Outcome::Well)
    })?
}

/// Lines go to standard error: standard output belongs to what a command was asked for. A thread writes them, as many at a time as
/// there are; none is dropped, so a reader that stops reading stops the proxy once 128,000 wait.
fn log(log: &Log) -> WorkerGuard {
    let instead = std::env::var("TOLLGATE_LOG").ok();
    let coloured = io::stderr().is_terminal();
    let (lines, guard) = NonBlockingBuilder::default()
        .lossy(false)
        .thread_name("log")
        .finish(BufWriter::new(io::stderr()));
    log.subscriber(instead.as_deref(), coloured, lines).init();
    guard
}
