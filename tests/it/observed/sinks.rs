//! Records as CloudEvents, where the operator wants them.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use serde_json::Value;
use tempfile::TempDir;
use tollgate::{
    audit::{Audit, Entry, Record, Settings},
    clock::Clock,
    config::Config,
    metrics::{Known, Metrics},
};

use crate::world::{
    Fate, Proxy, Setup, World, keys, log,
    scrape::Scrape,
    stub::{self, Stub},
    until,
};

/// An endpoint that takes events while its status is 2xx.
struct Receiver {
    stub: Stub,
    status: Arc<AtomicU16>,
    taken: Arc<Mutex<Vec<Value>>>,
    folder: TempDir,
}

impl Receiver {
    async fn start(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
        let stub = Stub::start({
            let (status, taken) = (Arc::clone(&status), Arc::clone(&taken));
            move |arrival| {
                let now = status.load(Ordering::SeqCst);
                if arrival.path() == "/events" && (200..300).contains(&now) {
                    taken
                        .lock()
                        .unwrap()
                        .push(serde_json::from_slice(&arrival.body).unwrap());
                }
                let mut answer = stub::reply(now, "text/plain", "");
                answer.headers_mut().insert("location", "/elsewhere".parse().unwrap());
                answer
            }
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "canary-siem-token\n").unwrap();
        Self {
            stub,
            status,
            taken,
            folder,
        }
    }

    fn setup(&self) -> Setup {
        let (url, folder) = (self.stub.url(), self.folder.path().display());
        Setup::generic().more(&format!(
            "[[audit.sink]]\nname = \"siem\"\nto = {{ url = \"{url}/events\" }}\nbearer = {{ file = \"{folder}/token\" }}"
        ))
    }

    fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }

    async fn tried(&self, times: usize) {
        until("the receiver is tried", || async {
            self.stub.at("/events").len() >= times
        })
        .await;
    }
}

async fn again(world: World, setup: &Setup) -> World {
    let World { provider, hook, proxy } = world;
    let (folder, address) = (Arc::clone(&proxy.folder), proxy.address);
    proxy.stop().await;
    let proxy = Proxy::serve(setup, &provider.url(), &hook, &folder, address, address)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    World { provider, hook, proxy }
}

async fn sign_up(world: &World, people: std::ops::Range<u32>) {
    for n in people {
        assert_eq!(world.sign_up(&format!("{n}@example.com")).await.status, 201);
    }
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each record has its event, once, in order.
fn tell(events: &[Value], records: &[Record]) {
    let told: Vec<_> = events
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    let kept: Vec<_> = records.iter().map(|record| record.id.to_string()).collect();
    assert_eq!(told, kept);
    for (event, record) in events.iter().zip(records) {
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["type"], "tollgate.audit.consult");
        assert_eq!(event["sequence"], format!("{:020}", record.seq));
        assert_eq!(event["data"]["hash"], record.hash.to_string());
    }
}

const FILE: &str = "[[audit.sink]]\nname = \"file\"\nto = { file = \"events.ndjson\" }\n";

#[tokio::test]
async fn decisions_are_lines_of_a_file_in_order_and_once_over_restarts_and_rotation() {
    let setup = Setup::generic().more(FILE);
    let world = World::with(setup.clone()).await;
    let file = world.folder.path().join("events.ndjson");
    let rotated = world.folder.path().join("events.ndjson.1");
    sign_up(&world, 0..3).await;
    let world = again(world, &setup).await;
    sign_up(&world, 3..6).await;
    until("six lines", || async { lines(&file).len() == 6 }).await;

    fs::rename(&file, &rotated).unwrap();
    sign_up(&world, 6..9).await;
    until("three more in a new file", || async { lines(&file).len() == 3 }).await;
    let world = again(world, &setup).await;
    sign_up(&world, 9..10).await;
    until("the last one", || async { lines(&file).len() == 4 }).await;
    tell(&[lines(&rotated), lines(&file)].concat(), &world.audit());
}

