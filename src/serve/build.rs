//! A configuration becomes a gate.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::{
    audit::Audit,
    clock::Clock,
    config::Config,
    exchange::Outside,
    gate::{Gate, Most, Parts},
    geo::Geo,
    interceptor::Interceptors,
    metrics::{Known, Metrics},
    misconfigured::Misconfigured,
    preset::Preset,
    refusal::Page,
    telemetry::Telemetry,
    upstream::{RelyingParties, ServiceAccount, Upstream},
};

/// The gate of a configuration, and the one before it, some of whose parts are used on.
pub(super) struct Before {
    pub(super) config: Arc<Config>,
    pub(super) gate: Arc<Gate>,
}

impl Before {
    /// Whether these sections, and the files that they name, are as they were.
    fn has_same(&self, config: &Config, sections: &[&str]) -> bool {
        let same = |section: &&str| config.says_the_same(section, &self.config, section);
        sections.iter().all(same)
    }

    /// Whether the upstream is the same one, seen from the same place.
    fn has_same_upstream(&self, config: &Config) -> bool {
        let outside = |config: &Config| {
            let listen = &config.listen;
            (
                listen.public_url.clone(),
                listen.names.clone(),
                listen.trusted_proxies.clone(),
            )
        };
        self.has_same(config, &["upstream."]) && outside(config) == outside(&self.config)
    }
}

/// All parts of the gate, or all that is wrong with their settings. What did not change since the configuration before is used on.
pub(super) fn build(config: &Config, clock: Clock, before: Option<&Before>) -> Result<Arc<Gate>, Vec<Misconfigured>> {
    let base = &config.base;
    let mut findings = Vec::new();
    let listen = &config.listen;
    let outside = keep(
        &mut findings,
        Outside::new(&listen.public_url, &listen.names, &listen.trusted_proxies),
    );
    let preset = keep(&mut findings, config.preset());
    let addresses = config.upstream.address_names();
    let metrics = match before {
        Some(before) => before.gate.metrics.clone(),
        None => preset.as_ref().map_or_else(Metrics::default, |preset| {
            Metrics::new(&known(config, preset, &addresses))
        }),
    };
    let same_upstream = before.filter(|before| before.has_same_upstream(config));
    let upstream = match same_upstream {
        Some(before) => Ok(before.gate.upstream.clone()),
        None => Upstream::new(&config.upstream, base).map(|upstream| upstream.counted(metrics.clone())),
    };
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
    let geo = match before.filter(|before| before.has_same(config, &["geo."])) {
        Some(before) => Ok(before.gate.geo.clone()),
        None => Geo::open(&config.geo, base),
    };
    let geo = keep(&mut findings, geo);
    let same_telemetry = before
        .filter(|before| before.config.environment == config.environment && before.has_same(config, &["telemetry."]));
    let telemetry = match same_telemetry {
        Some(before) => Ok(before.gate.telemetry.clone()),
        None => Telemetry::start(&config.telemetry, &config.environment, base, metrics.clone()),
    };
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
        Ok(interceptors) => Some(match before {
            Some(before) => interceptors.succeeding(&before.gate.interceptors, |here, there| {
                let section = |index| format!("interceptor.{index}.");
                config.says_the_same(&section(here), &before.config, &section(there))
            }),
            None => interceptors,
        }),
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
    let metrics = match before {
        Some(_) => metrics.renamed(&known(config, &preset, &addresses)),
        None => metrics,
    };
    // Last, since it takes the lock of the store.
    let audit = match before {
        Some(before) => Ok(before.gate.audit.clone()),
        None => Audit::open_counted(&config.audit, base, clock.clone(), metrics.clone()),
    };
    let audit = audit.and_then(|audit| audit.under(&config.revision, &config.audit, base));
    let audit = audit.map_err(|finding| vec![finding])?;
    let preset = preset.below(upstream.base_path());
    if same_upstream.is_none() {
        let path = preset.issuer.discovery.as_str().replace("{realm}", "master");
        upstream.watch_health(&path, &outside.headers());
    }
    let parts = Parts {
        environment: config.environment.clone(),
        most: Most {
            requests: listen.max_requests,
            paused: listen.max_paused,
        },
        outside,
        preset,
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
        key_set_max_age: config.tokens.key_set_max_age(),
        warn_size: config.tokens.warn_size,
        certificate_header,
        geo: geo.unwrap_or_default(),
        service_account,
        late_signup: config.upstream.late_signup,
        metrics,
        telemetry: telemetry.unwrap_or_default(),
    };
    Ok(match before {
        Some(before) => Gate::succeeding(parts, &before.gate, same_upstream.is_some()),
        None => Gate::new(parts),
    })
}

/// What the configuration gives names to.
fn known<'c>(config: &'c Config, preset: &'c Preset, addresses: &'c [String]) -> Known<'c> {
    let interceptors = config.interceptors.iter();
    Known {
        interceptors: interceptors
            .map(|settings| (settings.name.as_str(), settings.trigger))
            .collect(),
        operations: preset.routes.iter().map(|route| route.name.as_str()).collect(),
        addresses: addresses.iter().map(String::as_str).collect(),
        sinks: config.audit.sinks.iter().map(|sink| sink.name.as_str()).collect(),
    }
}

fn keep<T>(findings: &mut Vec<Misconfigured>, built: Result<T, Misconfigured>) -> Option<T> {
    built.map_err(|finding| findings.push(finding)).ok()
}
