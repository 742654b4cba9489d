//! Whether each row gets the requests that it is written for.

use std::{collections::BTreeSet, io::Write};

use super::{super::outcome::Stop, findings::Findings};
use crate::{
    config::Config,
    preset::{Overlap, Preset, Verdict},
    route::Route,
};

/// Looks at the preset with the operator's routes in front of it.
pub(super) fn check(config: &Config, preset: &Preset, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let mut names = BTreeSet::new();
    for route in &config.routes {
        if !names.insert(&route.name) {
            findings.warn(
                "routes",
                format!(
                    "two `[[route]]` are called `{}`: the audit cannot tell them apart",
                    route.name
                ),
                "give each a name of its own",
            )?;
        }
    }
    for overlap in preset.overlaps() {
        report(config, &overlap, findings)?;
    }
    Ok(())
}

fn report(config: &Config, overlap: &Overlap, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let Overlap {
        first, second, example, ..
    } = overlap;
    let is_own = |route: &Route| config.routes.iter().any(|own| own.name == route.name);
    let (front, behind) = (told(first, is_own(first)), told(second, is_own(second)));
    match overlap.verdict {
        Verdict::Hidden if is_own(first) && !is_own(second) => findings.warn(
            "routes",
            format!("{front} takes every request of {behind}, such as {example}"),
            &format!(
                "name yours `{}` if it is to take that row's place, or narrow it",
                second.name
            ),
        ),
        Verdict::Hidden => findings.warn(
            "routes",
            format!(
                "{behind} is never reached: {front} stands in front of it and takes all its requests, such as {example}"
            ),
            "put the narrower one first, or give the first one an `only_if`",
        ),
        Verdict::Crossing => findings.warn(
            "routes",
            format!("{front} and {behind} both fit {example}; the first one gets it"),
            "narrow one of them, or see that this order is meant",
        ),
        Verdict::Exception if is_own(first) && !is_own(second) => {
            findings.note("routes", format!("{front} takes {example} out of {behind}"))
        }
        Verdict::Exception => Ok(()),
    }
}

fn told(route: &Route, is_own: bool) -> String {
    let whose = if is_own { "your" } else { "the preset's" };
    format!("{whose} route `{}`", route.name)
}
