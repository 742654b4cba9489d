//! The configuration. Whatever is in the file, it is taken whole or each mistake is told with its place, and no value of a secret is in what is told.
//!
//! Input: the file.

use std::{fs, path::Path, sync::OnceLock};

use tollgate::{config::Config, preset::Preset, route::Route};

pub(crate) fn run(bytes: &[u8]) {
    let file = folder().join("proxy.toml");
    fs::write(&file, bytes).expect("a file");
    let environment = [("TOLLGATE_ADMIN__ADDRESS", "127.0.0.1:0"), ("TOLLGATE_LOG", "warn")];
    match Config::load(&file, environment.map(|(name, value)| (name.into(), value.into()))) {
        Ok(config) => {
            assert_eq!(config.base, folder());
            assert!(!config.revision.is_empty());
            // What is made of routes is looked up in no file: the preset is built in.
            if Preset::names().any(|name| name == config.upstream.preset) {
                let _ = Preset::load(&config.upstream.preset, Path::new("."), &config.routes);
            }
        }
        Err(errors) => {
            assert!(errors.iter().count() > 0);
            let told = errors.to_string();
            assert!(
                told.contains("proxy.toml") || told.contains("TOLLGATE_"),
                "no place: {told}"
            );
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(route) = toml::from_str::<Route>(text) {
        let _ = route.check();
    }
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder")).path()
}