#[tokio::test]
async fn what_was_decided_before_the_end_is_delivered_before_it() {
    let world = World::start(FILE).await;
    let file = world.folder.path().join("events.ndjson");
    let folder = Arc::clone(&world.proxy.folder);
    sign_up(&world, 0..5).await;
    world.proxy.stop().await;
    assert_eq!(lines(&file).len(), 5);
    let cursor = fs::read_to_string(folder.path().join("audit.db-sink-file")).unwrap();
    assert_eq!(cursor, "5\n");
}

#[tokio::test]
async fn a_new_sink_begins_with_the_next_record_or_with_the_oldest() {
    let world = World::start("").await;
    sign_up(&world, 0..3).await;
    let setup = Setup::generic().more(
        "[[audit.sink]]\nname = \"now\"\nto = { file = \"now\" }\n\
         [[audit.sink]]\nname = \"all\"\nto = { file = \"all\" }\nfrom = \"beginning\"\n",
    );
    let world = again(world, &setup).await;
    sign_up(&world, 3..5).await;
    let (now, all) = (world.folder.path().join("now"), world.folder.path().join("all"));
    until("both have the last", || async {
        lines(&now).len() == 2 && lines(&all).len() == 5
    })
    .await;
    tell(&lines(&all), &world.audit());
    tell(&lines(&now), &world.audit()[3..]);
}

#[tokio::test]
async fn a_receiver_that_was_away_gets_everything_in_order() {
    let receiver = Receiver::start(503).await;
    let world = World::with(receiver.setup()).await;
    sign_up(&world, 0..3).await;
    receiver.tried(2).await;
    let counted = |name: &str| world.metrics().sum(name, &[("sink", "siem")]);
    assert_eq!(counted("tollgate_audit_sink_lag_records"), 3.0);
    until("the failure is counted", || async {
        counted("tollgate_audit_sink_failures_total") >= 1.0
    })
    .await;
    assert_eq!(counted("tollgate_audit_sink_records_total"), 0.0);
    // A redirect is a refusal: nobody else gets the records, or the token.
    receiver.status.store(307, Ordering::SeqCst);
    let before = receiver.stub.at("/events").len();
    receiver.tried(before + 1).await;
    assert!(receiver.stub.at("/elsewhere").is_empty());
    receiver.status.store(204, Ordering::SeqCst);
    sign_up(&world, 3..6).await;
    until("all have arrived", || async { receiver.taken().len() >= 6 }).await;
    until("nothing waits", || async {
        counted("tollgate_audit_sink_lag_records") == 0.0
    })
    .await;
    assert_eq!(counted("tollgate_audit_sink_records_total"), 6.0);
    tell(&receiver.taken(), &world.audit());
    for arrival in receiver.stub.at("/events") {
        assert_eq!(arrival.method, "POST");
        assert_eq!(
            arrival.header("content-type"),
            Some("application/cloudevents+json; charset=utf-8")
        );
        assert_eq!(arrival.header("authorization"), Some("Bearer canary-siem-token"));
    }
    assert!(!log::text().contains("canary-siem-token"));
}

#[tokio::test]
async fn a_receiver_that_hangs_keeps_no_decision_waiting_and_gets_them_after_a_restart() {
    let receiver = Receiver::start(204).await;
    receiver.stub.fate("/events", Fate::Hang);
    let setup = receiver.setup();
    let world = World::with(setup.clone()).await;
    sign_up(&world, 0..1).await;
    receiver.tried(1).await;
    sign_up(&world, 1..20).await;
    assert!(receiver.taken().is_empty());
    receiver.stub.spare("/events");
    let world = again(world, &setup).await;
    until("all have arrived", || async { receiver.taken().len() >= 20 }).await;
    tell(&receiver.taken(), &world.audit());
}

fn settings(more: &str) -> Settings {
    toml::from_str(&format!("max_size = \"100 records\"\n{more}")).unwrap()
}

fn refusals(count: usize) -> Vec<Entry> {
    vec![Entry::of_refusal("a rule", "a reason"); count]
}

