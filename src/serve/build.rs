//! A configuration becomes the gates of its upstreams.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::together::together;
use crate::{
    audit::Audit,
    clock::Clock,
    config::{Config, ConfigErrors},
    exchange::Outside,
    gate::{Gate, Gates, Most, Parts, Room},
    geo::Geo,
    interceptor::Interceptors,
    metrics::{Known, Metrics},
    misconfigured::Misconfigured,
    preset::Preset,
    refusal::Page,
    telemetry::Telemetry,
    token::Reissuer,
    upstream::{CertificateHeader, RelyingParties, ServiceAccount, Upstream},
};

/// The gates of a configuration, and the one before it, some of whose parts are used on.
pub(super) struct Before {
    pub(super) config: Arc<Config>,
    pub(super) gates: Arc<Gates>,
}

/// One upstream before.
#[derive(Clone, Copy)]
struct Predecessor<'b> {
    config: &'b Config,
    gate: &'b Arc<Gate>,
}

impl Before {
    /// The upstream of the same name.
    fn of(&self, config: &Config) -> Option<Predecessor<'_>> {
        let name = config.name();
        let gate = self.gates.named(name)?;
        let config = self.config.each().find(|before| before.name() == name)?;
        Some(Predecessor { config, gate })
    }

    /// Whether these sections, and the files that they name, are as they were.
    fn has_same(&self, config: &Config, section: &str) -> bool {
        config.says_the_same(section, &self.config, section)
    }
}

impl Predecessor<'_> {
    /// Whether the upstream is the same one, seen from the same place.
    fn is_same_upstream(&self, config: &Config) -> bool {
        let outside = |config: &Config| {
            let listen = &config.listen;
            (
                listen.public_url.clone(),
                listen.names.clone(),
                listen.trusted_proxies.clone(),
            )
        };
        config.says_the_same("upstream.", self.config, "upstream.") && outside(config) == outside(self.config)
    }
}

/// All parts of the gates, or all that is wrong with their settings. What did not change since the configuration before is used on.
pub(super) fn build(config: &Config, clock: Clock, before: Option<&Before>) -> Result<Arc<Gates>, ConfigErrors> {
    let mut errors = Vec::new();
    let mut metrics = before.map(|before| before.gates.first().metrics.clone());
    let mut drafts = Vec::new();
    for one in config.each() {
        let preset = keep(&mut errors, one, one.preset().map_err(|wrong| vec![wrong]));
        let own = counted(one, preset.as_ref(), metrics.as_ref());
        metrics.get_or_insert_with(|| own.clone());
        let predecessor = before.and_then(|before| before.of(one));
        // Without its preset, too: everything that is wrong is said at once.
        let draft = Draft::build(one, preset, own, &clock, predecessor);
        drafts.extend(keep(&mut errors, one, draft));
    }
    errors.extend(config.shared_keys());
    let metrics = metrics.unwrap_or_default();
    let watching = keep(&mut errors, config, watching(config, &metrics, before));
    let (geo, telemetry) = match (errors.into_iter().reduce(ConfigErrors::and), watching) {
        (None, Some(watching)) => watching,
        (errors, _) => return Err(errors.unwrap_or_else(|| config.errors(&[]))),
    };
    // Last, since it takes the lock of the store.
    let audit = match before {
        Some(before) => Ok(before.gates.first().audit.clone()),
        None => Audit::open_counted(&config.audit, &config.base, clock.clone(), metrics.clone()),
    };
    let audit = audit.and_then(|audit| audit.under(&config.revision, &config.audit, &config.base));
    let audit = audit.map_err(|finding| config.errors(&[finding]))?;
    let most = Most {
        requests: config.listen.max_requests,
        paused: config.listen.max_paused,
    };
    let room = match before {
        Some(before) => before.gates.first().room.clone().with(most, metrics.clone()),
        None => Room::new(most, metrics.clone()),
    };
    let process = Process {
        room,
        audit,
        clock,
        geo,
        telemetry,
    };
    let mut gates = drafts.into_iter().map(|draft| draft.gate(&process));
    // There is a draft for each upstream, and one upstream at least.
    let first = gates.next().ok_or_else(|| config.errors(&[]))?;
    Ok(Arc::new(Gates::new(first, gates.collect())))
}

