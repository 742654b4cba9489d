//! The seeds of the fuzz targets, and every beginning of each, through the functions that the targets run.

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

#[path = "../../fuzz/entries/answer.rs"]
mod answer;
#[path = "../../fuzz/entries/configuration.rs"]
mod configuration;
#[path = "../../fuzz/entries/form.rs"]
mod form;
#[path = "../../fuzz/entries/head.rs"]
mod head;
#[path = "../../fuzz/entries/json.rs"]
mod json;
#[path = "../../fuzz/entries/path.rs"]
mod path;
#[path = "../../fuzz/entries/recognise.rs"]
mod recognise;
#[path = "../../fuzz/entries/sealed.rs"]
mod sealed;
#[path = "../../fuzz/entries/token.rs"]
mod token;

/// What a target does with its input.
type Entry = fn(&[u8]);

const ENTRIES: [(&str, Entry); 9] = [
    ("answer", answer::run),
    ("configuration", configuration::run),
    ("form", form::run),
    ("head", head::run),
    ("json", json::run),
    ("path", path::run),
    ("recognise", recognise::run),
    ("sealed", sealed::run),
    ("token", token::run),
];

#[test]
fn no_seed_of_a_fuzz_target_breaks_what_it_is_fed_to() {
    for (name, run) in ENTRIES {
        let mut seeds = 0;
        for seed in fs::read_dir(Path::new("fuzz/seeds").join(name)).unwrap() {
            let file = seed.unwrap().path();
            let bytes = fs::read(&file).unwrap();
            assert!(bytes.len() <= 4096, "{} is no small seed", file.display());
            seeds += 1;
            for end in (0..=bytes.len()).rev() {
                let done = catch_unwind(AssertUnwindSafe(|| run(&bytes[..end])));
                assert!(done.is_ok(), "broken by the first {end} bytes of {}", file.display());
            }
        }
        assert!(seeds >= 5, "`{name}` has {seeds} seeds");
    }
}

#[test]
fn every_fuzz_target_has_seeds_that_are_tested() {
    let names_in = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    let tested: BTreeSet<_> = ENTRIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    for folder in ["fuzz/entries", "fuzz/targets", "fuzz/seeds"] {
        assert_eq!(names_in(folder), tested, "{folder}");
    }
    let manifest = fs::read_to_string("fuzz/Cargo.toml").unwrap();
    for name in &tested {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
    }
}