/// Retention waits for nobody; that a sink lost something by it is said.
#[tokio::test]
async fn what_retention_took_from_a_sink_that_was_away_is_said() {
    log::capture();
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("d"), dir.path().join("away"));
    fs::create_dir(&here).unwrap();
    let sink = "[[sink]]\nname = \"was-away\"\nto = { file = \"d/events\" }";
    let metrics = Metrics::new(&Known {
        sinks: vec!["was-away"],
        ..Known::default()
    });
    let audit = Audit::open_counted(&settings(sink), dir.path(), Clock::system(), metrics.clone()).unwrap();
    fs::rename(&here, &away).unwrap();
    audit.record(refusals(300)).await.unwrap();
    until("it is said", || async {
        log::text().contains("audit sink `was-away` takes no records")
    })
    .await;
    audit.tidy().await;
    fs::rename(&away, &here).unwrap();
    let file = here.join("events");
    until("the rest arrives", || async { !lines(&file).is_empty() }).await;
    audit.close().await;
    let events = lines(&file);
    let numbers: Vec<u64> = events.iter().map(|e| e["data"]["seq"].as_u64().unwrap()).collect();
    let first = numbers[0];
    assert!(first > 200, "{first}");
    assert_eq!(numbers, (first..=301).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap()["data"]["removed"]["last"], first - 1);
    let missed = first - 1;
    let said = format!("audit sink `was-away` missed {missed} records, 1 to {missed}");
    assert!(log::text().contains(&said));
    let records =
        |outcome| Scrape::of(&metrics.render()).sum("tollgate_audit_sink_records_total", &[("outcome", outcome)]);
    assert_eq!(
        (records("missed"), records("delivered")),
        (missed as f64, numbers.len() as f64)
    );
}

#[tokio::test]
async fn standard_output_has_one_event_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&settings(""), dir.path(), Clock::system()).unwrap();
    audit.record(refusals(100)).await.unwrap();
    audit.close().await;
    let keys = keys::shared();
    let keys = keys.to_str().unwrap();
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://id.example.com\"\n\
         [upstream]\nurl = \"http://127.0.0.1:9\"\npreset = \"keycloak\"\n\
         [tokens]\nkeys = \"{keys}/signing\"\ncapsule_secret = {{ file = \"{keys}/capsule.key\" }}\n\
         [[audit.sink]]\nname = \"out\"\nto = \"stdout\"\nfrom = \"beginning\"\n"
    );
    fs::write(dir.path().join("proxy.toml"), config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("run")
        .current_dir(dir.path())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let numbers: Vec<u64> = out
        .lines()
        .take(100)
        .map(|line| {
            serde_json::from_str::<Value>(&line.unwrap()).unwrap()["data"]["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_sink_that_cannot_be_is_pointed_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proxy.toml");
    let base = "[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://id.example.com\"\n\
                [upstream]\nurl = \"http://127.0.0.1:9\"\npreset = \"keycloak\"\n";
    let found = |sink: &str| {
        fs::write(&file, format!("{base}[[audit.sink]]\n{sink}\n")).unwrap();
        match Config::load(&file, []) {
            Ok(config) => config
                .errors([&config.audit.check(&config.base).unwrap_err()])
                .to_string(),
            Err(errors) => errors.to_string(),
        }
    };
    for (sink, said) in [
        (
            "name = \"a\"\nto = { url = \"http://siem.example.com\" }",
            "leaves this machine",
        ),
        (
            "name = \"a\"\nto = { url = \"https://a\" }\nbearer = { env = \"TG_NO_SUCH\" }",
            "`TG_NO_SUCH` is not set",
        ),
        (
            "name = \"a\"\nto = \"stdout\"\n[[audit.sink]]\nname = \"a\"\nto = \"stdout\"",
            "two sinks `a`",
        ),
        ("name = \"a\"\nto = \"stdout\"\nform = \"now\"", "`form`"),
        ("name = \"a\"", "`to` is missing"),
    ] {
        let errors = found(sink);
        assert!(errors.contains(said), "{sink}\n{errors}");
        assert!(errors.contains("proxy.toml:"), "{errors}");
    }
}
