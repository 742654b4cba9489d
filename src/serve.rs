//! The composition root: a configuration becomes a running proxy, which ends when it is told to.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use http::{HeaderMap, StatusCode};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Audit,
    clock::Clock,
    config::{Config, ConfigErrors},
    dashboard::{self, Dashboard, Installation},
    exchange::Outside,
    gate::{Gate, Parts},
    geo::Geo,
    interceptor::Interceptors,
    listen::{self, Listener},
    metrics::{Known, Metrics},
    misconfigured::Misconfigured,
    refusal::Page,
    telemetry::Telemetry,
    upstream::{RelyingParties, ServiceAccount, Upstream},
};

/// A proxy that serves.
pub struct Running {
    /// The address that it listens on, with its port.
    pub address: SocketAddr,
    /// The address of the dashboard, with its port.
    pub admin: SocketAddr,
    gate: Arc<Gate>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    /// The metrics as they are now, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.gate.scrape()
    }

    /// Stops taking connections, lets requests in flight finish, and closes the audit.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(e) = self.serving.await {
            tracing::error!(error = %e, "the server ended early: {e}");
        }
    }

    /// Serves until SIGTERM or SIGINT, then stops as above.
    pub async fn until_signal(self) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: no more connections are taken, requests in flight finish");
        self.stop().await;
        Ok(())
    }
}

/// Builds everything that a configuration names and serves it.
///
/// # Errors
/// Whatever cannot be built, each with its place in the configuration. Nothing was started then.
pub async fn start(config: &Config, clock: Clock) -> Result<Running, ConfigErrors> {
    let gate = build(config, clock.clone()).map_err(|findings| config.errors(&findings))?;
    let stop = CancellationToken::new();
    let fronts = match Fronts::bind(config, &gate, clock, &stop).await {
        Ok(fronts) => fronts,
        Err(findings) => {
            gate.drain().await;
            return Err(config.errors(&findings));
        }
    };
    let (address, admin) = (fronts.address, fronts.admin);
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
    let serving = tokio::spawn(fronts.serve(Arc::clone(&gate), stop.clone()));
    Ok(Running {
        address,
        admin,
        gate,
        stop,
        serving,
    })
}

/// Both listeners, bound, and what the second one serves.
struct Fronts {
    listener: Listener,
    address: SocketAddr,
    admin_listener: Listener,
    admin: SocketAddr,
    dashboard: Dashboard,
}

impl Fronts {
    async fn bind(
        config: &Config,
        gate: &Arc<Gate>,
        clock: Clock,
        stopping: &CancellationToken,
    ) -> Result<Self, Vec<Misconfigured>> {
        let (listener, address) = bound(&config.listen, &config.base)
            .await
            .map_err(|finding| vec![finding])?;
        let settings = listen::Settings::at(config.admin.address, config.admin.tls.clone());
        let of_admin = |mut finding: Misconfigured| {
            finding.key = finding.key.replacen("listen.", "admin.", 1);
            vec![finding]
        };
        let (admin_listener, admin) = bound(&settings, &config.base).await.map_err(of_admin)?;
        let (lines, own) = (config.clone(), &config.routes);
        let parts = dashboard::Parts {
            gate: gate.preview(),
            installation: Installation {
                environment: config.environment.clone(),
                file: config.file().to_owned(),
                revision: config.revision.clone(),
                public_url: config.listen.public_url.clone(),
                address: address.to_string(),
                upstream: config.upstream.url.clone(),
                preset: config.upstream.preset.clone(),
                own_routes: own.iter().map(|route| route.name.clone()).collect(),
                origin: Box::new(move |key| lines.origin(key).map(|origin| origin.to_string())),
            },
            audit: config.audit.clone(),
            test: config.test.clone(),
            base: config.base.clone(),
            secret: config
                .tokens
                .capsule_secret
                .read(&config.base)
                .map_err(|e| vec![Misconfigured::new("tokens.capsule_secret", e.to_string())])?,
            clock,
            stopping: stopping.clone(),
        };
        let dashboard = Dashboard::build(&config.admin, parts)?;
        Ok(Self {
            listener: listener.counted(gate.metrics.clone()),
            address,
            admin_listener,
            admin,
            dashboard,
        })
    }

    /// Serves until told to stop. The dashboard goes last, so that it can be watched how the rest ends.
    async fn serve(self, gate: Arc<Gate>, stop: CancellationToken) {
        let (line, dashboard, drained) = (Arc::clone(&gate), self.dashboard, CancellationToken::new());
        let shown = tokio::spawn(self.admin_listener.serve(
            move |request, peer| dashboard.clone().serve(request, peer),
            drained.clone(),
        ));
        self.listener
            .serve(move |request, peer| Arc::clone(&line).serve(request, peer), stop)
            .await;
        gate.drain().await;
        drained.cancel();
        if let Err(e) = shown.await {
            tracing::error!(error = %e, "the dashboard ended early: {e}");
        }
    }
}

