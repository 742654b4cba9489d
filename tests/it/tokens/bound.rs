//! Tokens that only the holder of a key may use: the binding stays, and the provider sees the certificate that it binds to.

use std::{fs, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::event::Trigger;

use crate::world::{Hook, Idp, Proxy, Setup, Tokens, keys, stub::Stub};

#[tokio::test]
async fn what_a_token_is_bound_to_stays_in_it() {
    let idp = Idp::generic(Setup::generic()).await;
    let jwks = idp.get("/jwks").send().await.json();
    for confirmation in [
        json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
    ] {
        let mut claims = idp.access_claims();
        claims["cnf"] = confirmation.clone();
        idp.hands_out(json!({"access_token": idp.key.sign(&claims), "token_type": "Bearer"}));
        let held = Tokens::of(&idp.redeem().await).access;
        assert_eq!(keys::verified(&held, &jwks)["cnf"], confirmation);
    }
}

#[tokio::test]
async fn a_dpop_bound_token_at_the_providers_own_endpoints_is_told_why_it_cannot_work() {
    let idp = Idp::generic(Setup::generic()).await;
    let mut claims = idp.access_claims();
    claims["cnf"] = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    idp.hands_out(json!({"access_token": idp.key.sign(&claims), "token_type": "DPoP"}));
    let held = Tokens::of(&idp.redeem().await).access;
    idp.stub.forget();
    let with = |scheme: &str| format!("{scheme} {held}");
    for call in [
        idp.get("/userinfo").header("authorization", &with("DPoP")),
        idp.get("/userinfo").header("authorization", &with("Bearer")),
        idp.get("/account").header("authorization", &with("dpop")),
        idp.post("/userinfo").form(&[("access_token", &held)]),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status, 401);
        let challenge = answer.header("www-authenticate").unwrap().to_owned();
        assert!(
            challenge.starts_with("DPoP error=\"invalid_token\", error_description=\""),
            "{challenge}"
        );
        let body = answer.json();
        assert_eq!(body["error"], "invalid_token");
        let says = body["error_description"].as_str().unwrap();
        assert!(says.contains("resource servers") && says.contains("ID token"), "{says}");
    }
    assert!(idp.stub.arrivals().is_empty());
    // Whoever asks about it needs no proof of its own.
    let call = idp.post("/introspect").basic("api", "x").form(&[("token", &held)]);
    assert_eq!(call.send().await.status, 200);
}

#[tokio::test]
async fn an_opaque_token_cannot_be_proved_there_either() {
    let idp = Idp::generic(Setup::generic()).await;
    idp.hands_out(json!({"access_token": "opaque-1", "token_type": "DPoP"}));
    let held = Tokens::of(&idp.redeem().await).access;
    let answer = idp
        .get("/userinfo")
        .header("authorization", &format!("DPoP {held}"))
        .send()
        .await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").unwrap().starts_with("DPoP "));
}

#[tokio::test]
async fn what_is_revoked_after_a_denial_is_revoked_with_the_clients_certificate() {
    let idp = Idp::generic(Setup::generic().section("listen", "trusted_proxies = [\"127.0.0.0/8\"]")).await;
    idp.hook.deny(Trigger::PreSessionCreation, "No");
    idp.hands_out(idp.good_tokens());
    let call = idp.post("/token").header("client-cert", ":AAAA:");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", "c"),
        ("client_id", "web"),
    ];
    assert_eq!(call.form(&fields).send().await.status, 400);
    idp.recorded("it is revoked", |r| {
        r.entry.reason.as_deref() == Some("access_token revoked")
    })
    .await;
    for seen in idp.stub.at("/revoke") {
        assert_eq!(seen.header("client-cert"), Some(":AAAA:"));
        assert_eq!(seen.field("client_id").as_deref(), Some("web"));
    }
}

/// A proxy with TLS that asks for certificates, in front of an upstream that says which headers it got.
struct Doors {
    proxy: Proxy,
    stub: Stub,
    server: CertificateDer<'static>,
    authority: CertifiedIssuer<'static, KeyPair>,
    _folder: TempDir,
}

