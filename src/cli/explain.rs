//! `tollgate explain`: what would become of a request, without sending it anywhere.

mod asked;
mod record;

use std::{io::Write, path::PathBuf};

use clap::Args;
use http::{Method, Uri};
use serde_json::Value;

use super::{
    outcome::{Outcome, Stop},
    paint::Paint,
};
use crate::{
    config::Config,
    form::Form,
    gate::preview::{Explanation, Found, Question, deed, denial, explain},
    json,
    preset::Preset,
    route::Action,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The request's method, such as POST
    #[arg(required_unless_present = "record")]
    method: Option<Method>,
    /// Its URL, or its path and query
    #[arg(required_unless_present = "record")]
    url: Option<Uri>,
    /// The upstream, by its name; left out, that of the URL's host, or all of them where the URL has none
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// A recording of a browser (HAR, or `-` for the standard input): which of its requests no route fits though they look like a
    /// signup, an invitation or tokens, each with a `[[route]]` for it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "url", "form", "json", "header"])]
    record: Option<PathBuf>,
    /// A field of its form, as often as needed
    #[arg(long, value_name = "NAME=VALUE", value_parser = field)]
    form: Vec<(String, String)>,
    /// Its body, where that is JSON
    #[arg(long, value_name = "TEXT", value_parser = document, conflicts_with = "form")]
    json: Option<Value>,
    /// One of its headers, as often as needed
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
}

/// Prints which route it is and who would be asked. The answer is no where the request would be refused.
pub(super) fn run(config: &Config, arguments: &Arguments, out: &mut impl Write) -> Result<Outcome, Stop> {
    let host = arguments
        .url
        .as_ref()
        .and_then(Uri::authority)
        .map(|host| host.as_str());
    let chosen = match &arguments.upstream {
        Some(name) => vec![super::named(config, name)?],
        None if arguments.record.is_some() && config.has_several() => {
            return Err(Stop::Usage(
                "which upstream is the recording of? Say it with `--upstream NAME`".to_owned(),
            ));
        }
        None => config.of_host(host),
    };
    if chosen.is_empty() {
        writeln!(
            out,
            "refused       421, before anything is asked: no upstream has the host `{}`",
            host.unwrap_or_default()
        )?;
        return Ok(Outcome::No);
    }
    let mut outcome = Outcome::Well;
    for (at, one) in chosen.into_iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        if explain_one(one, config.has_several(), arguments, out)? == Outcome::No {
            outcome = Outcome::No;
        }
    }
    Ok(outcome)
}

/// What would become of it at one upstream.
fn explain_one(
    config: &Config,
    has_several: bool,
    arguments: &Arguments,
    out: &mut impl Write,
) -> Result<Outcome, Stop> {
    if let Some(name) = config.name().filter(|_| has_several) {
        writeln!(out, "upstream      {name}, {}", config.listen.public_url)?;
    }
    let preset = config.preset().map_err(|wrong| config.errors([&wrong]))?;
    let base: Option<Uri> = config.upstream.url.parse().ok();
    let preset = preset.below(base.as_ref().map_or("", |uri| uri.path().trim_end_matches('/')));
    if let Some(recording) = &arguments.record {
        return record::run(config, &preset, recording, out);
    }
    let (method, url) = (
        arguments.method.clone().unwrap_or_default(),
        arguments.url.clone().unwrap_or_default(),
    );
    writeln!(out, "{}", Paint::for_stdout().bold(&format!("{method} {url}")))?;
    let mut form = Form::default();
    arguments.form.iter().for_each(|(name, value)| form.set(name, value));
    let question = Question {
        method,
        url,
        form,
        headers: arguments.header.clone(),
        json: arguments.json.clone(),
        ..Question::default()
    };
    let (perhaps, found) = match explain(&preset, &config.environment, &question) {
        Explanation::Unreadable(why) => {
            writeln!(out, "refused       400, before anything is asked: {why}")?;
            return Ok(Outcome::No);
        }
        Explanation::UnreadableQuery(why) => {
            writeln!(out, "refused       400, if it is recognised: {why}")?;
            return Ok(Outcome::No);
        }
        Explanation::Undecided => {
            writeln!(
                out,
                "undecided     the paths of the preset `{}` come from the upstream's discovery document; only those of \
                 `[[route]]` are known here",
                preset.name
            )?;
            return Ok(Outcome::Well);
        }
        Explanation::WebSocket { listed } => {
            let word = if listed { "passes" } else { "refused" };
            writeln!(
                out,
                "{word:<13} a WebSocket; the preset `{}` lists its path: {listed}",
                preset.name
            )?;
            return Ok(listed.into());
        }
        Explanation::Routed { perhaps, found } => (perhaps, found),
    };
    for (route, name) in perhaps {
        writeln!(
            out,
            "perhaps       `{route}`, if the request carries the value `{name}`: Tollgate learns that from the upstream while it runs"
        )?;
    }
    match found {
        Some(found) => describe(config, &preset, &found, out),
        None => {
            writeln!(
                out,
                "passes        no route fits: it streams through unchanged, and tokens in it are mapped back"
            )?;
            Ok(Outcome::Well)
        }
    }
}

fn describe(config: &Config, preset: &Preset, found: &Found, out: &mut impl Write) -> Result<Outcome, Stop> {
    let route = &found.candidate.route;
    let own = config.routes.iter().any(|known| known.name == route.name);
    let from = if own {
        format!("`[[route]]` in {}", config.file())
    } else {
        format!("preset `{}`", preset.name)
    };
    writeln!(
        out,
        "route         `{}` of {from}: the path is `{}`{}",
        route.name,
        route.path.as_str(),
        found
            .sign
            .as_ref()
            .map(|sign| format!(", and {sign}"))
            .unwrap_or_default()
    )?;
    if let Some(summary) = &route.summary {
        writeln!(out, "what it is    {summary}")?;
    }
    if let Some(reason) = &found.refusal {
        writeln!(out, "refused       {reason}")?;
        return Ok(Outcome::No);
    }
    writeln!(out, "what happens  {}", deed(route.does))?;
    for asking in &found.consults {
        writeln!(out, "trigger       {}{}", asking.event.trigger, asking.by)?;
        asked::list(config, &asking.event, out)?;
    }
    if matches!(route.does, Action::Consult | Action::Tokens | Action::Session) {
        writeln!(out, "a denial is   {}", denial(route, config.denial.status))?;
    }
    Ok(Outcome::Well)
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write a field as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn document(text: &str) -> Result<Value, String> {
    json::parse(text.as_bytes()).map_err(|e| e.to_string())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write a header as `NAME: VALUE`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
