//! `tollgate coverage`, and the page that is made with it.

use std::path::Path;

use std::fs;

use tollgate::preset::Preset;

use super::{Place, config, with_interceptor};

#[test]
fn the_page_is_what_the_presets_say() {
    let said = Place::empty().say(&["coverage", "--all"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let page = fs::read_to_string("docs/COVERAGE.md").unwrap();
    assert!(
        page == said.out,
        "docs/COVERAGE.md is out of date; mend it with `cargo run -- coverage --all > docs/COVERAGE.md`"
    );
    assert!(fs::read_to_string("README.md").unwrap().contains("(docs/COVERAGE.md)"));
}

#[test]
fn every_row_of_every_preset_is_listed() {
    for name in Preset::names() {
        let preset = Preset::load(name, Path::new("."), &[]).unwrap();
        let said = Place::empty().say(&["coverage", "--preset", name]);
        assert_eq!(said.code, 0, "{}", said.err);
        for route in &preset.routes {
            let row = format!("| `{}`: ", route.name);
            assert_eq!(said.out.matches(&row).count(), 1, "{name}: {}", route.name);
            assert!(
                said.out.contains(route.summary.as_deref().unwrap()),
                "{name}: {}",
                route.name
            );
        }
        for way in &preset.ways {
            assert!(
                said.out.contains(&format!("| {} |", way.summary)),
                "{name}: {}",
                way.summary
            );
        }
    }
}

#[test]
fn what_a_rule_or_a_grant_decides_is_worked_out() {
    let said = Place::empty().say(&["coverage", "--preset", "keycloak"]);
    for line in [
        "| A client's token for itself | **asked after, signed again** | `PRE_M2M_TOKEN_CREATION` | `token` |",
        "| Permissions as a list or a decision (User-Managed Access) | **passes** |  | `token` |",
        "| A code for a verifiable credential | **refused**, `unsupported_grant_type`: ",
    ] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }
    let said = Place::empty().say(&["coverage", "--preset", "nonesuch"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("the presets are `") && said.err.contains("`generic`, `keycloak`"),
        "{}",
        said.err
    );
}

#[test]
fn an_operator_sees_their_own_routes_and_what_their_configuration_leaves_open() {
    let own = "[[route]]\nname = \"docker\"\nsummary = \"Our registry\"\npath = \"/realms/{realm}/protocol/docker-v2/{rest*}\"\ndoes = \"pass\"\n";
    let loose = config("http://127.0.0.1:1", "http://127.0.0.1:1/")
        .replace("preset = \"keycloak\"\n", "preset = \"keycloak\"\negress = \"log\"\n");
    let said = Place::with(&format!("{loose}{own}")).say(&["coverage"]);
    assert_eq!(said.code, 0, "{}", said.err);
    for line in [
        "| Our registry | **passes** |  | `docker`: any method ",
        "| SAML logins and logouts | **not covered**; in force unless `upstream.saml` is `allow` |",
        "## What proxy.toml leaves open\n",
        "- `PRE_SIGNUP`: no interceptor has this trigger",
        "- `PRE_SESSION_CREATION`: \"Plan\" is passed by while it does not answer (`on_failure = \"allow\"`)",
        "- `PRE_SESSION_CREATION`: \"Plan\" is asked only where its `when` and `unless` say so",
        "there is no `upstream.egress = \"block\"`",
        "- `saml`: SAML passes",
        "- `docker`: your `[[route]]` lets it pass",
    ] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }

    let strict = with_interceptor("http://127.0.0.1:1", "http://127.0.0.1:1/").say(&["coverage"]);
    assert!(!strict.out.contains("`[[route]]` lets it pass"), "{}", strict.out);
    assert!(!strict.out.contains("upstream.egress = \"block\"`\n"), "{}", strict.out);
}
