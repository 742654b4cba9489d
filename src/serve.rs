//! The composition root: a configuration becomes a running proxy, another one takes its place, and it ends when it is told to.

mod build;
mod front;

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::{
    build::{Before, build},
    front::{Bound, Front, Place},
};
use crate::{
    clock::Clock,
    config::{Config, ConfigErrors},
    dashboard::{self, Dashboard, Ended, Installation, Reloading},
    gate::Gate,
    lifecycle::{Lifecycle, Signals},
    listen::Settings,
    misconfigured::Misconfigured,
    supervisor,
};

/// A proxy that serves.
pub struct Running {
    /// The address that it listened on first, with its port.
    pub address: SocketAddr,
    /// The first address of the dashboard, with its port.
    pub admin: SocketAddr,
    gate: Arc<ArcSwap<Gate>>,
    reloading: Reloading,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    /// The metrics as they are now, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.gate.load().scrape()
    }

    /// The way to load the configuration again.
    pub fn reloading(&self) -> &Reloading {
        &self.reloading
    }

    /// Stops taking connections, lets requests in flight finish, and closes the audit.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(e) = self.serving.await {
            tracing::error!(error = %e, "the server ended early: {e}");
        }
    }

    /// Serves until a signal says that it is to end, then stops as above.
    pub(crate) async fn until(self, signals: Signals) {
        supervisor::ready(&format!("on {}, the dashboard on {}", self.address, self.admin));
        signals.end(&self.reloading).await;
        supervisor::stopping();
        tracing::info!("stopping: no more connections are taken, requests in flight finish");
        self.stop().await;
    }
}

/// Builds everything that a configuration names and serves it.
///
/// # Errors
/// Whatever cannot be built, each with its place in the configuration. Nothing was started then.
pub async fn start(config: &Config, clock: Clock) -> Result<Running, ConfigErrors> {
    let stop = CancellationToken::new();
    let (lifecycle, reloading) = Lifecycle::new(config, clock.clone());
    let server = Server::start(Arc::new(config.clone()), clock, &stop, reloading.clone()).await?;
    let (address, admin) = (server.public.address, server.admin.address);
    tracing::info!(
        %address,
        admin.address = %admin,
        public_url = %config.listen.public_url,
        upstream = %config.upstream.url,
        preset = %config.upstream.preset,
        interceptors = config.interceptors.len(),
        revision = %config.revision,
        "serving {} on {address}, in front of {}; the dashboard is on {admin}",
        config.listen.public_url,
        config.upstream.url,
    );
    let gate = Arc::clone(&server.gate);
    let serving = tokio::spawn(lifecycle.run(server, stop.clone()));
    Ok(Running {
        address,
        admin,
        gate,
        reloading,
        stop,
        serving,
    })
}

/// What serves now: one configuration, and everything that was made of it. Requests take the gate when they come and keep it to
/// their end.
pub(crate) struct Server {
    config: Arc<Config>,
    clock: Clock,
    started: Timestamp,
    gate: Arc<ArcSwap<Gate>>,
    dashboard: Arc<ArcSwap<Dashboard>>,
    public: Front,
    admin: Front,
    stop: CancellationToken,
    reloading: Reloading,
    ended: Ended,
}

/// A configuration that is ready to take the place of another: nothing can go wrong any more.
pub(crate) struct Ready {
    config: Arc<Config>,
    gate: Arc<Gate>,
    dashboard: Dashboard,
    public: Place,
    admin: Place,
}

impl Server {
    async fn start(
        config: Arc<Config>,
        clock: Clock,
        stop: &CancellationToken,
        reloading: Reloading,
    ) -> Result<Self, ConfigErrors> {
        let wrong = |findings: Vec<Misconfigured>| config.errors(&findings);
        let gate = build(&config, clock.clone(), None).map_err(wrong)?;
        let (started, ended) = (clock.now(), Ended::default());
        let fronts = async {
            let public = Bound::bind(&config.listen, &config.base, "listen.").await?;
            let admin = Bound::bind(&admin_settings(&config), &config.base, "admin.").await?;
            let about = About {
                address: public.address,
                started,
                stop,
                reloading: &reloading,
                ended: &ended,
            };
            let dashboard = dashboard(&config, &gate, clock.clone(), &about)?;
            Ok((public, admin, dashboard))
        };
        let (public, admin, dashboard) = match fronts.await {
            Ok(fronts) => fronts,
            Err(findings) => {
                gate.drain().await;
                return Err(wrong(findings));
            }
        };
        gate.metrics
            .applied(&config.environment, &config.revision, started.as_second());
        let gate = Arc::new(ArcSwap::new(gate));
        let dashboard = Arc::new(ArcSwap::from_pointee(dashboard));
        let public = {
            let (current, metrics) = (Arc::clone(&gate), gate.load().metrics.clone());
            Front::open(public, metrics, move |request, peer| {
                current.load_full().serve(request, peer)
            })
        };
        let admin = {
            let current = Arc::clone(&dashboard);
            Front::open(admin, crate::metrics::Metrics::default(), move |request, peer| {
                Dashboard::clone(&current.load()).serve(request, peer)
            })
        };
        Ok(Self {
            config,
            clock,
            started,
            gate,
            dashboard,
            public,
            admin,
            stop: stop.clone(),
            reloading,
            ended,
        })
    }

