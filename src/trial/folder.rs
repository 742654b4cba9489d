//! The folder in which cases are kept, a JSON file each.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::case::{Case, CaseName};
use crate::json;

/// `[test]`: how interceptors are tried out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder with named cases, a JSON file each. Default: `cases`, beside `proxy.toml`. It is made with the first case.
    pub cases: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cases: "cases".into() }
    }
}

/// The cases of a folder.
#[derive(Clone, Debug)]
pub struct Cases {
    folder: PathBuf,
}

/// Why a case could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// There is none of that name.
    #[error("there is no case `{name}` in `{}`", folder.display())]
    Unknown {
        /// The name.
        name: CaseName,
        /// The folder.
        folder: PathBuf,
    },
    /// There is one of that name already.
    #[error("there is a case `{0}` already; choose another name, or delete its file first")]
    Taken(CaseName),
    /// The file system refused.
    #[error("`{}`: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`{}` is no case: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

impl Cases {
    /// Those of `settings`; a relative folder lies below `base`. Looks at nothing yet.
    pub fn new(settings: &Settings, base: &Path) -> Self {
        Self {
            folder: base.join(&settings.cases),
        }
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of all cases, sorted; none where there is no folder. Files with other names are left alone. Blocks on the disk.
    pub fn names(&self) -> Result<Vec<CaseName>, CasesError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(&self.folder, source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(|source| failed(&self.folder, source))?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".json"));
            names.extend(name.and_then(|name| name.parse().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// One case. Blocks on the disk.
    pub fn load(&self, name: &CaseName) -> Result<Case, CasesError> {
        let path = self.path(name);
        let wrong = |message: String| CasesError::Wrong {
            path: path.clone(),
            message,
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CasesError::Unknown {
                    name: name.clone(),
                    folder: self.folder.clone(),
                });
            }
            Err(source) => return Err(failed(&path, source)),
        };
        let document = json::parse(&bytes).map_err(|malformed| wrong(malformed.to_string()))?;
        serde_json::from_value(document).map_err(|error| wrong(error.to_string()))
    }

    /// Writes a new case, whole or not at all, and gives its file. Blocks on the disk.
    pub fn save(&self, name: &CaseName, case: &Case) -> Result<PathBuf, CasesError> {
        let path = self.path(name);
        let mut text = serde_json::to_string_pretty(case).map_err(|error| failed(&path, error.into()))?;
        text.push('\n');
        fs::create_dir_all(&self.folder).map_err(|source| failed(&self.folder, source))?;
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(CasesError::Taken(name.clone())),
            Err(source) => return Err(failed(&path, source)),
        };
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(source) = written {
            // Half a case would be in the way of the next try.
            _ = fs::remove_file(&path);
            return Err(failed(&path, source));
        }
        Ok(path)
    }

    fn path(&self, name: &CaseName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

fn failed(path: &Path, source: io::Error) -> CasesError {
    CasesError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{trial::Expectation, verdict::Effect};

    fn case() -> Case {
        Case {
            interceptor: "Plan".into(),
            note: "nobody from gmail".into(),
            expect: Expectation::decision(Effect::Deny),
            event: json!({"seats": serde_json::from_str::<serde_json::Value>("1.50").unwrap()}),
        }
    }

    #[test]
    fn a_saved_case_reads_back_and_is_never_overwritten() {
        let base = tempfile::tempdir().unwrap();
        let cases = Cases::new(&Settings::default(), base.path());
        assert_eq!(cases.names().unwrap(), []);
        let name: CaseName = "no-gmail".parse().unwrap();
        assert!(matches!(cases.load(&name), Err(CasesError::Unknown { .. })));
        let path = cases.save(&name, &case()).unwrap();
        assert_eq!(path, base.path().join("cases/no-gmail.json"));
        assert_eq!(cases.load(&name).unwrap(), case());
        assert!(matches!(cases.save(&name, &case()), Err(CasesError::Taken(_))));
        fs::write(base.path().join("cases/notes.txt"), "").unwrap();
        assert_eq!(cases.names().unwrap(), [name]);
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        for name in [
            "",
            "..",
            "a/b",
            "../a",
            "a.json",
            "a b",
            "a\0",
            "é",
            ".a",
            &"a".repeat(81),
        ] {
            assert!(name.parse::<CaseName>().is_err(), "{name:?}");
        }
        assert!("a".repeat(80).parse::<CaseName>().is_ok());
    }

    #[test]
    fn a_file_that_is_no_case_says_where_and_why() {
        let base = tempfile::tempdir().unwrap();
        let cases = Cases::new(&Settings::default(), base.path());
        fs::create_dir(cases.folder()).unwrap();
        let name: CaseName = "odd".parse().unwrap();
        for (text, why) in [
            ("{", "EOF"),
            (
                r#"{"interceptor":"a","expect":{"decision":"maybe"},"event":{}}"#,
                "maybe",
            ),
        ] {
            fs::write(cases.folder().join("odd.json"), text).unwrap();
            let error = cases.load(&name).unwrap_err().to_string();
            assert!(error.contains("odd.json") && error.contains(why), "{error}");
        }
    }
}
