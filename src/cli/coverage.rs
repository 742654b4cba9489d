//! `tollgate coverage`: every way in and out, and what becomes of it, as Markdown.

mod open;
mod table;

use std::{io::Write, path::Path};

use clap::Args;

use super::{
    load, named,
    outcome::{Outcome, Stop},
};
use crate::preset::Preset;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A preset by itself; what the configuration makes of its own, if left out
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// One upstream of several, by its name; all of them, if left out
    #[arg(long, value_name = "NAME", conflicts_with_all = ["preset", "all"])]
    upstream: Option<String>,
    /// Every built-in preset: the text of docs/COVERAGE.md
    #[arg(long, conflicts_with = "preset")]
    all: bool,
}

/// Prints the table. The configuration is read only where it is asked about.
pub(super) fn run(config: &Path, arguments: &Arguments, out: &mut impl Write) -> Result<Outcome, Stop> {
    if arguments.all {
        out.write_all(PREFACE.as_bytes())?;
        for name in Preset::names() {
            writeln!(out)?;
            built_in(name, out)?;
        }
        return Ok(Outcome::Well);
    }
    if let Some(name) = &arguments.preset {
        built_in(name, out)?;
        return Ok(Outcome::Well);
    }
    let config = load(config)?;
    let chosen: Vec<_> = match &arguments.upstream {
        Some(name) => vec![named(&config, name)?],
        None => config.each().collect(),
    };
    for (at, one) in chosen.into_iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        if let Some(name) = one.name().filter(|_| config.has_several()) {
            writeln!(out, "# Upstream `{name}`, {}\n", one.listen.public_url)?;
        }
        let preset = Preset::load(&one.upstream.preset, &one.base, &one.routes);
        let preset = preset.map_err(|wrong| one.errors([&wrong]))?;
        table::write(&preset, |route| one.is_in_force(route), out)?;
        open::write(one, &preset, out)?;
    }
    Ok(Outcome::Well)
}

fn built_in(name: &str, out: &mut impl Write) -> Result<(), Stop> {
    let preset = Preset::load(name, Path::new("."), &[]).map_err(|wrong| Stop::Usage(wrong.to_string()))?;
    table::write(&preset, |_| true, out)
}

const PREFACE: &str = "# What Tollgate covers

Every way in and out of a provider, by preset. This page is made by `tollgate coverage --all > docs/COVERAGE.md` from the presets;
`tollgate coverage` prints the same for your own configuration, with your `[[route]]` entries and with what it leaves open.

| word | what it means |
|---|---|
| asked before | your endpoints are asked, and the provider sees the request only after an ALLOW |
| asked after, signed again | the provider answers, your endpoints are asked, and the client gets the tokens under Tollgate's key only after an ALLOW |
| verified, signed again | nobody is asked; what the provider signed is verified and gets Tollgate's signature |
| mapped back | re-signed tokens in the request become the provider's own again; introspection then shows the added claims |
| checked, then passes | forwarded unless it asks for what is refused; tokens that come of it are asked about when they leave |
| corrected | the answer has Tollgate's keys and what is true behind it |
| cut off | the answer ends before the token, and there is a record of it |
| refused | never reaches the provider, or its answer never reaches the client |
| passes | there is nothing to decide |
| not covered | passes, and nobody is asked |

A denial is an OAuth error where the route is one of OAuth, a page for browsers, or the provider's own error shape.
";
