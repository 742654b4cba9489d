//! Lists `presets/*.toml` for `src/preset.rs`, so that a new preset is nothing but a file.

use std::{env, error::Error, fmt::Write, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=presets");
    let mut paths = fs::read_dir("presets")?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut listed = String::from("[\n");
    for path in &paths {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .ok_or("a preset's name is UTF-8")?;
        writeln!(
            listed,
            "({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/presets/{name}.toml\"))),"
        )?;
    }
    listed.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("presets.rs"), listed)?;
    Ok(())
}