/// A listener and its address with the port that it got.
async fn bound(settings: &listen::Settings, base: &Path) -> Result<(Listener, SocketAddr), Misconfigured> {
    let listener = Listener::bind(settings, base).await?;
    let address = listener
        .local_addr()
        .map_err(|e| Misconfigured::new("listen.address", format!("the socket has no address: {e}")))?;
    Ok((listener, address))
}

/// All parts of the gate, or all that is wrong with their settings.
fn build(config: &Config, clock: Clock) -> Result<Arc<Gate>, Vec<Misconfigured>> {
    let base = &config.base;
    let mut findings = Vec::new();
    let listen = &config.listen;
    let outside = keep(
        &mut findings,
        Outside::new(&listen.public_url, &listen.names, &listen.trusted_proxies),
    );
    let preset = keep(&mut findings, config.preset());
    let metrics = Metrics::new(&Known {
        environment: &config.environment,
        revision: &config.revision,
        interceptors: config
            .interceptors
            .iter()
            .map(|settings| (settings.name.as_str(), settings.trigger))
            .collect(),
        operations: preset
            .iter()
            .flat_map(|preset| &preset.routes)
            .map(|route| route.name.as_str())
            .collect(),
        sinks: config.audit.sinks.iter().map(|sink| sink.name.as_str()).collect(),
    });
    let upstream = Upstream::new(&config.upstream, base).map(|upstream| upstream.counted(metrics.clone()));
    let upstream = keep(&mut findings, upstream);
    let reissuer = keep(&mut findings, config.tokens.reissuer(base));
    let service_account = match (&config.upstream.service_account, &outside, &upstream, &preset) {
        (Some(settings), Some(outside), Some(upstream), Some(preset)) => {
            let mut headers = HeaderMap::new();
            outside.stamp(&mut headers, None);
            let accounts = preset.clone().below(upstream.base_path()).accounts;
            keep(
                &mut findings,
                ServiceAccount::new(settings, accounts.as_ref(), upstream, headers, base),
            )
        }
        _ => None,
    };
    let certificate_header = keep(&mut findings, config.upstream.client_certificate_header.header());
    let geo = keep(&mut findings, Geo::open(&config.geo, base));
    let telemetry = Telemetry::start(&config.telemetry, &config.environment, base, metrics.clone());
    let telemetry = keep(&mut findings, telemetry);
    let page = match &config.denial.page {
        Some(path) => keep(&mut findings, Page::read(&base.join(path))),
        None => Some(Page::default()),
    };
    let relying_parties = match RelyingParties::build(&config.logouts, config.upstream.ca.as_deref(), base) {
        Ok(parties) => Some(parties),
        Err(wrong) => {
            findings.extend(wrong);
            None
        }
    };
    let interceptors = match Interceptors::build(&config.interceptors, config.consult_budget, base, clock.clone()) {
        Ok(interceptors) => Some(interceptors),
        Err(wrong) => {
            findings.extend(wrong);
            None
        }
    };
    let (
        Some(outside),
        Some(upstream),
        Some(preset),
        Some(reissuer),
        Some(page),
        Some(interceptors),
        Some(relying_parties),
        Some(certificate_header),
    ) = (
        outside,
        upstream,
        preset,
        reissuer,
        page,
        interceptors,
        relying_parties,
        certificate_header,
    )
    else {
        return Err(findings);
    };
    if !findings.is_empty() {
        return Err(findings);
    }
    // Last, since it takes the lock of the store.
    let audit =
        Audit::open_counted(&config.audit, base, clock.clone(), metrics.clone()).map_err(|finding| vec![finding])?;
    Ok(Gate::new(Parts {
        environment: config.environment.clone(),
        outside,
        preset: preset.below(upstream.base_path()),
        upstream,
        interceptors,
        reissuer,
        audit,
        clock,
        denied: StatusCode::from_u16(config.denial.status).unwrap_or(StatusCode::BAD_REQUEST),
        page,
        learn: config.upstream.learn,
        signup_attributes: config.upstream.signup_attributes.clone(),
        require_reissued: config.tokens.require_reissued,
        egress: config.upstream.egress,
        upstream_keys: config.jwks.upstream_keys,
        relying_parties,
        opaque: config.tokens.opaque,
        audience: config.tokens.audience.clone(),
        warn_size: config.tokens.warn_size,
        certificate_header,
        geo: geo.unwrap_or_default(),
        service_account,
        late_signup: config.upstream.late_signup,
        metrics,
        telemetry: telemetry.unwrap_or_default(),
    }))
}

fn keep<T>(findings: &mut Vec<Misconfigured>, built: Result<T, Misconfigured>) -> Option<T> {
    built.map_err(|finding| findings.push(finding)).ok()
}
