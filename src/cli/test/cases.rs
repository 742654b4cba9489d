//! `tollgate test --case` and `--all`: kept cases against what the endpoints answer now.

use std::{fs, io::Write};

use serde_json::json;

use super::{Arguments, document, junit, text, unkept, unknown};
use crate::{
    cli::{
        block_on,
        outcome::{Outcome, Stop},
        paint::Paint,
    },
    clock::Clock,
    config::Config,
    escape::for_terminal,
    interceptor::Interceptors,
    trial::{Case, CaseName, Cases, Tried},
};

/// A case and what came of it.
pub(super) struct Finished {
    pub(super) name: CaseName,
    pub(super) interceptor: String,
    pub(super) tried: Tried,
}

/// Tries the cases that the arguments name. Well when all are met.
pub(super) fn run(
    config: &Config,
    interceptors: &Interceptors,
    cases: &Cases,
    arguments: &Arguments,
    out: &mut impl Write,
) -> Result<Outcome, Stop> {
    let chosen = chosen(interceptors, cases, arguments)?;
    let finished = block_on(async {
        let mut finished = Vec::new();
        for (name, case) in chosen {
            finished.push(Finished {
                tried: case
                    .try_out(interceptors, &config.environment, Clock::system().now())
                    .await,
                interceptor: case.interceptor,
                name,
            });
        }
        finished
    })?;
    if let Some(path) = &arguments.junit {
        fs::write(path, junit::document(&finished))
            .map_err(|error| Stop::Ours(format!("`{}` cannot be written: {error}", path.display())))?;
    }
    let met = finished.iter().filter(|one| one.tried.is_met()).count();
    match finished.as_slice() {
        all if arguments.json => {
            let results: Vec<_> = all.iter().map(|one| document::tried(&one.name, &one.tried)).collect();
            document::print(&json!({"cases": all.len(), "met": met, "results": results}), out)?;
        }
        [one] if arguments.case.is_some() => {
            if let Ok(report) = &one.tried.report {
                text::report(report, out)?;
                writeln!(out)?;
            }
            row(one, one.name.as_str().len(), one.interceptor.len(), out)?;
        }
        all => {
            let width = |of: fn(&Finished) -> usize| all.iter().map(of).max().unwrap_or_default();
            let (name, interceptor) = (
                width(|one| one.name.as_str().len()),
                width(|one| one.interceptor.chars().count()),
            );
            for one in all {
                row(one, name, interceptor, out)?;
            }
            writeln!(out, "\n{} cases, {met} met", all.len())?;
        }
    }
    Ok((met == finished.len()).into())
}

fn chosen(interceptors: &Interceptors, cases: &Cases, arguments: &Arguments) -> Result<Vec<(CaseName, Case)>, Stop> {
    let of = arguments.interceptor.as_deref();
    if let Some(of) = of.filter(|of| interceptors.named(of).is_none()) {
        return Err(unknown(interceptors, of));
    }
    let names = match &arguments.case {
        Some(name) => vec![name.clone()],
        None => cases.names().map_err(unkept)?,
    };
    let mut chosen = Vec::new();
    for name in names {
        let case = cases.load(&name).map_err(unkept)?;
        if of.is_none_or(|of| of == case.interceptor) {
            chosen.push((name, case));
        } else if arguments.case.is_some() {
            return Err(Stop::Usage(format!("the case `{name}` is of `{}`", case.interceptor)));
        }
    }
    // A build that tries nothing would look like one that found nothing.
    if chosen.is_empty() {
        let folder = cases.folder().display();
        let of = of.map_or_else(String::new, |of| format!(" of `{of}`"));
        return Err(Stop::Usage(format!(
            "there are no cases{of} in `{folder}`; `tollgate test --interceptor NAME --save CASE` keeps one"
        )));
    }
    Ok(chosen)
}

fn row(one: &Finished, name: usize, interceptor: usize, out: &mut impl Write) -> Result<(), Stop> {
    let paint = Paint::for_stdout();
    let state = match one.tried.is_met() {
        true => paint.green("met    "),
        false => paint.red("NOT MET"),
    };
    let about = one.tried.report.as_ref().map_or_else(
        |_| String::new(),
        |report| {
            let consultation = report.consultation();
            format!(
                "{} by {}, {} ms",
                text::effect(consultation.effect),
                text::decided_by(consultation.decided_by),
                consultation.duration.as_millis()
            )
        },
    );
    let asked = for_terminal(&one.interceptor);
    writeln!(
        out,
        "{state}  {:name$}  {asked:interceptor$}  {about}",
        one.name.as_str()
    )?;
    for unmet in &one.tried.unmet {
        writeln!(out, "         {}", for_terminal(unmet))?;
    }
    Ok(())
}
