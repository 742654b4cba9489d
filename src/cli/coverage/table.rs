//! The table of one preset.

use std::io::Write;

use crate::{
    cli::outcome::Stop,
    event::Trigger,
    preset::{Area, Fate, Outcome, Preset, Way},
    route::{Action, Protocol, Route},
};

/// One line, its cells in Markdown.
struct Line {
    area: Area,
    summary: String,
    outcome: String,
    triggers: String,
    route: String,
}

/// Writes a preset's table; `in_force` says of each route whether it counts.
pub(super) fn write(preset: &Preset, in_force: impl Fn(&Route) -> bool, out: &mut impl Write) -> Result<(), Stop> {
    let routes = preset
        .routes
        .iter()
        .map(|route| of_route(preset, route, in_force(route)));
    let ways = preset
        .ways
        .iter()
        .filter_map(|way| Some(of_way(way, &preset.fate(way)?)));
    let mut lines: Vec<Line> = routes.chain(ways).collect();
    lines.sort_by_key(|line| line.area);

    writeln!(out, "## `{}`: {}\n", preset.name, preset.summary)?;
    writeln!(
        out,
        "| way in or out | what Tollgate does | trigger | row |\n|---|---|---|---|"
    )?;
    let mut area = None;
    for line in lines {
        if area.replace(line.area) != Some(line.area) {
            writeln!(out, "| **{}** | | | |", line.area.title())?;
        }
        let cells = [&line.summary, &line.outcome, &line.triggers, &line.route];
        writeln!(out, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))?;
    }
    Ok(())
}

fn of_route(preset: &Preset, route: &Route, in_force: bool) -> Line {
    let triggers = match route.does {
        Action::Tokens => preset.triggers_of(None),
        Action::Session => vec![Trigger::PreSessionCreation],
        _ => route.trigger.into_iter().collect(),
    };
    let condition = match (route.trigger, route.protocol) {
        (Some(Trigger::PreClientRegistration), _) => Some("an interceptor has this trigger"),
        (_, Some(Protocol::Saml)) => Some("`upstream.saml` is `allow`"),
        _ => None,
    };
    let mut said = if in_force {
        vec![deed(route)]
    } else {
        vec![strong(Outcome::NotCovered)]
    };
    if let Some(condition) = condition {
        // SAML is refused unless it is allowed, registrations are asked about where somebody is.
        let word = if route.protocol.is_some() { "unless" } else { "where" };
        said.push(format!("{}{word} {condition}", if in_force { "" } else { "in force " }));
    }
    let methods = match route.methods.as_slice() {
        [] => "any method".to_owned(),
        methods => methods.join(", "),
    };
    Line {
        area: route.area(),
        summary: route
            .summary
            .clone()
            .unwrap_or_else(|| "A route of `proxy.toml`".to_owned()),
        outcome: said.join("; "),
        triggers: named(&triggers),
        route: format!("`{}`: {methods} `{}`", route.name, route.path.as_str()),
    }
}

fn deed(route: &Route) -> String {
    let outcome = strong(route.does.outcome());
    match (&route.because, route.does) {
        (Some(because), Action::Refuse) => format!("{outcome}, `invalid_request`: {because}"),
        _ if route.native_bearer => format!("{outcome}; takes the provider's own token that was made for it"),
        _ => outcome,
    }
}

fn of_way(way: &Way, fate: &Fate<'_>) -> Line {
    let mut said = vec![match fate.rule {
        Some(rule) => format!("{}, `{}`: {}", strong(fate.outcome), rule.error, rule.because),
        None => strong(fate.outcome),
    }];
    said.extend(way.needs.map(|need| format!("by `{}`", need.setting())));
    said.extend(way.note.clone());
    Line {
        area: way.area,
        summary: way.summary.clone(),
        outcome: said.join("; "),
        triggers: named(&fate.triggers),
        route: way.route.as_ref().map(|name| format!("`{name}`")).unwrap_or_default(),
    }
}

fn strong(outcome: Outcome) -> String {
    format!("**{}**", outcome.as_str())
}

fn named(triggers: &[Trigger]) -> String {
    triggers
        .iter()
        .map(|trigger| format!("`{trigger}`"))
        .collect::<Vec<_>>()
        .join(" or ")
}
