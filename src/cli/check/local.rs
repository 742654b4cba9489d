//! What can be checked without a network.

use std::{fs, io::Write, path::Path, slice};

use jiff::Timestamp;

use super::{super::outcome::Stop, findings::Findings, routes};
use crate::{
    clock::Clock,
    config::Config,
    event::{Event, Trigger},
    exchange::Outside,
    geo::Geo,
    interceptor::{self, Interceptors, Policy, sample},
    preset::{Console, Preset},
    refusal::Page,
    route::Protocol,
    token::{Publish, State},
    upstream::{Egress, Saml},
};

pub(super) fn listener(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let listen = &config.listen;
    match Outside::new(&listen.public_url, &listen.names, &listen.trusted_proxies) {
        Ok(outside) => findings.ok("public URL", outside.origin())?,
        Err(wrong) => findings.misconfigured("public URL", &wrong)?,
    }
    match &listen.tls {
        Some(tls) => match tls.acceptor(&config.base) {
            Ok(_) => findings.ok("TLS", format!("`{}` and its key", tls.certificate.display())),
            Err(wrong) => findings.misconfigured("TLS", &wrong),
        },
        None if !listen.address.ip().is_loopback() => findings.warn(
            "TLS",
            format!("{} is reachable from other machines without TLS", listen.address),
            "set `listen.tls`, or let a proxy end TLS and name it in `listen.trusted_proxies`",
        ),
        None => findings.note(
            "TLS",
            format!("none; {} is reachable from this machine only", listen.address),
        ),
    }
}

pub(super) fn keys(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let folder = config.base.join(&config.tokens.keys);
    match config.tokens.ring(&config.base) {
        Ok(ring) => {
            let listed = ring.list(Timestamp::now());
            let signing = listed.iter().filter(|key| key.state == State::Signing).count();
            findings.ok(
                "signing keys",
                format!("{signing} of {} keys in `{}` sign", listed.len(), folder.display()),
            )?;
        }
        Err(wrong) => {
            findings.misconfigured("signing keys", &wrong)?;
            // The rest of `[tokens]` is judged together with the keys; without them, only that the secret is there.
            let secret = &config.tokens.capsule_secret;
            return match config.tokens.capsule_secrets(&config.base) {
                Ok(_) => findings.ok("capsule secret", secret.to_string()),
                Err(error) => findings.fail("capsule secret", error.to_string(), "`tollgate keys init` makes it"),
            };
        }
    }
    match config.tokens.reissuer(&config.base) {
        Ok(_) => findings.ok("capsule secret", config.tokens.capsule_secret.to_string()),
        Err(wrong) => findings.misconfigured("tokens", &wrong),
    }
}

/// What the operator chose to do without.
pub(super) fn nets(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    if config.jwks.upstream_keys == Publish::Include {
        findings.warn(
            "key set",
            "`jwks.upstream_keys = \"include\"` publishes the provider's keys: a token that got around Tollgate verifies, though no interceptor was asked about it",
            "keep the provider unreachable for clients, or write `omit`; `[[logout]]` relays back-channel logout without its keys",
        )?;
    }
    if config.upstream.egress != Egress::Block {
        findings.warn(
            "egress",
            "a token of the provider's own that comes out where no route expects it is not stopped",
            "write `egress = \"block\"` in [upstream]",
        )?;
    }
    if !config.tokens.require_reissued {
        findings.warn(
            "native tokens",
            "`tokens.require_reissued = false` takes tokens that no interceptor was asked about",
            "write `true` when the log counts none any more",
        )?;
    }
    Ok(())
}

