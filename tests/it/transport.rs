//! The proxy as a server: TLS, HTTP/2, the clients' addresses, and its end.

use std::{fs, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tollgate::event::Trigger;

use crate::world::{Hook, Proxy, Setup, World, client::status, stub::Stub, until};

/// A certificate for this machine.
pub(crate) struct Certificate {
    /// The setting `tls`.
    pub(crate) setting: String,
    roots: RootCertStore,
    folder: TempDir,
}

impl Certificate {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self {
            setting: format!(
                "tls = {{ certificate = \"{}\", key = \"{}\" }}",
                certificate.display(),
                key.display()
            ),
            roots,
            folder,
        }
    }

    /// Puts this one's files in the place of another's.
    pub(crate) fn replace(&self, other: &Self) {
        for name in ["tls.key", "tls.crt"] {
            fs::copy(self.folder.path().join(name), other.folder.path().join(name)).unwrap();
        }
    }

    /// A client that trusts it and speaks just one version of HTTP.
    pub(crate) fn client(&self, http2: bool) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only();
        let connector = if http2 {
            connector.enable_http2().build()
        } else {
            connector.enable_http1().build()
        };
        Client::builder(TokioExecutor::new()).build(connector)
    }
}

#[tokio::test]
async fn http_2_and_http_1_are_served_over_tls() {
    let certificate = Certificate::make();
    let stub = Stub::start(|arrival| {
        let seen = arrival.header("x-forwarded-proto").unwrap_or_default();
        crate::world::stub::reply(200, "text/plain", seen.to_owned())
    })
    .await;
    let hook = Hook::start().await;
    let proxy = Proxy::start(
        &Setup::keycloak().https().section("listen", &certificate.setting),
        &stub.url(),
        &hook,
    )
    .await;
    hook.deny(Trigger::PreSignup, "No");

    for (http2, version) in [(false, http::Version::HTTP_11), (true, http::Version::HTTP_2)] {
        let client = certificate.client(http2);
        let page = client
            .get(format!("{}/page", proxy.url).parse().unwrap())
            .await
            .unwrap();
        assert_eq!(page.version(), version);
        assert_eq!(page.status(), 200);
        assert_eq!(page.into_body().collect().await.unwrap().to_bytes(), "https");

        let signup = Request::post(format!("{}/realms/tg/login-actions/registration", proxy.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from("email=eve%40example.com"))
            .unwrap();
        assert_eq!(client.request(signup).await.unwrap().status(), 403);
    }
    assert!(stub.at("/realms/tg/login-actions/registration").is_empty());
}

#[tokio::test]
async fn a_trusted_proxys_word_counts_for_the_clients_address_and_nobody_elses() {
    for (trusted, address) in [
        ("", "127.0.0.1"),
        ("trusted_proxies = [\"127.0.0.0/8\"]", "203.0.113.9"),
    ] {
        let world = World::with(Setup::generic().section("listen", trusted)).await;
        world
            .post("/signup")
            .header("x-forwarded-for", "198.51.100.1, 203.0.113.9")
            .form(&[("email", "ann@example.com"), ("password", "whatever1")])
            .send()
            .await;
        let event = world.hook.event(Trigger::PreSignup);
        assert_eq!(event["interceptor_context"]["ip_address"], address);
        assert_eq!(world.audit()[0].entry.ip_address.unwrap().to_string(), address);
        let seen = world.provider.requests().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for"), Some(address));
    }
}

#[tokio::test]
async fn at_its_end_the_proxy_takes_no_more_connections_and_finishes_what_is_under_way() {
    let world = World::start("").await;
    let held = world.hook.hold(Trigger::PreSessionCreation);
    let code = world.code("web").await;
    let World { provider, hook, proxy } = world;
    let address = proxy.address;
    let (config, folder) = (proxy.config.clone(), Arc::clone(&proxy.folder));
    let client = crate::world::client::Client::new(&proxy.url);
    let redeemed = tokio::spawn(async move {
        client
            .call("POST", "/token")
            .basic("web", "web-secret")
            .form(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", crate::world::CALLBACK),
                ("code_verifier", crate::world::VERIFIER),
            ])
            .send()
            .await
    });
    hook.was_asked(Trigger::PreSessionCreation).await;
    let stopped = tokio::spawn(proxy.stop());
    until("no more connections are taken", || async {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    assert!(!stopped.is_finished(), "a request is under way");
    held.release();
    assert_eq!(redeemed.await.unwrap().status, 200);
    stopped.await.unwrap();
    let reader = tollgate::audit::Reader::open(&config.audit, &config.base).unwrap();
    let reports = reader.verify(&tollgate::audit::Heads::default()).unwrap();
    assert!(reports.iter().all(tollgate::audit::Report::holds));
    drop((folder, provider));
}

#[tokio::test]
async fn tunnels_are_refused() {
    let world = World::start("").await;
    for head in [
        "CONNECT example.com:443 HTTP/1.1\nHost: {host}\nConnection: close\n",
        "TRACE / HTTP/1.1\nHost: {host}\nConnection: close\n",
        "GET / HTTP/1.1\nHost: {host}\nExpect: something\nConnection: close\n",
    ] {
        let answer = world.raw(head, b"").await;
        assert!((400..500).contains(&status(&answer)), "{head}: {answer}");
    }
    assert!(world.provider.requests().iter().all(|r| r.path != "/"));
}

#[tokio::test]
async fn a_websocket_is_opened_on_no_path_that_the_preset_does_not_list() {
    let world = World::start("").await;
    let head = "GET / HTTP/1.1\nHost: {host}\nConnection: upgrade, close\nUpgrade: websocket\n\
                Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";
    let answer = world.raw(head, b"").await;
    assert_ne!(status(&answer), 101, "{answer}");
    let seen = world.provider.requests();
    assert!(seen.iter().all(|r| r.header("upgrade").is_none()), "it was passed on");
}
