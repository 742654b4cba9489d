//! Whether the upstream is there and calls itself what clients will call it.

use std::{collections::BTreeSet, io::Write};

use http::{Request, StatusCode, Uri};
use serde_json::Value;

use super::{super::outcome::Stop, findings::Findings};
use crate::{
    body,
    config::Config,
    exchange::Outside,
    json,
    preset::Preset,
    token::UpstreamKeys,
    upstream::{Upstream, UpstreamError},
};

pub(super) async fn check(
    config: &Config,
    preset: &Preset,
    realms: &[String],
    findings: &mut Findings<'_, impl Write>,
) -> Result<(), Stop> {
    let upstream = match Upstream::new(&config.upstream, &config.base) {
        Ok(upstream) => upstream,
        Err(wrong) => return findings.misconfigured("upstream", &wrong),
    };
    let listen = &config.listen;
    let Ok(outside) = Outside::new(&listen.public_url, &listen.names, &listen.trusted_proxies) else {
        return findings.note("upstream", "not looked at: the public URL comes first");
    };
    let preset = preset.clone().below(upstream.base_path());
    let has_realms = preset.issuer.discovery.as_str().contains("{realm}");
    let realms = if has_realms {
        realms_of(config, &preset, realms)
    } else {
        BTreeSet::from([String::new()])
    };
    if realms.is_empty() {
        return findings.note("upstream", "not looked at: `--realm NAME` names an issuer of it");
    }
    let (mut there, mut away) = (false, 0);
    if let Some(realm) = realms.first() {
        let path = preset.issuer.discovery.as_str().replace("{realm}", realm);
        away = addresses(config, &path, &outside, findings).await?;
    }
    if away > 0 && away == config.upstream.addresses.len() {
        return Ok(());
    }
    let service = super::service::build(config, &preset, &upstream, &outside, findings)?;
    for realm in &realms {
        let subject = if has_realms {
            format!("realm {realm}")
        } else {
            "issuer".to_owned()
        };
        let path = preset.issuer.discovery.as_str().replace("{realm}", realm);
        let discovery = match fetch(&upstream, &path, &outside).await {
            Err(UpstreamError::Unreachable(_) | UpstreamError::Timeout(_)) if !there => {
                return unreachable(config, findings);
            }
            Err(error) => {
                there = true;
                findings.fail(
                    &subject,
                    format!("there is no discovery document at `{path}`: {error}"),
                    "see that `upstream.url` and `upstream.preset` fit the provider, and that the realm exists",
                )?;
                continue;
            }
            Ok(bytes) => json::parse(&bytes).unwrap_or(Value::Null),
        };
        if !there {
            findings.ok("upstream", format!("{} answers", config.upstream.url))?;
        }
        there = true;
        let expected = preset.issuer.path.as_str().replace("{realm}", realm);
        issuer(
            &discovery,
            &outside.origin(),
            expected.trim_end_matches('/'),
            &preset,
            &subject,
            findings,
        )?;
        keys(&upstream, &discovery, &outside, &subject, findings).await?;
        algorithms(&discovery, &subject, findings)?;
        if let Some(service) = &service {
            super::service::check(service, realm, &subject, findings).await?;
        }
    }
    Ok(())
}

/// Asks each of several addresses by itself, and says how many cannot be used.
async fn addresses(
    config: &Config,
    path: &str,
    outside: &Outside,
    findings: &mut Findings<'_, impl Write>,
) -> Result<usize, Stop> {
    let mut away = 0;
    for address in &config.upstream.addresses {
        let mut alone = config.upstream.clone();
        alone.addresses = vec![address.clone()];
        let subject = format!("address {address}");
        let upstream = match Upstream::new(&alone, &config.base) {
            Ok(upstream) => upstream,
            Err(wrong) => {
                findings.misconfigured(&subject, &wrong)?;
                continue;
            }
        };
        match fetch(&upstream, path, outside).await {
            Ok(_) => findings.ok(&subject, format!("the discovery document at `{path}` is there"))?,
            Err(error) => {
                away += 1;
                findings.fail(
                    &subject,
                    format!("the discovery document at `{path}` does not come from it: {error}"),
                    "start the provider there, or take the address out of `upstream.addresses`",
                )?;
            }
        }
    }
    Ok(away)
}