pub(super) fn dashboard(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let admin = &config.admin;
    for wrong in admin.check(&config.base) {
        findings.misconfigured("dashboard", &wrong)?;
    }
    match &admin.tls {
        Some(tls) => {
            if let Err(wrong) = tls.acceptor(&config.base) {
                findings.misconfigured("dashboard", &wrong)?;
            }
        }
        None if !admin.address.ip().is_loopback() && !admin.is_https() => findings.warn(
            "dashboard",
            format!(
                "{} is reachable from other machines without TLS: tokens and sessions can be read on the way",
                admin.address
            ),
            "set `admin.tls`, or let a proxy end TLS and write its address as `admin.public_url`",
        )?,
        None => {}
    }
    let who = match (admin.is_open(), &admin.login) {
        (true, _) => "whoever is on this machine",
        (false, Some(_)) => "who logs in",
        (false, None) => "the bearer of the token",
    };
    findings.note("dashboard", format!("{}, for {who}", admin.address))
}

/// Looks whether the store could be written, and makes none: that would belong to whoever runs the check.
pub(super) fn audit(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    if let Err(wrong) = config.audit.check(&config.base) {
        return findings.misconfigured("audit", &wrong);
    }
    let path = match config.audit.file(&config.base) {
        Ok(Some(path)) => path,
        Ok(None) => {
            return match config.audit.probe(&config.base) {
                Ok(database) => findings.ok("audit", format!("`{database}` can be written")),
                Err(wrong) => findings.misconfigured("audit", &wrong),
            };
        }
        Err(wrong) => return findings.misconfigured("audit", &wrong),
    };
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    let tried = if path.exists() {
        fs::OpenOptions::new().append(true).open(&path).map(drop)
    } else {
        tempfile_in(folder)
    };
    match tried {
        Ok(()) => findings.ok("audit", format!("`{}` can be written", path.display())),
        Err(error) => findings.fail(
            "audit",
            format!("`{}` cannot be written: {error}", path.display()),
            &format!("make the folder `{}`, and let this user write there", folder.display()),
        ),
    }
}

pub(super) fn page(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let Some(page) = &config.denial.page else { return Ok(()) };
    match Page::read(&config.base.join(page)) {
        Ok(_) => findings.ok("denial page", format!("`{}`", page.display())),
        Err(wrong) => findings.misconfigured("denial page", &wrong),
    }
}

/// The interceptors, if they can be built; each one that cannot is named.
pub(super) fn interceptors(
    config: &Config,
    findings: &mut Findings<'_, impl Write>,
) -> Result<Option<Interceptors>, Stop> {
    if config.interceptors.is_empty() {
        findings.warn(
            "interceptors",
            "there are none, so everything is allowed",
            "add an `[[interceptor]]`; `proxy.toml` in the repository has examples",
        )?;
    }
    let built = Interceptors::build(
        &config.interceptors,
        config.consult_budget,
        &config.base,
        Clock::system(),
    );
    match built {
        Ok(interceptors) => {
            for trigger in Trigger::ALL {
                let names: Vec<_> = interceptors
                    .for_trigger(trigger)
                    .map(|i| format!("`{}`", i.name()))
                    .collect();
                if !names.is_empty() {
                    findings.ok("interceptors", format!("{trigger}: {}", names.join(", then ")))?;
                }
            }
            Ok(Some(interceptors))
        }
        Err(wrong) => {
            for wrong in &wrong {
                findings.misconfigured("interceptors", wrong)?;
            }
            Ok(None)
        }
    }
}

/// An interceptor that may keep the operator out of the admin console of their own provider.
pub(super) fn lock_out(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let Some(console) = config.preset().ok().and_then(|preset| preset.console) else {
        return Ok(());
    };
    let risky = config.interceptors.iter().filter(|settings| {
        settings.enabled
            && matches!(
                settings.trigger,
                Trigger::PreSessionCreation | Trigger::PreUserInvitation
            )
            && (settings.on_failure() == Policy::Deny || settings.on_invalid == Policy::Deny)
    });
    for settings in risky {
        if covers(config, settings, &console) {
            findings.warn(
                "lock-out",
                format!(
                    "`{}` also decides about the realm `{}`: while it denies, nobody gets into the admin console",
                    settings.name, console.realm
                ),
                &format!("add `unless = {{ realms = [\"{}\"] }}` to it", console.realm),
            )?;
        }
    }
    Ok(())
}

