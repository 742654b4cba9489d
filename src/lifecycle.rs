//! What happens to a server while it runs: signals, files that change, somebody who asks for a reload, and the end.

use std::{io, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::{Change, Config, ConfigErrors, Contents, Snapshot},
    dashboard::{Attempt, Refused, Reloading, Standing},
    misconfigured::Misconfigured,
    serve::Server,
    supervisor,
};

/// Loads the configuration again, one attempt after the other, and ends the server.
pub(crate) struct Lifecycle {
    clock: Clock,
    asks: mpsc::Receiver<oneshot::Sender<Attempt>>,
    standing: watch::Sender<Standing>,
    contents: Contents,
    /// What was in the files of the running configuration when it was last tried to load them.
    seen: Snapshot,
    /// A configuration that was refused: it is tried again when one of its files changes.
    refused: Option<Arc<Config>>,
}

/// The signals that the process listens to. From when this is made none of them ends it by itself.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// SIGTERM and SIGINT, which end the server.
    pub(crate) fn to_end() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: None,
        })
    }

    /// SIGHUP as well, which loads the configuration again.
    pub(crate) fn to_end_and_reload() -> io::Result<Self> {
        Ok(Self {
            hangup: Some(signal(SignalKind::hangup())?),
            ..Self::to_end()?
        })
    }

    /// Returns when the server is to end.
    pub(crate) async fn end(mut self, reloading: &Reloading) {
        loop {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = hangup => {
                    tracing::info!("SIGHUP: the configuration is loaded again");
                    supervisor::reloading();
                    reloading.ask().await;
                    supervisor::reloaded();
                }
            }
        }
    }
}

impl Lifecycle {
    /// For a server with this configuration, and the way to ask it for a reload.
    pub(crate) fn new(config: &Config, clock: Clock) -> (Self, Reloading) {
        let (reloading, asks, standing) = Reloading::new(Standing {
            revision: config.revision.clone(),
            since: clock.now(),
            refused: None,
        });
        let lifecycle = Self {
            clock,
            asks,
            standing,
            contents: Contents::default(),
            seen: config.snapshot().clone(),
            refused: None,
        };
        (lifecycle, reloading)
    }

    /// Watches over the server until it is stopped, and ends it.
    pub(crate) async fn run(mut self, mut server: Server, stop: CancellationToken) {
        loop {
            let reload = server.config().reload;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(reply) = self.asks.recv() => {
                    let attempt = self.reload(&mut server).await;
                    // Whoever asked may have gone.
                    let _ = reply.send(attempt);
                }
                () = tokio::time::sleep(reload.every.0), if reload.watch => {
                    if self.has_changed(&server).await {
                        self.reload(&mut server).await;
                    }
                }
            }
        }
        server.end().await;
    }

    /// Whether a file has other contents than when it was last tried to load them all.
    async fn has_changed(&mut self, server: &Server) -> bool {
        if self.look(server.config()).await != self.seen {
            return true;
        }
        match self.refused.clone() {
            Some(refused) => self.look(&refused).await != *refused.snapshot(),
            None => false,
        }
    }

    /// One attempt, with everything that is told of it.
    async fn reload(&mut self, server: &mut Server) -> Attempt {
        // Before anything is read: what changes from now on is another attempt's.
        self.seen = self.look(server.config()).await;
        let attempt = self.attempt(server).await;
        server.gates().first().metrics.reloaded(match &attempt {
            Attempt::Applied => "applied",
            Attempt::Unchanged => "unchanged",
            Attempt::Refused(_) => "refused",
        });
        let now = self.clock.now();
        let revision = server.config().revision.clone();
        match &attempt {
            Attempt::Applied => tracing::info!(%revision, "a new configuration runs: revision {revision}"),
            Attempt::Unchanged => {
                tracing::info!(%revision, "the configuration is the one that runs: revision {revision}")
            }
            Attempt::Refused(why) => {
                tracing::error!(%revision, "the configuration was refused, revision {revision} runs on: {}", in_a_line(why));
            }
        }
        self.standing.send_modify(|standing| {
            if attempt == Attempt::Applied {
                standing.since = now;
            }
            standing.revision = revision;
            standing.refused = match &attempt {
                Attempt::Refused(why) => Some(Refused {
                    at: now,
                    why: why.clone(),
                }),
                Attempt::Applied | Attempt::Unchanged => None,
            };
        });
        attempt
    }

    async fn attempt(&mut self, server: &mut Server) -> Attempt {
        self.refused = None;
        for _ in 0..TRIES {
            let running = Arc::clone(server.config());
            let config = match off_the_line(move || running.again()).await {
                Some(Ok(config)) => Arc::new(config),
                Some(Err(errors)) => return Attempt::Refused(errors.to_string()),
                None => return Attempt::Refused("reading it failed".to_owned()),
            };
            if config.snapshot() == server.config().snapshot() {
                return Attempt::Unchanged;
            }
            let ready = match fits(&config, server.config()) {
                Ok(()) => server.prepare(Arc::clone(&config)).await,
                Err(errors) => Err(errors),
            };
            let is_whole = self.look(&config).await == *config.snapshot();
            if !is_whole || ready.is_err() {
                server.gates().are_all();
            }
            match ready {
                // What was replaced in the middle would make a configuration that nobody wrote.
                _ if !is_whole => {}
                Ok(ready) => {
                    server.apply(ready);
                    self.seen = config.snapshot().clone();
                    return Attempt::Applied;
                }
                Err(errors) => {
                    self.refused = Some(config);
                    return Attempt::Refused(errors.to_string());
                }
            }
        }
        Attempt::Refused("its files were changed again and again while they were read".to_owned())
    }

    async fn look(&mut self, config: &Arc<Config>) -> Snapshot {
        let (mut contents, config) = (std::mem::take(&mut self.contents), Arc::clone(config));
        let looked = off_the_line(move || {
            let seen = contents.look(&config);
            (contents, seen)
        });
        match looked.await {
            Some((contents, seen)) => {
                self.contents = contents;
                seen
            }
            None => Snapshot::default(),
        }
    }
}

/// Whether a configuration can take the place of another in the same process: all of it, or it is refused.
fn fits(config: &Config, running: &Config) -> Result<(), ConfigErrors> {
    let changes = config.changes_since(running);
    let late: Vec<_> = changes.iter().filter(|change| change.needs_restart).collect();
    if late.is_empty() {
        return Ok(());
    }
    let finding = |change: &&Change| {
        let place = config.place_of(change);
        let section = place.split('.').next().unwrap_or_default();
        let key = place.rsplit('.').next().unwrap_or_default();
        let message = format!("`{key}` in `[{section}]` is not what runs, and counts only from a start on");
        Misconfigured::new(place.clone(), message)
            .hint("restart Tollgate, or take this change back: a configuration is applied as a whole")
    };
    Err(config.errors_in_file(&late.iter().map(finding).collect::<Vec<_>>()))
}

/// What is wrong without the lines of the file that it points at: a line of the log is one line.
fn in_a_line(why: &str) -> String {
    let is_excerpt = |line: &str| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        rest.starts_with('|')
    };
    let lines = why.lines().filter(|line| !line.is_empty() && !is_excerpt(line));
    lines.collect::<Vec<_>>().join("; ")
}

/// Reads files where no request waits for it. `None` only where that panicked.
async fn off_the_line<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    spawn_blocking(work).await.ok()
}

/// How often files are read that change while they are read.
const TRIES: usize = 5;
