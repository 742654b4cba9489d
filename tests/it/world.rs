//! A whole installation for one test: a client, the proxy, an upstream and an interceptor, on sockets of this machine.

pub(crate) mod client;
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

use std::{future::Future, ops::Deref, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tollgate::demo::provider::{Options, Provider};

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

    /// Signs somebody up by the provider's own form.
    pub(crate) async fn sign_up(&self, email: &str) -> Answer {
        self.post("/signup")
            .form(&[("name", "Somebody"), ("email", email), ("password", "a password")])
            .send()
            .await
    }

    /// Logs Ada in and gives the code that the client would get.
    pub(crate) async fn code(&self, client: &str) -> String {
        let answer = self
            .post("/authorize")
            .form(&[
                ("client_id", client),
                ("redirect_uri", CALLBACK),
                ("response_type", "code"),
                ("scope", "openid profile email"),
                ("nonce", "n-0S6_WzA2Mj"),
                ("code_challenge", &challenge()),
                ("code_challenge_method", "S256"),
                ("login_hint", "ada@example.com"),
                ("password", "correct-horse"),
            ])
            .send()
            .await;
        answer
            .location_parameter("code")
            .unwrap_or_else(|| panic!("no code: {answer:?}"))
    }

    /// Redeems a code as the confidential client `web`.
    pub(crate) async fn redeem(&self, code: &str) -> Answer {
        self.post("/token")
            .basic("web", "web-secret")
            .form(&[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", VERIFIER),
            ])
            .send()
            .await
    }

    /// A login of Ada at `web` by code and PKCE that is expected to work.
    pub(crate) async fn log_in(&self) -> Tokens {
        let code = self.code("web").await;
        Tokens::of(&self.redeem(&code).await)
    }

    /// The device code of a device that Ada has let in.
    pub(crate) async fn paired_device(&self) -> String {
        let begun = self
            .post("/device_authorization")
            .form(&[("client_id", "cli"), ("scope", "openid email")])
            .send()
            .await
            .json();
        self.let_device_in(begun["user_code"].as_str().unwrap()).await;
        begun["device_code"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn let_device_in(&self, user_code: &str) {
        let answer = self
            .post("/device")
            .form(&[
                ("user_code", user_code),
                ("email", "ada@example.com"),
                ("password", "correct-horse"),
            ])
            .send()
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// A machine token of `batch`.
    pub(crate) async fn machine_token(&self, scope: &str) -> Answer {
        self.post("/token")
            .basic("batch", "batch-secret")
            .form(&[("grant_type", "client_credentials"), ("scope", scope)])
            .send()
            .await
    }

    /// Ada invites somebody.
    pub(crate) async fn invite(&self, token: &str, email: &str) -> Answer {
        self.post("/api/users")
            .bearer(token)
            .json(&serde_json::json!({"email": email, "name": "Guest"}))
            .send()
            .await
    }

    /// The keys that a relying party finds through discovery.
    pub(crate) async fn jwks(&self) -> Value {
        let discovery = self.get("/.well-known/openid-configuration").send().await.json();
        let uri = discovery["jwks_uri"].as_str().unwrap().to_owned();
        let path = uri.strip_prefix(&self.url).unwrap().to_owned();
        self.get(&path).send().await.json()
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
