//! The binary: SIGHUP, and `tollgate diff`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use super::UNWATCHED;
use crate::world::{client::Client, hook::SECRET, keys, until};

/// The binary, serving.
struct Serving {
    child: Child,
    admin: String,
    folder: TempDir,
}

impl Drop for Serving {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn tollgate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null());
    command
}

impl Serving {
    fn start(admin: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys::shared().to_str().unwrap();
        let text = format!(
            "environment = \"first\"\n\
             [listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://id.example.com\"\n\
             [upstream]\nurl = \"http://127.0.0.1:9\"\npreset = \"keycloak\"\n\
             [tokens]\nkeys = \"{keys}/signing\"\ncapsule_secret = {{ file = \"{keys}/capsule.key\" }}\n\
             [admin]\naddress = \"127.0.0.1:0\"\n{admin}\n\
             [[interceptor]]\nname = \"Plan and seats\"\ntrigger = \"PRE_SESSION_CREATION\"\n\
             endpoint = \"http://127.0.0.1:9/x\"\nsecret = {{ file = \"hook.key\" }}\non_failure = \"allow\"\n{UNWATCHED}{more}"
        );
        fs::write(folder.path().join("proxy.toml"), text).unwrap();
        fs::write(folder.path().join("hook.key"), SECRET).unwrap();
        fs::write(folder.path().join("admin.token"), "canary-admin-token-0123456789").unwrap();
        let mut child = tollgate(folder.path(), &["run"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let admin = lines
            .by_ref()
            .find_map(|line| {
                let line = line.unwrap();
                let (_, address) = line.split_once("the dashboard is on ")?;
                Some(address.split_whitespace().next().unwrap().to_owned())
            })
            .expect("it serves");
        // Whoever logs must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, admin, folder }
    }

    fn change(&self, from: &str, to: &str) {
        let file = self.folder.path().join("proxy.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    fn diff(&self, more: &[&str]) -> (i32, String) {
        let url = format!("http://{}", self.admin);
        let arguments = [&["diff"], more].concat();
        let admin = if more.contains(&"--against") {
            Vec::new()
        } else {
            vec!["--admin", &url]
        };
        let said: Output = tollgate(self.folder.path(), &[arguments, admin].concat())
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
        (said.status.code().unwrap(), text)
    }
}

#[tokio::test]
async fn sighup_loads_the_configuration_again() {
    let serving = Serving::start("", "");
    let dashboard = Client::new(&format!("http://{}", serving.admin));
    let metrics = || async { dashboard.call("GET", "/metrics").send().await.text() };
    assert!(metrics().await.contains("environment=\"first\""));
    serving.change("\"first\"", "\"second\"");
    let signalled = Command::new("kill")
        .args(["-HUP", &serving.child.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    until("the second runs", || async {
        metrics().await.contains("environment=\"second\"")
    })
    .await;
}

#[tokio::test]
async fn diff_says_what_would_change_and_shows_no_secret() {
    let serving = Serving::start("token = { file = \"admin.token\" }", "");
    let (code, said) = serving.diff(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("No setting and no file is different"), "{said}");

    serving.change("on_failure = \"allow\"", "on_failure = \"deny\"\ntimeout = \"4s\"");
    serving.change("environment = \"first\"\n", "");
    fs::write(
        serving.folder.path().join("hook.key"),
        SECRET.replace("whsec_Y", "whsec_Z"),
    )
    .unwrap();
    let (code, said) = serving.diff(&[]);
    assert_eq!(code, 1, "{said}");
    for line in [
        "~ interceptor.\"Plan and seats\".on_failure = \"allow\" -> \"deny\"",
        "+ interceptor.\"Plan and seats\".timeout = \"4s\"",
        "- environment = \"first\"",
        "~ interceptor.\"Plan and seats\".secret.file: other contents",
    ] {
        assert!(said.lines().any(|found| found == line), "no {line} in {said}");
    }
    assert!(!said.contains("whsec_") && !said.contains("needs a restart"), "{said}");

    serving.change("[upstream]", "[audit]\nstore = \"sqlite:other.db\"\n[upstream]");
    let (_, said) = serving.diff(&[]);
    assert!(
        said.contains("+ audit.store = \"sqlite:other.db\"   needs a restart"),
        "{said}"
    );

    serving.change("[upstream]", "[upstrem]");
    assert_eq!(serving.diff(&[]).0, 64);
    let dashboard = Client::new(&format!("http://{}", serving.admin));
    assert_eq!(dashboard.call("GET", "/configuration.json").send().await.status, 401);
}

#[test]
fn diff_compares_two_files() {
    let serving = Serving::start("", "");
    let here = serving.folder.path();
    fs::copy(here.join("proxy.toml"), here.join("other.toml")).unwrap();
    assert_eq!(serving.diff(&["--against", "other.toml"]).0, 0);
    serving.change("preset = \"keycloak\"", "preset = \"generic\"");
    let (code, said) = serving.diff(&["--against", "other.toml"]);
    assert_eq!(code, 1);
    assert_eq!(said, "~ upstream.preset = \"keycloak\" -> \"generic\"\n");
}
