//! The binary as its operator uses it.

mod audit;
mod cases;
mod check;
mod coverage;
mod explain;
mod keys;
mod replay;
mod server;
mod trial;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A folder with a configuration in it, and what the binary says there.
struct Place {
    folder: TempDir,
}

/// How a command ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn with(config: &str) -> Self {
        let place = Self::empty();
        fs::write(place.path().join("proxy.toml"), config).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    fn say(&self, arguments: &[&str]) -> Said {
        Said::from(self.command(arguments).output().unwrap())
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let said = Self {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }
}

const REPOSITORYS: &str = include_str!("../../proxy.toml");
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// A configuration with one interceptor.
fn config(upstream: &str, endpoint: &str) -> String {
    format!(
        "[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://id.example.com\"\n\
         [upstream]\nurl = \"{upstream}\"\npreset = \"keycloak\"\n\
         [[interceptor]]\nname = \"Plan\"\ntrigger = \"PRE_SESSION_CREATION\"\nendpoint = \"{endpoint}\"\n\
         secret = {{ file = \"hook.key\" }}\non_failure = \"allow\"\nunless = {{ realms = [\"master\"] }}\n"
    )
}

fn with_interceptor(upstream: &str, endpoint: &str) -> Place {
    let place = Place::with(&config(upstream, endpoint));
    fs::write(place.path().join("hook.key"), SECRET).unwrap();
    place
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    let place = Place::empty();
    assert_eq!(place.say(&["--help"]).code, 0);
    assert_eq!(place.say(&["--version"]).code, 0);
    for usage in [
        &["nonsense"][..],
        &["test"],
        &["keys"],
        &["explain", "GET"],
        &["audit", "list", "--since", "soon"],
    ] {
        let said = place.say(usage);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{usage:?} {}", said.err);
    }
    for command in [
        &["check"][..],
        &["run"],
        &["explain", "GET", "/"],
        &["keys", "list"],
        &["audit", "list"],
    ] {
        let said = place.say(command);
        assert_eq!(said.code, 64, "{command:?} {}", said.err);
        assert!(
            said.err.starts_with("proxy.toml: there is no such file\nhint: "),
            "{}",
            said.err
        );
    }
    let said = place.say(&["check", "--config", "other.toml"]);
    assert!(
        said.err.starts_with("other.toml: there is no such file"),
        "{}",
        said.err
    );
}

#[test]
fn a_mistake_in_the_file_or_the_environment_is_pointed_at() {
    let place = Place::with(&REPOSITORYS.replace("format = \"text\"", "format = \"xml\" "));
    let output = place
        .command(&["run"])
        .env("TOLLGATE_AUDIT__STOR", "sqlite:x.db")
        .output()
        .unwrap();
    let said = Said::from(output);
    assert_eq!(said.code, 64);
    let line = 1 + REPOSITORYS.lines().position(|line| line.starts_with("format")).unwrap();
    assert!(
        said.err.starts_with(&format!(
            "proxy.toml:{line}:10: `format` must be `text` or `json`, found `xml`\n{line} | "
        )),
        "{}",
        said.err
    );
    assert!(
        said.err
            .contains("TOLLGATE_AUDIT__STOR: unknown key `stor` in `[audit]`\nhint: did you mean `store`?")
    );
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let place = Place::empty();
    let mut child = place
        .command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.say(&["completions", shell]).out.contains("tollgate"));
    }
}
