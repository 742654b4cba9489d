//! The proxy, started from a file as the product starts it.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    ops::Deref,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;
use tollgate::{
    audit::{Query, Reader, Record},
    clock::Clock,
    config::{Config, ConfigErrors},
    dashboard::{Attempt, Standing},
    serve::{self, Running},
};

use super::{
    client::{self, Client},
    hook::{Hook, SECRET},
    keys, log,
    scrape::Scrape,
    setup::{Places, Setup},
    until,
};

/// What is in `admin.token`, for a dashboard that asks for it.
pub(crate) const ADMIN_TOKEN: &str = "canary-admin-token-0123456789";

/// A running proxy with the folder of its configuration.
pub(crate) struct Proxy {
    /// The public URL.
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    /// Where the dashboard is.
    pub(crate) admin: SocketAddr,
    pub(crate) config: Config,
    pub(crate) folder: Arc<TempDir>,
    client: Client,
    running: Running,
}

impl Deref for Proxy {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Proxy {
    /// Writes the file, loads it and serves. The public URL has to be known before the port is bound, so a free one is
    /// looked for, and another one if somebody was faster.
    pub(crate) async fn start(setup: &Setup, upstream: &str, hook: &Hook) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        fs::write(folder.path().join("hook.key"), SECRET).unwrap();
        fs::write(folder.path().join("admin.token"), ADMIN_TOKEN).unwrap();
        for _ in 0..20 {
            let address = free_address();
            match Self::serve(setup, upstream, hook, &folder, address, address).await {
                Ok(proxy) => return proxy,
                Err(errors) if errors.to_string().contains("cannot listen on") => {}
                Err(errors) => panic!("{errors}"),
            }
        }
        panic!("no free port");
    }

    /// At an address, as a public one, and in a folder that are known: a restart, or another replica.
    pub(crate) async fn serve(
        setup: &Setup,
        upstream: &str,
        hook: &Hook,
        folder: &Arc<TempDir>,
        address: SocketAddr,
        public: SocketAddr,
    ) -> Result<Self, ConfigErrors> {
        log::capture();
        let text = setup.toml(&Places {
            address: &address.to_string(),
            public: &public.to_string(),
            upstream,
            hooks: &hook.url(),
            keys: keys::shared().to_str().unwrap(),
        });
        let proxy = Self::of(folder, &text, setup.clock.clone()).await?;
        let url = format!("{}://{address}", setup.scheme);
        Ok(Self {
            client: Client::new(&url),
            url,
            ..proxy
        })
    }

    /// With this text as its file.
    pub(crate) async fn of(folder: &Arc<TempDir>, text: &str, clock: Clock) -> Result<Self, ConfigErrors> {
        log::capture();
        let (config, running) = start(folder.path(), text, clock).await?;
        let url = format!("http://{}", running.address);
        Ok(Self {
            client: Client::new(&url),
            url,
            address: running.address,
            admin: running.admin,
            config,
            folder: Arc::clone(folder),
            running,
        })
    }

    /// Sends a head and a body as they are; `{host}` stands for the public host, and line ends are CR LF.
    pub(crate) async fn raw(&self, head: &str, body: &[u8]) -> String {
        let head = head.replace("{host}", &self.address.to_string()).replace('\n', "\r\n");
        client::raw(self.address, &[head.as_bytes(), b"\r\n", body].concat()).await
    }

    /// A browser's end of the dashboard.
    pub(crate) fn dashboard(&self) -> Client {
        Client::new(&format!("http://{}", self.admin))
    }

    /// The audit, oldest record first.
    pub(crate) fn audit(&self) -> Vec<Record> {
        let query = Query {
            limit: Some(10_000),
            ..Query::default()
        };
        let reader = Reader::open(&self.config.audit, &self.config.base).unwrap();
        let mut records = reader.records(&query, self.now()).unwrap();
        records.reverse();
        records
    }

    /// Waits for a record; what is recorded after an answer may come later than it.
    pub(crate) async fn recorded(&self, what: &str, is_it: impl Fn(&Record) -> bool) -> Record {
        until(what, || async { self.audit().iter().any(&is_it) }).await;
        self.audit().into_iter().find(is_it).unwrap()
    }

    /// The configuration's file as it is.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.folder.path().join("proxy.toml")).unwrap()
    }

    /// Puts other text into the place of the file, at once.
    pub(crate) fn write(&self, text: &str) {
        let fresh = self.folder.path().join("proxy.toml.new");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.folder.path().join("proxy.toml")).unwrap();
    }

    /// Replaces something in the file, which must be there.
    pub(crate) fn change(&self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "no {from} in {text}");
        self.write(&text.replace(from, to));
    }

    /// Loads the file again.
    pub(crate) async fn reload(&self) -> Attempt {
        self.running.reloading().ask().await
    }

    /// Loads the file again, which is expected to be applied.
    pub(crate) async fn reloaded(&self) {
        assert_eq!(self.reload().await, Attempt::Applied);
    }

    /// Which configuration runs.
    pub(crate) fn standing(&self) -> Standing {
        self.running.reloading().standing()
    }

    /// What a scrape gives now.
    pub(crate) fn metrics(&self) -> Scrape {
        Scrape::of(&self.running.metrics())
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    fn now(&self) -> jiff::Timestamp {
        Clock::system().now()
    }
}

/// Loads a configuration as `tollgate run` does and serves it.
pub(crate) async fn start(folder: &Path, text: &str, clock: Clock) -> Result<(Config, Running), ConfigErrors> {
    let file = folder.join("proxy.toml");
    fs::write(&file, text).unwrap();
    let config = Config::load(&file, [])?;
    let running = serve::start(&config, clock).await?;
    Ok((config, running))
}

/// An address that nobody has, and that no other test gets: its port is below those that the system hands out by itself.
pub(crate) fn free_address() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + u16::try_from(next).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
