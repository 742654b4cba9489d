//! A whole installation for one test: a client, the proxy, an upstream and an interceptor, on sockets of this machine.

pub(crate) mod client;
mod flows;
pub(crate) mod hook;
pub(crate) mod idp;
pub(crate) mod keys;
pub(crate) mod log;
#[expect(dead_code, reason = "the tests of the stores use the rest of it")]
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod scrape;
pub(crate) mod setup;
pub(crate) mod stub;
pub(crate) mod two;

use std::{future::Future, ops::Deref, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tollgate::demo::provider::{Options, Provider};

use self::proxy::free_address;
pub(crate) use self::{
    client::Answer,
    hook::{Hook, Reply},
    idp::Idp,
    proxy::Proxy,
    setup::Setup,
    stub::Fate,
};

/// The redirect URI of the demo provider's clients. Nobody listens there: tests read it from `Location`.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:9999/callback";

/// The demo provider behind the proxy, and one interceptor for every trigger, which allows until it is told otherwise.
pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) hook: Hook,
    pub(crate) proxy: Proxy,
}

/// What a code flow ended with.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) id: String,
    pub(crate) refresh: String,
    pub(crate) answer: Value,
}

impl Deref for World {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

impl World {
    /// With these lines at the end of `proxy.toml`.
    pub(crate) async fn start(more: &str) -> Self {
        Self::with(Setup::generic().more(more)).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        Self::populated(setup, |options| options).await
    }

    /// With other clients and users at the provider.
    pub(crate) async fn populated(setup: Setup, change: impl FnOnce(Options) -> Options) -> Self {
        let provider = Provider::start(change(Options::new("http://unknown.invalid")))
            .await
            .unwrap();
        let hook = Hook::start().await;
        let proxy = Proxy::start(&setup, &provider.url(), &hook).await;
        provider.set_public_url(&proxy.url);
        Self { provider, hook, proxy }
    }

    /// Another proxy with the same keys in front of the same provider, known by the same public URL.
    pub(crate) async fn replica(&self, setup: &Setup) -> Proxy {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("hook.key"), hook::SECRET).unwrap();
        for _ in 0..20 {
            let address = free_address();
            let setup = setup.clone().section("listen", &format!("names = [\"{address}\"]"));
            let started = Proxy::serve(&setup, &self.provider.url(), &self.hook, &folder, address, self.address).await;
            if let Ok(proxy) = started {
                return proxy;
            }
        }
        panic!("no free port");
    }

    /// The requests that reached the provider with this path.
    pub(crate) fn arrived(&self, path: &str) -> usize {
        self.provider.requests().iter().filter(|r| r.path == path).count()
    }
}

impl Tokens {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let token = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Self {
            access: token("access_token"),
            id: token("id_token"),
            refresh: token("refresh_token"),
            answer,
        }
    }
}

/// Waits until something holds; a test that waits longer than 10 s has failed.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited too long until {what}");
}

/// PKCE (RFC 7636).
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk-aaaaaa";

pub(crate) fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()))
}
