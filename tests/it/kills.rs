//! Tollgate is killed in the middle of its work, again and again: what a client was told is in the audit, every chain holds, and it starts
//! again within a second.
//!
//! A few times in the ordinary run; `TOLLGATE_KILLS=100 cargo test --test it kills -- --nocapture` does it a hundred times and prints figures.

use std::{
    collections::HashMap,
    env, fs,
    io::Write as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, routing::post};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tollgate::{
    audit::{Heads, Kind, Query, Reader, Report},
    config::Config,
    demo::provider::{Options, Provider},
    event::Trigger,
    verdict::Effect,
};

use crate::world::{hook::SECRET, keys, postgres::Postgres, proxy::free_address, setup::Places, setup::Setup, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_what_a_client_was_told_through_kills() {
    Trial::new("SQLite", &["sqlite:audit.db"]).await.run().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_two_replicas_keeps_what_a_client_was_told_through_kills() {
    let Some(cluster) = Postgres::shared() else { return };
    let store = cluster.fresh();
    Trial::new("PostgreSQL, two replicas", &[&store, &store])
        .await
        .run()
        .await;
}

/// Decisions by the numbers that clients see.
type Decided = Arc<Mutex<HashMap<String, (String, Effect)>>>;

struct Trial {
    what: &'static str,
    replicas: Vec<Replica>,
    decided: Decided,
    _provider: Provider,
}

/// A process with a configuration of its own.
struct Replica {
    folder: TempDir,
    address: SocketAddr,
    /// The host that clients know.
    public: SocketAddr,
    process: Child,
}

impl Trial {
    async fn new(what: &'static str, stores: &[&str]) -> Self {
        let provider = Provider::start(Options::new("http://unknown.invalid")).await.unwrap();
        let decided = Decided::default();
        let hooks = hooks(Arc::clone(&decided)).await;
        let public = free_address();
        provider.set_public_url(format!("http://{public}"));
        let mut replicas = Vec::new();
        for store in stores {
            let folder = tempfile::tempdir().unwrap();
            let address = free_address();
            fs::write(folder.path().join("hook.key"), SECRET).unwrap();
            let setup = Setup::generic()
                .only(&[Trigger::PreM2mTokenCreation])
                .more(&format!("[audit]\nstore = \"{store}\""));
            let toml = setup.toml(&Places {
                address: &address.to_string(),
                public: &public.to_string(),
                upstream: &provider.url(),
                hooks: &hooks,
                keys: keys::shared().to_str().unwrap(),
            });
            fs::write(folder.path().join("proxy.toml"), toml).unwrap();
            let process = start(&folder);
            let replica = Replica {
                folder,
                address,
                public,
                process,
            };
            replica.is_ready().await;
            replicas.push(replica);
        }
        Self {
            what,
            replicas,
            decided,
            _provider: provider,
        }
    }

    async fn run(mut self) {
        let kills = env::var("TOLLGATE_KILLS").map_or(6, |text| text.parse().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let addresses: Vec<_> = self
            .replicas
            .iter()
            .map(|replica| (replica.address, replica.public))
            .collect();
        let clients: Vec<_> = (0..4)
            .map(|client| tokio::spawn(ask(addresses[client % addresses.len()], Arc::clone(&seen))))
            .collect();
        let mut slowest = Duration::ZERO;
        let mut total = Duration::ZERO;
        for kill in 0..kills {
            // Somewhere in the middle of the work: how far differs from kill to kill.
            let enough = seen.lock().unwrap().len() + 1 + usize::from(uuid::Uuid::now_v7().as_bytes()[15] % 16);
            until("some decisions are out", || async {
                seen.lock().unwrap().len() >= enough
            })
            .await;
            let index = kill % self.replicas.len();
            let replica = &mut self.replicas[index];
            replica.process.kill().unwrap();
            replica.process.wait().unwrap();
            let started = Instant::now();
            replica.process = start(&replica.folder);
            replica.is_ready().await;
            slowest = slowest.max(started.elapsed());
            total += started.elapsed();
        }
        for client in clients {
            client.abort();
            _ = client.await;
        }
        let config = Config::load(&self.replicas[0].folder.path().join("proxy.toml"), std::iter::empty()).unwrap();
        let reader = Reader::open(&config.audit, &config.base).unwrap();
        let reports = reader.verify(&Heads::default()).unwrap();
        assert!(reports.iter().all(Report::holds), "{reports:?}");
        let consults = Query {
            kind: Some(Kind::Consult),
            limit: Some(u32::MAX),
            ..Query::default()
        };
        let records = reader.records(&consults, jiff::Timestamp::now()).unwrap();
        let by_request: HashMap<_, _> = records
            .iter()
            .map(|record| (&record.entry.request_id, record))
            .collect();
        let decided = self.decided.lock().unwrap();
        let seen = seen.lock().unwrap();
        let missing = seen.iter().filter(|number| {
            let (request, effect) = &decided[*number];
            by_request
                .get(request)
                .is_none_or(|record| record.entry.decision != Some(*effect))
        });
        let missing = missing.count();
        writeln!(
            std::io::stderr(),
            "{}: {kills} kills, {} decisions seen by clients, {missing} of them not in the audit, {} records in {} chains that hold; \
             ready again after {:?} on average, {slowest:?} at the most",
            self.what,
            seen.len(),
            records.len(),
            reports.len(),
            total / u32::try_from(kills).unwrap(),
        )
        .unwrap();
        assert_eq!(missing, 0);
        for replica in &mut self.replicas {
            replica.process.kill().unwrap();
            replica.process.wait().unwrap();
        }
    }
}

impl Replica {
    async fn is_ready(&self) {
        let answered = async {
            let head = "GET /.well-known/openid-configuration HTTP/1.1";
            while exchange((self.address, self.public), head, "")
                .await
                .is_none_or(|(status, _)| status != 200)
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), answered).await.is_err() {
            panic!(
                "not ready: {}",
                fs::read_to_string(self.folder.path().join("log")).unwrap()
            );
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn start(folder: &TempDir) -> Child {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join("log"));
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("run")
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.unwrap())
        .spawn()
        .unwrap()
}

/// An endpoint that numbers its decisions and denies every third.
async fn hooks(decided: Decided) -> String {
    async fn answer(
        State((decided, count)): State<(Decided, Arc<AtomicUsize>)>,
        Json(event): Json<Value>,
    ) -> Json<Value> {
        let count = count.fetch_add(1, Ordering::Relaxed);
        let number = format!("decision-{count}");
        let request = event["interceptor_context"]["request_id"].as_str().unwrap().to_owned();
        let (effect, answer) = match count % 3 {
            0 => (Effect::Deny, json!({"decision": "DENY", "error": {"message": number}})),
            _ => (
                Effect::Allow,
                json!({"decision": "ALLOW", "response": {"claims": {"ticket": number}}}),
            ),
        };
        decided.lock().unwrap().insert(number, (request, effect));
        Json(answer)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new()
        .route("/{endpoint}", post(answer))
        .with_state((decided, Arc::default()));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

/// Asks for tokens without end, and keeps the numbers of the decisions that arrive whole.
async fn ask(address: (SocketAddr, SocketAddr), seen: Arc<Mutex<Vec<String>>>) {
    let head = "POST /token HTTP/1.1\r\nauthorization: Basic YmF0Y2g6YmF0Y2gtc2VjcmV0\r\n\
                content-type: application/x-www-form-urlencoded";
    loop {
        let Some((status, body)) = exchange(address, head, "grant_type=client_credentials").await else {
            tokio::task::yield_now().await;
            continue;
        };
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{status} {e}: {body}"));
        let number = match status {
            200 => {
                let token = answer["access_token"].as_str().unwrap();
                let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
                serde_json::from_slice::<Value>(&payload).unwrap()["ticket"].clone()
            }
            _ => answer["error_description"].clone(),
        };
        let number = number.as_str().unwrap_or_else(|| panic!("{status} {body}")).to_owned();
        seen.lock().unwrap().push(number);
    }
}

/// The status and body of an answer; `None` when the connection failed before the end of it.
async fn exchange((address, host): (SocketAddr, SocketAddr), head: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!(
        "{head}\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    if length.is_some_and(|length: usize| length != body.len()) {
        return None;
    }
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