/// The realms to look at: those asked for, or those that interceptors name, or that of the console, which is always there.
fn realms_of(config: &Config, preset: &Preset, asked: &[String]) -> BTreeSet<String> {
    if !asked.is_empty() {
        return asked.iter().cloned().collect();
    }
    let named = config.interceptors.iter().flat_map(|settings| &settings.when.realms);
    let mut realms: BTreeSet<String> = named.filter(|realm| !realm.contains('*')).cloned().collect();
    if realms.is_empty() {
        realms.extend(preset.console.iter().map(|console| console.realm.clone()));
    }
    realms
}

fn unreachable(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    findings.fail(
        "upstream",
        format!("{} does not answer", config.upstream.url),
        "start the provider, or correct `upstream.url`",
    )
}

fn issuer(
    discovery: &Value,
    origin: &str,
    path: &str,
    preset: &Preset,
    subject: &str,
    findings: &mut Findings<'_, impl Write>,
) -> Result<(), Stop> {
    let set_by = preset
        .issuer
        .set_by
        .as_ref()
        .map(|how| format!("; {}", how.replace("{origin}", origin)));
    let expected = format!("{origin}{path}");
    match discovery.get("issuer").and_then(Value::as_str) {
        Some(issuer) if issuer.trim_end_matches('/') == expected => {
            findings.ok(subject, format!("its issuer is {issuer}"))
        }
        Some(issuer) => findings.fail(
            subject,
            format!("it calls itself `{issuer}`, and clients will look for `{expected}`"),
            &format!(
                "let the provider call itself by the public URL{}",
                set_by.unwrap_or_default()
            ),
        ),
        None => findings.fail(
            subject,
            "its discovery document names no `issuer`",
            "see that `upstream.url` and `upstream.preset` fit the provider",
        ),
    }
}

async fn keys(
    upstream: &Upstream,
    discovery: &Value,
    outside: &Outside,
    subject: &str,
    findings: &mut Findings<'_, impl Write>,
) -> Result<(), Stop> {
    let mend = "tokens cannot be verified without the provider's keys; see what it answers there";
    let uri = discovery
        .get("jwks_uri")
        .and_then(Value::as_str)
        .and_then(|uri| uri.parse::<Uri>().ok());
    let Some(path) = uri.as_ref().map(Uri::path) else {
        return findings.fail(subject, "its discovery document names no `jwks_uri`", mend);
    };
    match fetch(upstream, path, outside).await {
        Err(error) => findings.fail(
            subject,
            format!("its keys at `{path}` cannot be fetched: {error}"),
            mend,
        ),
        Ok(bytes) => match UpstreamKeys::parse(&bytes) {
            Ok(keys) if keys.is_empty() => findings.fail(subject, format!("its keys at `{path}` verify nothing"), mend),
            Ok(_) => findings.ok(subject, format!("its keys at `{path}` can be read")),
            Err(error) => findings.fail(subject, format!("its keys at `{path}` cannot be read: {error}"), mend),
        },
    }
}

/// ID tokens that a client may ask for and that cannot be signed again.
fn algorithms(discovery: &Value, subject: &str, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let list = |name: &str| {
        discovery
            .get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let mut kinds: Vec<String> = list("id_token_signing_alg_values_supported")
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| name.starts_with("HS") || *name == "none")
        .map(str::to_owned)
        .collect();
    if !list("id_token_encryption_alg_values_supported").is_empty() {
        kinds.push("encryption".to_owned());
    }
    if kinds.is_empty() {
        return Ok(());
    }
    findings.warn(
        subject,
        format!("it offers ID tokens that cannot be signed again: {}", kinds.join(", ")),
        "see that no client is registered for one of these; its tokens would be refused",
    )
}

async fn fetch(upstream: &Upstream, path: &str, outside: &Outside) -> Result<Vec<u8>, UpstreamError> {
    let mut request = Request::new(body::empty());
    *request.uri_mut() = path
        .parse()
        .map_err(|_| UpstreamError::Broken("its path is no path".to_owned()))?;
    outside.stamp(request.headers_mut(), None);
    let answer = upstream.call(request).await?;
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body().into()),
        status => Err(UpstreamError::Status(status)),
    }
}