/// What a process has once, for all upstreams.
struct Process {
    room: Room,
    audit: Audit,
    clock: Clock,
    geo: Geo,
    telemetry: Telemetry,
}

fn watching(
    config: &Config,
    metrics: &Metrics,
    before: Option<&Before>,
) -> Result<(Geo, Telemetry), Vec<Misconfigured>> {
    let base = &config.base;
    let mut findings = Vec::new();
    let geo = match before.filter(|before| before.has_same(config, "geo.")) {
        Some(before) => Ok(before.gates.first().geo.clone()),
        None => Geo::open(&config.geo, base),
    };
    let geo = found(&mut findings, geo);
    let same_telemetry = before
        .filter(|before| before.config.environment == config.environment && before.has_same(config, "telemetry."));
    let telemetry = match same_telemetry {
        Some(before) => Ok(before.gates.first().telemetry.clone()),
        None => Telemetry::start(&config.telemetry, &config.environment, base, metrics.clone()),
    };
    let telemetry = found(&mut findings, telemetry);
    geo.zip(telemetry).ok_or(findings)
}

/// What is one upstream's own, ready to become its gate.
struct Draft<'b, 'c> {
    config: &'c Config,
    before: Option<Predecessor<'b>>,
    is_same_upstream: bool,
    metrics: Metrics,
    outside: Outside,
    preset: Preset,
    upstream: Upstream,
    interceptors: Interceptors,
    reissuer: Reissuer,
    page: Page,
    relying_parties: RelyingParties,
    certificate_header: CertificateHeader,
    service_account: Option<ServiceAccount>,
}

impl<'b, 'c> Draft<'b, 'c> {
    fn build(
        config: &'c Config,
        preset: Option<Preset>,
        metrics: Metrics,
        clock: &Clock,
        before: Option<Predecessor<'b>>,
    ) -> Result<Self, Vec<Misconfigured>> {
        let base = &config.base;
        let mut findings = Vec::new();
        let listen = &config.listen;
        let outside = found(
            &mut findings,
            Outside::new(&listen.public_url, &listen.names, &listen.trusted_proxies),
        );
        let same_upstream = before.filter(|before| before.is_same_upstream(config));
        let upstream = match same_upstream {
            Some(before) => Ok(before.gate.upstream.clone()),
            None => Upstream::new(&config.upstream, base).map(|upstream| upstream.counted(metrics.clone())),
        };
        let upstream = found(&mut findings, upstream);
        let reissuer = found(&mut findings, config.tokens.reissuer(base));
        let service_account = match (&config.upstream.service_account, &outside, &upstream, &preset) {
            (Some(settings), Some(outside), Some(upstream), Some(preset)) => {
                let mut headers = HeaderMap::new();
                outside.stamp(&mut headers, None);
                let accounts = preset.clone().below(upstream.base_path()).accounts;
                found(
                    &mut findings,
                    ServiceAccount::new(settings, accounts.as_ref(), upstream, headers, base),
                )
            }
            _ => None,
        };
        let certificate_header = found(&mut findings, config.upstream.client_certificate_header.header());
        if let Some(tls) = listen.tls.as_ref().filter(|_| config.name().is_some()) {
            // The listener reads them all, and would not know whose a wrong one is.
            found(&mut findings, tls.acceptor(base));
        }
        let page = match &config.denial.page {
            Some(path) => found(&mut findings, Page::read(&base.join(path))),
            None => Some(Page::default()),
        };
        let relying_parties = RelyingParties::build(&config.logouts, config.upstream.ca.as_deref(), base);
        let relying_parties = relying_parties.map_err(|wrong| findings.extend(wrong)).ok();
        let interceptors = Interceptors::build(&config.interceptors, config.consult_budget, base, clock.clone());
        let interceptors = interceptors.map_err(|wrong| findings.extend(wrong)).ok();
        let (
            Some(outside),
            Some(preset),
            Some(upstream),
            Some(reissuer),
            Some(page),
            Some(interceptors),
            Some(relying_parties),
            Some(certificate_header),
            true,
        ) = (
            outside,
            preset,
            upstream,
            reissuer,
            page,
            interceptors,
            relying_parties,
            certificate_header,
            findings.is_empty(),
        )
        else {
            return Err(findings);
        };
        let interceptors = match before {
            Some(before) => interceptors.succeeding(&before.gate.interceptors, |here, there| {
                let section = |index| format!("interceptor.{index}.");
                config.says_the_same(&section(here), before.config, &section(there))
            }),
            None => interceptors,
        };
        Ok(Self {
            config,
            before,
            is_same_upstream: same_upstream.is_some(),
            metrics,
            outside,
            preset,
            upstream,
            interceptors,
            reissuer,
            page,
            relying_parties,
            certificate_header,
            service_account,
        })
    }

