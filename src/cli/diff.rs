//! `tollgate diff`: what would change if this configuration took the place of the one that runs.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use clap::Args;
use http::{HeaderValue, Request, StatusCode, header};

use super::{
    block_on, load,
    outcome::{Outcome, Stop},
    paint::Paint,
};
use crate::{
    body,
    config::{Change, Config, Description, How},
    upstream::{self, Upstream},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Compare with this file instead of with the running Tollgate
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    against: Option<PathBuf>,
    /// Where the running one's dashboard is, such as https://tollgate.example.com; by `[admin]` if left out
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

/// Prints each key that is different. The answer is no when there is one.
pub(super) fn run(config: &Config, arguments: &Arguments, out: &mut impl Write) -> Result<Outcome, Stop> {
    let changes = match &arguments.against {
        Some(other) => config.changes_since(&load(other)?),
        None => {
            let running = block_on(running(config, arguments.admin.as_deref()))??;
            let own = config.description();
            writeln!(out, "runs {}, here {}", running.revision, own.revision)?;
            if !own.is_comparable_with(&running) {
                writeln!(
                    out,
                    "The capsule secrets are different, so it cannot be seen which files have other contents."
                )?;
            }
            own.changes_since(&running)
        }
    };
    let paint = Paint::for_stdout();
    for change in &changes {
        show(change, &paint, out)?;
    }
    if changes.iter().any(|change| change.needs_restart) {
        writeln!(
            out,
            "\nA running Tollgate refuses this configuration as a whole: what needs a restart counts only from a start on."
        )?;
    }
    if changes.is_empty() {
        writeln!(out, "No setting and no file is different.")?;
    }
    Ok(changes.is_empty().into())
}

fn show(change: &Change, paint: &Paint, out: &mut impl Write) -> Result<(), Stop> {
    let key = paint.bold(&change.key);
    let late = if change.needs_restart { "   needs a restart" } else { "" };
    match &change.how {
        How::Added(value) => writeln!(out, "+ {key} = {value}{late}")?,
        How::Removed(value) => writeln!(out, "- {key} = {value}{late}")?,
        How::Changed(before, value) => writeln!(out, "~ {key} = {before} -> {value}{late}")?,
        How::Contents => writeln!(out, "~ {key}: other contents{late}")?,
    }
    Ok(())
}

/// What runs, asked from its dashboard.
async fn running(config: &Config, admin: Option<&str>) -> Result<Description, Stop> {
    let url = match admin {
        Some(url) => url.to_owned(),
        None => address(config),
    };
    let failed = |why: String| {
        Stop::Ours(format!(
            "the running Tollgate cannot be asked at {url}: {why}\n\
             hint: `--admin URL` says where its dashboard is; `--against FILE` compares two files"
        ))
    };
    let asked = client(config, &url)?;
    let mut request = Request::get("/configuration.json")
        .header(header::HOST, authority(&url))
        .body(body::empty())
        .map_err(|e| failed(e.to_string()))?;
    if let Some(token) = &config.admin.token {
        let token = token.read(&config.base).map_err(|e| failed(e.to_string()))?;
        let bearer = [b"Bearer ".as_slice(), token.expose()].concat();
        let mut bearer = HeaderValue::from_bytes(&bearer).map_err(|_| failed("the token is no header".into()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let answer = asked.call(request).await.map_err(|e| failed(e.to_string()))?;
    match answer.status() {
        StatusCode::OK => {
            let read = serde_json::from_slice(answer.body());
            read.map_err(|_| failed("its answer is not that of a Tollgate of this version".into()))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SEE_OTHER => Err(failed(
            "it wants somebody to log in; `admin.token` in the configuration lets this command in".into(),
        )),
        status => Err(failed(format!("it answers {status}"))),
    }
}

/// Connections to a dashboard are like those to a provider: bounded, and by the same rules of trust.
fn client(config: &Config, url: &str) -> Result<Upstream, Stop> {
    let ours = |e: &dyn std::fmt::Display| Stop::Usage(format!("`{url}` is no address of a dashboard: {e}"));
    let mut table = toml::Table::new();
    table.insert("url".into(), url.into());
    if let Some(tls) = &config.admin.tls {
        // Signed by itself, as often as not.
        let own = config.base.join(&tls.certificate);
        table.insert("ca".into(), own.to_string_lossy().into_owned().into());
    }
    let settings: upstream::Settings = table.try_into().map_err(|e| ours(&e))?;
    Upstream::new(&settings, &config.base).map_err(|e| ours(&e))
}

fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// Where the dashboard is by the configuration.
fn address(config: &Config) -> String {
    if let Some(public) = &config.admin.public_url {
        return public.clone();
    }
    let scheme = if config.admin.tls.is_some() { "https" } else { "http" };
    let address = config.admin.address;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}
