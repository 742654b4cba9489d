//! The pages of the dashboard over the store, as a browser gets them from `tollgate run`.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::Outcome;

/// Serves the pages and prints how long each takes.
pub(crate) fn serve(folder: &Path) -> Outcome {
    let served = tempfile::tempdir()?;
    fs::write(
        served.path().join("hook.key"),
        "whsec_Y2FuYXJ5LWhvb2stc2VjcmV0LTAxMjM0NTY3ODlhYmNkZWY=",
    )?;
    let store = fs::canonicalize(folder)?.join("audit.db");
    fs::write(served.path().join("proxy.toml"), configuration(&store))?;
    let keys = tollgate(served.path())
        .args(["keys", "init"])
        .stdout(Stdio::null())
        .status()?;
    if !keys.success() {
        return Err("`tollgate keys init` failed".into());
    }
    let mut server = Running(tollgate(served.path()).arg("run").stderr(Stdio::piped()).spawn()?);
    let log = server.0.stderr.take().ok_or("the server has no log")?;
    let mut log = BufReader::new(log).lines();
    let address = loop {
        let line = log.next().ok_or("the server ended before it listened")??;
        if let Some((_, address)) = line.split_once("the dashboard is on ") {
            break address.split_whitespace().next().unwrap_or_default().to_owned();
        }
    };
    // A pipe that nobody reads would stop the server.
    std::thread::spawn(move || log.count());

    let newest = get(&address, "/log")?;
    let older = link(&newest, "id=\"older\"").unwrap_or_default();
    let record = link(&newest, "<tr id=\"record-").unwrap_or_default();
    let user = link(&get(&address, &record)?, "id=\"history\"").unwrap_or_default();
    let mut slow = Vec::new();
    for (name, target) in PAGES
        .into_iter()
        .map(|(name, target)| (name, target.to_owned()))
        .chain([
            ("log, the next page", older),
            ("a record", record.clone()),
            ("a record's user", user),
            (
                "a record tried",
                format!(
                    "/interceptors/Interceptor%201/test?record={}",
                    record.trim_start_matches("/log/")
                ),
            ),
        ])
    {
        let mut times = Vec::new();
        for _ in 0..15 {
            let started = Instant::now();
            let page = get(&address, &target)?;
            times.push(started.elapsed());
            if !page.starts_with("HTTP/1.1 200") {
                return Err(format!("{target} answers {}", page.lines().next().unwrap_or_default()).into());
            }
        }
        times.sort();
        let (Some(median), Some(worst)) = (times.get(7), times.last()) else {
            continue;
        };
        println!("page {name}: {median:?} (worst {worst:?})");
        if *median > GOAL {
            slow.push(name);
        }
    }
    for name in ["ndjson", "csv"] {
        let started = Instant::now();
        let mut stream = ask(&address, &format!("/log/export.{name}"))?;
        let mut first = [0; 4096];
        stream.read_exact(&mut first)?;
        println!("export as {name}, the first 4 KiB: {:?}", started.elapsed());
    }
    println!(
        "pages over {GOAL:?}: {}",
        if slow.is_empty() {
            "none".to_owned()
        } else {
            slow.join(", ")
        }
    );
    Ok(())
}

/// The server, which ends with the measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn tollgate(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.current_dir(folder).env_clear();
    command
}

fn configuration(store: &Path) -> String {
    let interceptors = (0..3).map(|number| {
        format!(
            "[[interceptor]]\nname = \"Interceptor {number}\"\ntrigger = \"PRE_SESSION_CREATION\"\nendpoint = \"http://127.0.0.1:9/\"\n\
             secret = {{ file = \"hook.key\" }}\non_failure = \"allow\"\n"
        )
    });
    format!(
        "[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://id.example.com\"\n\
         [upstream]\nurl = \"http://127.0.0.1:9\"\npreset = \"keycloak\"\n\
         [tokens]\nkeys = \"signing\"\ncapsule_secret = {{ file = \"capsule.key\" }}\n\
         [audit]\nstore = \"sqlite:{}\"\nretention = \"forever\"\n[admin]\naddress = \"127.0.0.1:0\"\n{}",
        store.display(),
        interceptors.collect::<String>(),
    )
}

fn ask(address: &str, target: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    Ok(stream)
}

/// The whole answer, head and all.
fn get(address: &str, target: &str) -> std::io::Result<String> {
    let mut answer = Vec::new();
    ask(address, target)?.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The first address behind a mark.
fn link(page: &str, mark: &str) -> Option<String> {
    let (_, rest) = page.split_once(mark)?;
    let (_, rest) = rest.split_once("href=\"")?;
    Some(rest.split('"').next()?.replace("&amp;", "&"))
}

const GOAL: Duration = Duration::from_millis(50);

const PAGES: [(&str, &str); 24] = [
    ("overview", "/"),
    ("overview of an hour", "/?range=1h"),
    ("overview of a week", "/?range=7d"),
    ("interceptors", "/interceptors"),
    ("interceptor", "/interceptors/Interceptor%201"),
    ("interceptor's log", "/interceptors/Interceptor%201/log"),
    ("interceptor's test", "/interceptors/Interceptor%201/test"),
    ("log", "/log"),
    ("log, the live list", "/log/rows?trigger=PRE_SIGNUP"),
    ("log by user", "/log?user=user77@customer77.example"),
    ("log by domain", "/log?user=@customer7.example"),
    ("log by the beginning of a user", "/log?user=user777*"),
    ("log by client", "/log?client=client-3"),
    ("log by realm and trigger", "/log?realm=staff&trigger=PRE_SIGNUP"),
    (
        "log by interceptor and denial",
        "/log?interceptor=Interceptor%202&decision=deny",
    ),
    ("log of what failed open", "/log?decision=allow&decided_by=on_failure"),
    ("log by kind and client", "/log?kind=failure&client=client-3"),
    (
        "log of a day two weeks ago",
        "/log?since=15d&until=14d&decision=deny&trigger=PRE_SIGNUP",
    ),
    ("log by status", "/log?status=503&operation=token"),
    ("log by filters that never meet", "/log?kind=failure&decision=deny"),
    ("log by text", "/log?text=seat+limit"),
    ("log by text that is not there", "/log?text=nowhere"),
    ("keys", "/keys"),
    ("routes", "/routes"),
];
