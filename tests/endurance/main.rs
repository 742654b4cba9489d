//! 200 reloads, some of them invalid, and 10 rotations of the keys while clients log in all the time: no request fails, and
//! every token verifies at a client that keeps the key set as long as it may and never looks for a key that it lacks.
//!
//! `cargo test --test endurance` runs it against the real binary, with the demo's provider behind it, and prints the figures.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod client;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tollgate::{
    clock::Period,
    demo::provider::{Options, Provider},
};

use self::client::{Client, Figures};

const RELOADS: usize = 200;
/// Every so many reloads a file is not valid, and every so many the keys are rotated.
const INVALID: usize = 5;
const ROTATE: usize = 20;
const CLIENTS: usize = 4;
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(180);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match tokio::time::timeout(LIMIT, run()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) => {
            println!("FAILED: not done after {} s", LIMIT.as_secs());
            ExitCode::FAILURE
        }
    }
}

async fn run() -> bool {
    let mut options = Options::new("http://unknown.invalid");
    options.lifetime = Period::secs(10);
    let provider = Provider::start(options).await.unwrap();
    let installation = Installation::start(&provider.url(), &endpoint().await).await;
    provider.set_public_url(&installation.url);

    let began = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, stop) = (Client::new(&installation.url), Arc::clone(&stop));
            tokio::spawn(async move { client.log_in_until(&stop).await })
        })
        .collect();
    let mut rotations = 0;
    let mut invalid = 0;
    for round in 1..=RELOADS {
        let before = installation.attempts().await;
        if round % INVALID == 0 {
            invalid += 1;
            installation.write_invalid(round);
        } else {
            installation.write(round);
        }
        installation.tried_more_than(before).await;
        if round % ROTATE == 0 {
            rotations += 1;
            let capsule: &[&str] = if rotations % 3 == 0 { &["--capsule"] } else { &[] };
            installation.tollgate(&[&["keys", "rotate"], capsule].concat());
            if !capsule.is_empty() {
                installation.tollgate(&["keys", "rotate"]);
            }
        }
    }
    let last = installation.attempts().await;
    installation.write(RELOADS + 1);
    installation.tried_more_than(last).await;
    // The last key signs before the clients end.
    tokio::time::sleep(Duration::from_secs(6)).await;
    stop.store(true, Ordering::Relaxed);
    let mut figures = Figures::default();
    for client in clients {
        figures.add(client.await.unwrap());
    }
    let metrics = installation.metrics().await;
    let count = |outcome: &str| sum(&metrics, &format!("tollgate_reloads_total{{outcome=\"{outcome}\"}}"));
    let (applied, refused) = (count("applied"), count("refused"));
    println!(
        "{:.0} s: {applied} configurations applied, {refused} refused ({invalid} were invalid), {rotations} rotations; \
         {} logins with both tokens, {} requests, {} failed; {} tokens verified under {} keys, {} did not verify",
        began.elapsed().as_secs_f64(),
        figures.logins,
        figures.requests,
        figures.failed.len(),
        figures.verified,
        figures.kids.len(),
        figures.unverified.len(),
    );
    for what in figures.failed.iter().chain(&figures.unverified).take(20) {
        println!("  {what}");
    }
    // What changed between two looks is one attempt.
    let reloaded = applied + refused >= RELOADS && refused >= invalid && applied > RELOADS / 2;
    let rotated = figures.kids.len() > rotations / 2;
    reloaded && rotated && figures.failed.is_empty() && figures.unverified.is_empty() && figures.logins > 100
}

/// The running binary and its files.
struct Installation {
    folder: tempfile::TempDir,
    child: Child,
    url: String,
    admin: String,
    text: String,
}

impl Drop for Installation {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Installation {
    async fn start(upstream: &str, endpoint: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, admin) = (free_address().await, free_address().await);
        let text = format!(
            "environment = \"endurance\"\n\
             [listen]\naddress = \"{address}\"\npublic_url = \"http://{address}\"\n\
             [upstream]\nurl = \"{upstream}\"\npreset = \"generic\"\n\
             [tokens]\npublish_before = \"5s\"\npublish_after = \"15s\"\n\
             [reload]\nevery = \"50ms\"\n\
             [admin]\naddress = \"{admin}\"\n\
             [[interceptor]]\nname = \"Plan\"\ntrigger = \"PRE_SESSION_CREATION\"\nendpoint = \"{endpoint}\"\n\
             secret = {{ file = \"hook.key\" }}\non_failure = \"deny\"\ntimeout = \"TIMEOUTms\"\n"
        );
        fs::write(
            folder.path().join("hook.key"),
            "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        )
        .unwrap();
        fs::write(folder.path().join("proxy.toml"), text.replace("TIMEOUT", "5000")).unwrap();
        tollgate(folder.path(), &["keys", "init"]);
        let child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("run")
            .current_dir(folder.path())
            .env("TOLLGATE_LOG", "off")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let installation = Self {
            folder,
            child,
            url: format!("http://{address}"),
            admin: format!("http://{admin}"),
            text,
        };
        while installation.scraped().await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        installation
    }

    /// A configuration that is not the one before. Odd ones are written in place and even ones renamed.
    fn write(&self, round: usize) {
        let text = self.text.replace("TIMEOUT", &(5000 + round).to_string());
        if round.is_multiple_of(2) {
            fs::write(self.file("proxy.toml.new"), text).unwrap();
            fs::rename(self.file("proxy.toml.new"), self.file("proxy.toml")).unwrap();
        } else {
            fs::write(self.file("proxy.toml"), text).unwrap();
        }
    }

    /// Half a file, a mistake, or a secret that is nowhere.
    fn write_invalid(&self, round: usize) {
        let text = self.text.replace("TIMEOUT", &(5000 + round).to_string());
        let wrong = match round / INVALID % 3 {
            0 => text.split_at(text.len() - 40).0.to_owned(),
            1 => text.replace("on_failure = \"deny\"", "on_failure = \"open\""),
            _ => text.replace("hook.key", "nowhere.key"),
        };
        fs::write(self.file("proxy.toml"), wrong).unwrap();
    }

    fn tollgate(&self, arguments: &[&str]) {
        // What is there may be invalid: `keys` reads its own section alone, and half a file is none.
        let keys = self.file("keys.toml");
        fs::write(&keys, "[tokens]\npublish_before = \"5s\"\npublish_after = \"15s\"\n").unwrap();
        tollgate(self.folder.path(), &[&["--config", "keys.toml"], arguments].concat());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn scraped(&self) -> Option<String> {
        client::get(&format!("{}/metrics", self.admin)).await
    }

    async fn metrics(&self) -> String {
        self.scraped().await.expect("the dashboard answers")
    }

    async fn attempts(&self) -> usize {
        sum(&self.metrics().await, "tollgate_reloads_total")
    }

    /// Waits until the file was tried.
    async fn tried_more_than(&self, before: usize) {
        while self.attempts().await <= before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn tollgate(folder: &Path, arguments: &[&str]) {
    let said = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        said.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
}

/// The sum of the series that begin so.
fn sum(metrics: &str, series: &str) -> usize {
    let values = metrics.lines().filter(|line| line.starts_with(series));
    values
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok())
        .sum()
}

/// An endpoint that allows everything and adds a claim.
async fn endpoint() -> String {
    let allow = || async { Json::<Value>(json!({"decision": "ALLOW", "response": {"claims": {"plan": "gold"}}})) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/session", listener.local_addr().unwrap());
    let routes = Router::new().route("/session", post(allow));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

async fn free_address() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