    fn gate(self, process: &Process) -> Arc<Gate> {
        let config = self.config;
        let preset = self.preset.below(self.upstream.base_path());
        if !self.is_same_upstream {
            let path = preset.issuer.discovery.as_str().replace("{realm}", "master");
            self.upstream.watch_health(&path, &self.outside.headers());
        }
        let parts = Parts {
            environment: config.environment.clone(),
            upstream_name: config.name().map(Arc::from),
            room: process.room.clone(),
            outside: self.outside,
            preset,
            upstream: self.upstream,
            interceptors: self
                .interceptors
                .counting_with(together(&config.environment, config.name(), &process.audit)),
            reissuer: self.reissuer,
            audit: process.audit.of_upstream(config.name()),
            clock: process.clock.clone(),
            denied: StatusCode::from_u16(config.denial.status).unwrap_or(StatusCode::BAD_REQUEST),
            page: self.page,
            learn: config.upstream.learn,
            signup_attributes: config.upstream.signup_attributes.clone(),
            require_reissued: config.tokens.require_reissued,
            egress: config.upstream.egress,
            upstream_keys: config.jwks.upstream_keys,
            relying_parties: self.relying_parties,
            opaque: config.tokens.opaque,
            audience: config.tokens.audience.clone(),
            key_set_max_age: config.tokens.key_set_max_age(),
            warn_size: config.tokens.warn_size,
            certificate_header: self.certificate_header,
            geo: process.geo.clone(),
            service_account: self.service_account,
            late_signup: config.upstream.late_signup,
            metrics: self.metrics,
            telemetry: process.telemetry.clone(),
        };
        match self.before {
            Some(before) => Gate::succeeding(parts, before.gate, self.is_same_upstream),
            None => Gate::new(parts),
        }
    }
}

/// The series of an upstream, with those of others in one process.
fn counted(config: &Config, preset: Option<&Preset>, others: Option<&Metrics>) -> Metrics {
    let addresses = config.upstream.address_names();
    let interceptors = config.interceptors.iter();
    let known = Known {
        upstream: config.name(),
        interceptors: interceptors
            .map(|settings| (settings.name.as_str(), settings.trigger))
            .collect(),
        operations: preset
            .iter()
            .flat_map(|preset| &preset.routes)
            .map(|route| route.name.as_str())
            .collect(),
        addresses: addresses.iter().map(String::as_str).collect(),
        sinks: config.audit.sinks.iter().map(|sink| sink.name.as_str()).collect(),
    };
    match others {
        Some(others) => others.of(&known),
        None => Metrics::new(&known),
    }
}

fn found<T>(findings: &mut Vec<Misconfigured>, built: Result<T, Misconfigured>) -> Option<T> {
    built.map_err(|finding| findings.push(finding)).ok()
}

fn keep<T>(errors: &mut Vec<ConfigErrors>, config: &Config, built: Result<T, Vec<Misconfigured>>) -> Option<T> {
    built.map_err(|findings| errors.push(config.errors(&findings))).ok()
}