impl Doors {
    async fn open(taken: &str, upstream: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        fs::write(path("tls.crt"), made.cert.pem()).unwrap();
        fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(path("ca.crt"), authority.pem()).unwrap();
        let tls = format!(
            "tls = {{ certificate = \"{}\", key = \"{}\", client_certificates = {} }}",
            path("tls.crt"),
            path("tls.key"),
            taken.replace("{ca}", &path("ca.crt")),
        );
        let stub = Stub::start(|_| crate::world::stub::reply(200, "text/plain", "")).await;
        let hook = Hook::start().await;
        let setup = Setup::keycloak()
            .https()
            .section("listen", &tls)
            .section("upstream", upstream);
        let proxy = Proxy::start(&setup, &stub.url(), &hook).await;
        Self {
            proxy,
            stub,
            server: made.cert.der().clone(),
            authority,
            _folder: folder,
        }
    }

    /// A certificate of the authority, or one that nobody vouches for.
    fn client(&self, vouched: bool) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["client.example.com".into()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let made = if vouched {
            params.signed_by(&key, &self.authority).unwrap()
        } else {
            params.self_signed(&key).unwrap()
        };
        (
            made.der().clone(),
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    }

    /// A request with that certificate, and with forged headers: which of them reached the upstream.
    async fn headers(
        &self,
        shown: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
        http2: bool,
    ) -> Option<http::HeaderMap> {
        let mut roots = RootCertStore::empty();
        roots.add(self.server.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only();
        let connector: hyper_rustls::HttpsConnector<HttpConnector> = if http2 {
            connector.enable_http2().build()
        } else {
            connector.enable_http1().build()
        };
        let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
        self.stub.forget();
        let mut request = Request::get(format!("{}/page", self.proxy.url));
        for name in FORGED {
            request = request.header(name, ":Zm9yZ2Vk:");
        }
        let answer = client.request(request.body(Full::default()).unwrap()).await.ok()?;
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        Some(self.stub.at("/page").pop().unwrap().headers)
    }
}

const FORGED: [&str; 4] = ["Client-Cert", "Client_Cert", "Client-Cert-Chain", "ssl-client-cert"];

fn forged_in(headers: &http::HeaderMap) -> bool {
    headers.values().any(|value| value == ":Zm9yZ2Vk:")
}

#[tokio::test]
async fn the_certificate_of_a_client_is_handed_on_and_its_own_word_is_not() {
    let doors = Doors::open("{ ca = \"{ca}\" }", "").await;
    let (certificate, key) = doors.client(true);
    for http2 in [false, true] {
        let shown = (certificate.clone(), key.clone_key());
        let headers = doors.headers(Some(shown), http2).await.unwrap();
        assert_eq!(headers["client-cert"], format!(":{}:", STANDARD.encode(&certificate)));
        assert!(!forged_in(&headers), "{headers:?}");
        let headers = doors.headers(None, http2).await.unwrap();
        assert!(
            !headers.contains_key("client-cert") && !forged_in(&headers),
            "{headers:?}"
        );
    }
    assert!(
        doors.headers(Some(doors.client(false)), false).await.is_none(),
        "nobody vouches for it"
    );
}

#[tokio::test]
async fn any_certificate_is_taken_where_the_upstream_knows_them_and_in_the_form_that_it_reads() {
    let form = "client_certificate_header = { name = \"ssl-client-cert\", form = \"pem\" }";
    let doors = Doors::open("\"any\"", form).await;
    let (certificate, key) = doors.client(false);
    let headers = doors.headers(Some((certificate.clone(), key)), false).await.unwrap();
    let escaped = headers["ssl-client-cert"].to_str().unwrap();
    let pem = percent_encoding::percent_decode_str(escaped)
        .decode_utf8()
        .unwrap()
        .replace('\n', "");
    let body = pem.strip_prefix("-----BEGIN CERTIFICATE-----").unwrap();
    assert_eq!(
        body.strip_suffix("-----END CERTIFICATE-----").unwrap(),
        STANDARD.encode(&certificate)
    );
    assert!(
        !forged_in(&headers) && !headers.contains_key("client-cert"),
        "{headers:?}"
    );
    let headers = doors.headers(None, false).await.unwrap();
    assert!(!headers.contains_key("ssl-client-cert") && !forged_in(&headers));
}

#[tokio::test]
async fn a_trusted_proxy_says_whose_certificate_it_saw() {
    for (trusted, passes) in [("", false), ("trusted_proxies = [\"127.0.0.0/8\"]", true)] {
        let idp = Idp::generic(Setup::generic().section("listen", trusted)).await;
        idp.get("/page").header("client-cert", ":AAAA:").send().await;
        let seen: Option<Value> = idp.stub.at("/page")[0].header("client-cert").map(Value::from);
        assert_eq!(seen.is_some(), passes, "{trusted}");
    }
}
