//! What the repository as a whole promises.

use std::{fs, process::Command};

use tollgate::{config::Config, preset::Preset};

/// The files that git knows, as text; pictures and the like are left out.
fn tracked() -> Vec<(String, String)> {
    let listed = Command::new("git").args(["ls-files", "-z"]).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    names
        .split('\0')
        .filter(|name| !name.is_empty())
        .filter_map(|name| Some((name.to_owned(), fs::read_to_string(name).ok()?)))
        .collect()
}

#[test]
fn no_tracked_file_names_a_place_of_one_machine_or_holds_a_private_key() {
    let files = tracked();
    assert!(files.len() > 50);
    // Written in two halves, so that this file does not name them.
    let begin = ["-----BEGIN ", "PRIVATE KEY-----"];
    for (name, text) in &files {
        for place in [["/wo", "rk/"], ["/ro", "ot/"], ["/home", "/dev"], ["../sha", "red"]] {
            let place = place.concat();
            if let Some(line) = text.lines().position(|line| line.contains(&place)) {
                panic!("{name}:{} names `{place}`", line + 1);
            }
        }
        for kind in ["", "RSA ", "EC ", "ENCRYPTED "] {
            let key = format!("{}{kind}{}", begin[0], begin[1]);
            // The text of a check or of a message may name the line; a key has lines of base64 behind it.
            let holds = text
                .lines()
                .collect::<Vec<_>>()
                .windows(2)
                .any(|lines| lines[0].trim().trim_matches('"') == key && lines[1].trim().len() >= 40);
            assert!(!holds, "{name} has a private key");
        }
    }
    let odd = |name: &str| name.ends_with(".pem") || name.ends_with(".db") || name.ends_with(".p12");
    assert!(files.iter().all(|(name, _)| !odd(name)));
}

#[test]
fn no_source_file_knows_a_provider_by_its_name() {
    // A provider is a file in `presets/`; where that does not do, the language of routes grows.
    const NAMES: [&str; 21] = [
        "keycloak",
        "zitadel",
        "authentik",
        "dex",
        "dexidp",
        "authelia",
        "auth0",
        "okta",
        "entra",
        "hydra",
        "kratos",
        "ory",
        "node-oidc-provider",
        "oidc-provider",
        "cognito",
        "fusionauth",
        "logto",
        "casdoor",
        "kanidm",
        "rauthy",
        "scalekit",
    ];
    for (name, text) in tracked()
        .iter()
        .filter(|(name, _)| name.starts_with("src/") || name == "build.rs")
    {
        for (at, line) in text.lines().enumerate() {
            let line = line.to_ascii_lowercase();
            let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            let found = words.into_iter().find(|word| NAMES.contains(word));
            assert!(
                found.is_none(),
                "{name}:{} names `{}`",
                at + 1,
                found.unwrap_or_default()
            );
        }
    }
}

#[test]
fn every_preset_is_documented() {
    let pages: Vec<_> = tracked()
        .into_iter()
        .filter(|(name, _)| name.ends_with(".md") || name == "proxy.toml")
        .collect();
    for preset in Preset::names() {
        let quoted = [format!("`{preset}`"), format!("\"{preset}\"")];
        let documented = pages.iter().any(|(_, text)| quoted.iter().any(|q| text.contains(q)));
        assert!(documented, "no page says what the preset `{preset}` is for");
    }
}

#[test]
fn the_repositorys_own_configuration_is_read_without_a_finding() {
    let config = Config::load("proxy.toml".as_ref(), []).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.upstream.preset, "keycloak");
}

#[test]
fn the_examples_in_the_configuration_are_right_when_they_are_taken_in() {
    let text = fs::read_to_string("proxy.toml").unwrap();
    let mut active = String::new();
    for line in text.lines() {
        // `# key = value` and `# [[section]]` are examples; `# A sentence.` is not.
        let example = line.strip_prefix("# ").filter(|rest| {
            rest.starts_with("[[")
                || rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| !key.contains(' ') && !key.contains('`'))
        });
        active.push_str(example.unwrap_or(line));
        active.push('\n');
    }
    assert!(
        active.contains("\n[[interceptor]]\n") && active.contains("\n[[route]]\n"),
        "{active}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    fs::write(&file, active).unwrap();
    let config = Config::load(&file, []).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.interceptors.len(), 5);
    assert_eq!(config.routes.len(), 1);
    Preset::load(&config.upstream.preset, &config.base, &config.routes).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for (name, text) in tracked() {
        if name.starts_with("src/") && name.ends_with(".rs") && !name.contains("tests") && !text.trim().is_empty() {
            assert!(text.starts_with("//!"), "{name} begins without a `//!` line");
        }
    }
}
