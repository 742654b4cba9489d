//! The layers of `docs/ARCHITECTURE.md`, held by reading what each module uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

/// Where a crate may be named, by the beginning of a file's path below `src/`.
const CRATES: [(&[&str], &[&str]); 3] = [
    (
        &["hyper", "hyper_util", "hyper_rustls"],
        &[
            "upstream",
            "listen",
            "interceptor",
            "telemetry",
            "audit/sink/endpoint.rs",
            "demo/client.rs",
        ],
    ),
    (&["rusqlite", "tokio_postgres", "tokio_postgres_rustls"], &["audit"]),
    (
        &["ring", "aws_lc_rs", "jsonwebtoken"],
        &[
            "token",
            "interceptor",
            "audit",
            "fields",
            "config",
            "demo",
            "dashboard/access/seal.rs",
        ],
    ),
];

/// A source file below `src/`, without its unit tests and comments.
struct Source {
    path: String,
    code: String,
}

#[test]
fn no_module_uses_more_than_its_layer_may() {
    let layers = layers();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources() {
        let module = module_of(&source.path);
        seen.insert(module.clone());
        let row = layers.get(&module).unwrap_or_else(|| {
            panic!(
                "`{module}` ({}) is not in the table of docs/ARCHITECTURE.md",
                source.path
            )
        });
        for used in uses(&source.code) {
            let Some(of) = layers.get(&used).filter(|_| used != module) else {
                continue;
            };
            let neighbours = row.modules.contains(&used) && row.may != i8::MAX;
            let by_exception = row.exceptions.iter().any(|exception| {
                let (module, item) = exception.split_once("::").unwrap();
                module == used && !names_other(&source.code, module, item)
            });
            if (of.layer > row.may || neighbours) && !by_exception {
                wrong.push(format!(
                    "{} (layer {}) uses `{used}` (layer {})",
                    source.path, row.layer, of.layer
                ));
            }
        }
    }
    let named: BTreeSet<_> = layers.keys().cloned().collect();
    assert_eq!(
        named, seen,
        "the table of docs/ARCHITECTURE.md and src/ have the same modules"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn http_sql_and_cryptography_each_have_their_places() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (crates, places) in CRATES {
            let allowed = places
                .iter()
                .any(|place| source.path == *place || below(&source.path, place));
            for name in crates {
                if !allowed && names_crate(&source.code, name) {
                    wrong.push(format!("{} names `{name}`", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_small_enough_to_be_read() {
    let mut lengths = Vec::new();
    for path in files(Path::new("src")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        lengths.push((lines, path));
    }
    lengths.sort();
    let (median, _) = lengths[lengths.len() / 2];
    assert!(median <= 170, "the median file has {median} lines");
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > 450).collect();
    assert!(
        long.len() <= 3,
        "more than three files are longer than 450 lines: {long:?}"
    );
}

/// A row of the table.
struct Row {
    layer: i8,
    /// The highest layer that its modules may use.
    may: i8,
    modules: BTreeSet<String>,
    /// Single items of higher layers that they may use, such as `gate::preview`.
    exceptions: BTreeSet<String>,
}

/// The table, by module.
fn layers() -> BTreeMap<String, Rc<Row>> {
    let page = fs::read_to_string("docs/ARCHITECTURE.md").unwrap();
    let mut layers = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [layer, modules, may] = cells.as_slice() else {
            continue;
        };
        let Ok(layer) = layer.parse() else { continue };
        let ticked = |cell: &str| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
        };
        let exceptions = ticked(may);
        let may = match *may {
            "all" => i8::MAX,
            "nothing of ours" => -1,
            range => range.chars().filter_map(|c| c.to_digit(10)).max().unwrap() as i8,
        };
        let row = Rc::new(Row {
            layer,
            may,
            modules: ticked(modules),
            exceptions,
        });
        for module in &row.modules {
            layers.insert(module.clone(), Rc::clone(&row));
        }
    }
    assert!(layers.len() > 20, "the table cannot be read");
    layers
}

fn sources() -> Vec<Source> {
    files(Path::new("src"))
        .into_iter()
        .filter(|path| !is_test(path))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            Source {
                path: path.strip_prefix("src").unwrap().to_str().unwrap().to_owned(),
                code: lines.collect::<Vec<_>>().join("\n"),
            }
        })
        .filter(|source| !matches!(source.path.as_str(), "lib.rs" | "main.rs"))
        .collect()
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// `gate` for `gate.rs` and everything in `gate/`.
fn module_of(path: &str) -> String {
    path.split(['/', '.']).next().unwrap().to_owned()
}

fn below(path: &str, place: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.starts_with(['/', '.']))
}

/// The modules of ours that `crate::…` names, also within braces.
fn uses(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `pub(in crate::gate)` and `$crate` are no uses of another module.
        let after = &code[at + "crate::".len()..];
        if let Some(list) = after.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(first_name(&item));
                        item.clear();
                        continue;
                    }
                    _ => {}
                }
                item.push(c);
            }
            found.insert(first_name(&item));
        } else {
            found.insert(first_name(after));
        }
    }
    found.remove("");
    found
}

/// Whether anything of a module but this item is named.
fn names_other(code: &str, module: &str, item: &str) -> bool {
    let path = format!("{module}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let is_path = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        is_path && first_name(&code[at + path.len()..]) != item
    })
}

fn first_name(text: &str) -> String {
    let name = text.trim_start().chars();
    name.take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// Whether `name::` or `use name` is there as a word of its own.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let starts = before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | ':' | '.' | '`' | '"' | '-'));
        // The provider of TLS is `rustls::crypto::ring`, no cryptography of ours.
        let starts = starts && !code[at..].starts_with("ring::default_provider");
        starts && code[at + name.len()..].starts_with("::")
    })
}