/// The preset, if it can be loaded with the operator's routes.
pub(super) fn preset(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<Option<Preset>, Stop> {
    match config.preset() {
        Ok(preset) => {
            let own = match config.routes.len() {
                0 => String::new(),
                count => format!(", with {count} of `[[route]]`"),
            };
            findings.ok(
                "preset",
                format!("{}: {} routes{own}", preset.summary, preset.routes.len()),
            )?;
            for limit in &preset.limits {
                findings.note("out of reach", limit)?;
            }
            routes::check(config, &preset, findings)?;
            if config.upstream.learn {
                findings.note(
                    "learning",
                    "routes for requests that look as if they should have one are printed to standard output",
                )?;
            }
            Ok(Some(preset))
        }
        Err(wrong) => {
            findings.misconfigured("preset", &wrong)?;
            Ok(None)
        }
    }
}

pub(super) fn geo(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    match Geo::open(&config.geo, &config.base) {
        Ok(geo) => match geo.description() {
            Some((kind, built)) => {
                let built = Timestamp::from_second(i64::try_from(built).unwrap_or_default()).unwrap_or_default();
                findings.ok(
                    "places",
                    format!("a database of the type {kind}, built {}", built.strftime("%F")),
                )
            }
            None => Ok(()),
        },
        Err(wrong) => findings.misconfigured("places", &wrong),
    }
}

pub(super) fn telemetry(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    match config.telemetry.check(&config.base) {
        Ok(Some(url)) => findings.ok("traces", format!("go to {url}")),
        Ok(None) => Ok(()),
        Err(wrong) => findings.misconfigured("traces", &wrong),
    }
}

/// Whether SAML goes past the interceptors of sessions.
pub(super) fn saml(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let sessions =
        |settings: &interceptor::Settings| settings.enabled && settings.trigger == Trigger::PreSessionCreation;
    let asked = config.interceptors.iter().any(sessions);
    let speaks_saml = |preset: Preset| preset.routes.iter().any(|route| route.protocol == Some(Protocol::Saml));
    // Of all its rows, also those that are not in force.
    let preset = Preset::load(&config.upstream.preset, &config.base, &config.routes);
    if !preset.is_ok_and(speaks_saml) {
        return Ok(());
    }
    let why = match config.upstream.saml {
        Some(_) => "as `upstream.saml` says",
        None if asked => "by the `on_failure` of the PRE_SESSION_CREATION interceptors",
        None => "since there is no PRE_SESSION_CREATION interceptor",
    };
    match config.saml() {
        Saml::Block => findings.ok("SAML", format!("refused, {why}")),
        Saml::Allow if asked && config.upstream.saml.is_none() => findings.warn(
            "SAML",
            format!("passes, {why}: nobody is asked about its sessions"),
            "write `saml = \"block\"` in `[upstream]`, or `saml = \"allow\"` if that is meant",
        ),
        Saml::Allow => findings.note("SAML", format!("passes, {why}")),
    }
}

/// Whether it would be asked when an administrator logs in to, or acts in, the provider's console. One that cannot be built
/// is reported elsewhere.
fn covers(config: &Config, settings: &interceptor::Settings, console: &Console) -> bool {
    let (
        Event {
            trigger,
            mut context,
            data,
        },
        _,
    ) = sample(settings.trigger, Timestamp::now());
    context.realm = Some(console.realm.clone());
    context.client_id = Some(console.client_id.clone());
    context.ip_address = None;
    let event = Event { trigger, context, data };
    Interceptors::build(
        slice::from_ref(settings),
        config.consult_budget,
        &config.base,
        Clock::system(),
    )
    .is_ok_and(|alone| alone.applies(&event))
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".tollgate-check-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(&probe)
}
