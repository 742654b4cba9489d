//! `docs/providers.md` and the table in `README.md`: what works with which provider, from presets and recorded cases.

use std::{collections::BTreeSet, fmt::Write, fs};

use tollgate::{
    event::Trigger,
    preset::Preset,
    route::{Action, Route},
};

use super::is_up_to_date;
use crate::cases::{cases, preset};

const BEGIN: &str = "<!-- made by `TOLLGATE_WRITE_PAGES=1 cargo test --test it pages` -->\n";
const END: &str = "<!-- end -->\n";

#[test]
fn the_page_of_providers_is_what_presets_and_cases_say() {
    let mut page = format!("{PREFACE}\n{}", table());
    for name in names() {
        let preset = preset(name);
        write!(page, "\n## `{name}`: {}\n\n", preset.summary).unwrap();
        let shown = preset
            .tried
            .clone()
            .unwrap_or_else(|| "nothing but requests that were written down, not recorded".into());
        writeln!(
            page,
            "Tried on: {shown}; {} recorded cases in [tests/cases/{name}](../tests/cases/{name}/).\n",
            cases(name).len()
        )
        .unwrap();
        for trigger in Trigger::ALL {
            let rows = rows(&preset, trigger);
            if !rows.is_empty() {
                writeln!(page, "- `{trigger}`: {}", rows.join("; ")).unwrap();
            }
        }
        if !preset.limits.is_empty() {
            page.push_str("\nOut of reach, or refused:\n\n");
            for limit in &preset.limits {
                writeln!(page, "- {limit}").unwrap();
            }
        }
    }
    is_up_to_date("docs/providers.md", &page);
}

#[test]
fn the_table_in_the_readme_is_what_presets_and_cases_say() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("README.md has the table");
    let (_, behind) = rest.split_once(END).expect("README.md has the end of the table");
    is_up_to_date("README.md", &format!("{before}{BEGIN}\n{}\n{END}{behind}", table()));
}

#[test]
fn a_trigger_that_the_table_has_is_shown_by_a_case() {
    for name in names() {
        let preset = preset(name);
        let shown: BTreeSet<String> = cases(name)
            .iter()
            .flat_map(|(_, case)| case.trigger.all().into_iter().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for trigger in Trigger::ALL {
            let has_rows = preset.routes.iter().any(|row| asks(row, trigger));
            // Registration is taken over from another preset, whose cases show it.
            let own = preset
                .routes
                .iter()
                .any(|row| asks(row, trigger) && row.name != "register-client");
            assert!(
                !has_rows || !own || shown.contains(trigger.as_str()),
                "{name}: no case shows {trigger}"
            );
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<_> = Preset::names().collect();
    // The one for everybody comes last.
    names.sort_by_key(|name| (*name == "generic", *name));
    names.into_iter()
}

fn asks(row: &Route, trigger: Trigger) -> bool {
    match row.does {
        Action::Consult => row.trigger == Some(trigger),
        Action::Tokens => trigger.adds_claims(),
        Action::Session => trigger == Trigger::PreSessionCreation,
        _ => false,
    }
}

/// What people know the rows by, that ask about a trigger.
fn rows(preset: &Preset, trigger: Trigger) -> Vec<String> {
    let rows = preset.routes.iter().filter(|row| asks(row, trigger));
    let summary = |row: &std::sync::Arc<Route>| format!("{} (`{}`)", row.summary.clone().unwrap_or_default(), row.name);
    rows.map(summary).collect()
}

fn table() -> String {
    let mut table = String::from(
        "| preset | provider | signup | invitation | session | machine token | client registration | tried on |\n|---|---|---|---|---|---|---|---|\n",
    );
    for name in names() {
        let preset = preset(name);
        let cell = |trigger| match preset.routes.iter().filter(|row| asks(row, trigger)).count() {
            0 => "–".to_owned(),
            _ if Trigger::adds_claims(trigger) => "yes".to_owned(),
            1 => "1 way".to_owned(),
            count => format!("{count} ways"),
        };
        let order = [
            Trigger::PreSignup,
            Trigger::PreUserInvitation,
            Trigger::PreSessionCreation,
            Trigger::PreM2mTokenCreation,
            Trigger::PreClientRegistration,
        ];
        let tried = preset
            .tried
            .clone()
            .unwrap_or_else(|| "requests that were written down, not recorded".into());
        let cells = order.map(cell).join(" | ");
        writeln!(table, "| `{name}` | {} | {cells} | {tried} |", preset.summary).unwrap();
    }
    table
}

const PREFACE: &str = "# What works with which provider

Every provider is a file in [presets/](../presets/), in the language of [routes.md](routes.md); `preset = \"NAME\"` in `[upstream]` chooses it. The code knows none
by its name. This page is made from the presets and the recorded cases, by `TOLLGATE_WRITE_PAGES=1 cargo test --test it pages`.

What happens at the token endpoint is the same with all of them: tokens are verified, asked about, and signed again. What differs is where accounts are made,
and whether those requests go through a proxy at all. `–` means that the provider has no such request, or that none comes by a proxy; the limits below
say which, and `tollgate check` repeats them. Where a preset was not tried on the provider itself, begin with `tollgate explain --record` on a recording
of your own.
";
