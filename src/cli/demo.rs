//! `tollgate demo`.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
};

use clap::Args;

use super::{
    block_on,
    outcome::{Outcome, Stop},
};
use crate::{
    audit::{Query, Reader},
    clock::Clock,
    config::Config,
    demo::Demo,
    lifecycle::Signals,
    serve,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End after the walk; exit code 0 only if every step came out as said
    #[arg(long)]
    once: bool,
    /// The port of the proxy; a free one if left out
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Starts provider, interceptors and proxy on this machine, walks through every trigger, and keeps serving.
pub(super) fn run(arguments: &Arguments, out: &mut (impl Write + Send)) -> Result<Outcome, Stop> {
    block_on(async {
        let ours = |e: &dyn std::fmt::Display| Stop::Ours(format!("the demo cannot be started: {e}"));
        let demo = Demo::start(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)))
            .await
            .map_err(|e| ours(&e))?;
        let config = Config::load(&demo.config_path(), std::iter::empty())?;
        let running = serve::start(&config, Clock::system()).await?;
        let outcome = demo.walk(out, || records(&config)).await?;
        if arguments.once || !outcome.failures.is_empty() {
            running.stop().await;
        } else {
            write!(out, "{}", demo.playground(running.admin))?;
            out.flush()?;
            running.until(Signals::to_end()?).await;
        }
        Ok(if outcome.failures.is_empty() {
            Outcome::Well
        } else {
            Outcome::No
        })
    })?
}

/// What `tollgate audit list` shows of the walk.
fn records(config: &Config) -> String {
    let mut text = Vec::new();
    let listed = Reader::open(&config.audit, &config.base)
        .and_then(|reader| reader.list(&Query::default(), Clock::system().now(), &mut text));
    match listed {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(e) => format!("the audit cannot be read: {e}"),
    }
}