    /// The configuration that is served.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The gate that is served.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.load_full()
    }

    /// Builds everything of another configuration; nothing changes yet.
    ///
    /// # Errors
    /// Whatever cannot be built.
    pub(crate) async fn prepare(&self, config: Arc<Config>) -> Result<Ready, Vec<Misconfigured>> {
        let before = Before {
            config: Arc::clone(&self.config),
            gate: self.gate(),
        };
        let (building, clock) = (Arc::clone(&config), self.clock.clone());
        // Keys and certificates are read and judged: requests do not wait for that.
        let built = tokio::task::spawn_blocking(move || build(&building, clock, Some(&before))).await;
        let gate = built.unwrap_or_else(|e| Err(vec![Misconfigured::new("", format!("building it failed: {e}"))]))?;
        let public = self.public.place(&config.listen, &config.base, "listen.").await?;
        let admin = self
            .admin
            .place(&admin_settings(&config), &config.base, "admin.")
            .await?;
        let about = About {
            address: public.address(),
            started: self.started,
            stop: &self.stop,
            reloading: &self.reloading,
            ended: &self.ended,
        };
        let dashboard = dashboard(&config, &gate, self.clock.clone(), &about)?;
        Ok(Ready {
            config,
            gate,
            dashboard,
            public,
            admin,
        })
    }

    /// Puts it in the place of what is served. Requests in flight finish where they began.
    pub(crate) fn apply(&mut self, ready: Ready) {
        let since = self.clock.now().as_second();
        ready
            .gate
            .metrics
            .applied(&ready.config.environment, &ready.config.revision, since);
        self.config = ready.config;
        self.gate.store(ready.gate);
        self.dashboard.store(Arc::new(ready.dashboard));
        self.public.take(ready.public);
        self.admin.take(ready.admin);
    }

    /// Lets requests in flight finish, and closes everything. The dashboard goes last, so that it can be watched how the rest ends.
    pub(crate) async fn end(self) {
        self.public.close().await;
        self.gate.load_full().drain().await;
        self.admin.close().await;
    }
}

/// What the dashboard tells of the process.
struct About<'a> {
    address: SocketAddr,
    started: Timestamp,
    stop: &'a CancellationToken,
    reloading: &'a Reloading,
    ended: &'a Ended,
}

fn dashboard(
    config: &Arc<Config>,
    gate: &Arc<Gate>,
    clock: Clock,
    about: &About<'_>,
) -> Result<Dashboard, Vec<Misconfigured>> {
    let lines = Arc::clone(config);
    let secrets = config
        .tokens
        .capsule_secrets(&config.base)
        .map_err(|wrong| vec![wrong])?;
    // The oldest, so that a new one does not end anybody's session.
    let secret = secrets.into_iter().next().map(|timed| timed.secret);
    let secret = secret.ok_or_else(|| vec![Misconfigured::new("tokens.capsule_secret", "there is none")])?;
    let parts = dashboard::Parts {
        gate: gate.preview(),
        installation: Installation {
            environment: config.environment.clone(),
            file: config.file().to_owned(),
            revision: config.revision.clone(),
            public_url: config.listen.public_url.clone(),
            address: about.address.to_string(),
            upstream: config.upstream.url.clone(),
            preset: config.upstream.preset.clone(),
            own_routes: config.routes.iter().map(|route| route.name.clone()).collect(),
            origin: Box::new(move |key| lines.origin(key).map(|origin| origin.to_string())),
            description: serde_json::to_value(config.description()).unwrap_or_default(),
        },
        audit: config.audit.clone(),
        test: config.test.clone(),
        base: config.base.clone(),
        secret,
        clock,
        started: about.started,
        stopping: about.stop.clone(),
        reloading: about.reloading.clone(),
        ended: about.ended.clone(),
    };
    Dashboard::build(&config.admin, parts)
}

fn admin_settings(config: &Config) -> Settings {
    Settings::at(config.admin.address, config.admin.tls.clone())
}
