//! What holds of every preset, and of an operator's routes in front of one.

use super::*;

const OWN: &str = r#"
name = "own"
summary = "A provider of our own"
machine_grants = ["client_credentials"]

[issuer]
path = "/realms/{realm}"
discovery = "/realms/{realm}/.well-known/openid-configuration"

[[route]]
name = "registry"
path = "/realms/{realm}/registry/{rest*}"
does = "refuse"
because = "no"

[[route]]
name = "token"
methods = ["POST"]
path = "/realms/{realm}/token"
does = "tokens"
"#;

fn own(routes: &[Route]) -> Preset {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("own.toml"), OWN).unwrap();
    Preset::load("own.toml", folder.path(), routes).unwrap()
}

#[test]
fn every_built_in_preset_is_sound() {
    for name in Preset::names() {
        let preset = Preset::load(name, Path::new("."), &[]).unwrap();
        assert_eq!(preset.name, name);
        for route in &preset.routes {
            route.check().unwrap();
            preset.check(route).unwrap();
            assert!(route.groups.is_empty(), "{}", route.name);
            assert!(route.summary.is_some(), "`{}` says nothing to operators", route.name);
            let same = preset.routes.iter().filter(|other| other.name == route.name);
            assert_eq!(same.count(), 1, "{name}: two rows are called `{}`", route.name);
        }
        for way in &preset.ways {
            let known = way
                .route
                .as_ref()
                .is_none_or(|name| preset.routes.iter().any(|r| r.name == *name));
            assert!(known && preset.fate(way).is_some(), "{name}: {}", way.summary);
        }
    }
}

#[test]
fn no_row_of_a_built_in_preset_hides_another_one() {
    for name in Preset::names() {
        let preset = Preset::load(name, Path::new("."), &[]).unwrap();
        for overlap in preset.overlaps() {
            let Overlap {
                first, second, verdict, ..
            } = overlap;
            assert_eq!(
                verdict,
                Verdict::Exception,
                "{name}: `{}` and `{}`",
                first.name,
                second.name
            );
        }
    }
}

#[test]
fn an_operators_route_takes_the_place_of_the_presets() {
    let mine: Route = toml::from_str("name = \"registry\"\npath = \"/nowhere\"\ndoes = \"pass\"").unwrap();
    let preset = own(&[mine]);
    assert_eq!(preset.routes.iter().filter(|r| r.name == "registry").count(), 1);
    assert!(preset.candidates("GET", "/realms/tg/registry/auth").is_empty());
}

#[test]
fn a_base_path_goes_in_front_of_everything() {
    let preset = own(&[]).below("/auth");
    let found = preset.candidates("POST", "/auth/realms/tg/token");
    assert_eq!(found.first().unwrap().route.name, "token");
}
