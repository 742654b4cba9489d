//! Endpoints over TLS: whose certificate is believed, which one is shown, and HTTP/2.

use std::{convert::Infallible, net::SocketAddr, path::Path, sync::Arc};

use http::{Request, Response, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    clock::{Clock, Period},
    event::Trigger,
    interceptor::{Interceptors, Settings, sample},
    verdict::{Consultation, DecidedBy, FailureKind},
};

/// A certificate authority and the files that it wrote.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

struct Leaf {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.pem"), root.pem()).unwrap();
        std::fs::write(folder.path().join("secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, folder }
    }

    fn leaf(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Leaf {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.path().join("root.pem")).unwrap())
            .unwrap();
        roots
    }

    async fn ask(&self, table: Value) -> Consultation {
        let mut whole = json!({"name": "hook", "trigger": "PRE_SIGNUP", "secret": {"file": "secret"},
            "timeout": "30s", "ca": "root.pem"});
        whole
            .as_object_mut()
            .unwrap()
            .extend(table.as_object().unwrap().clone());
        let settings: Settings = serde_json::from_value(whole).unwrap();
        let built = Interceptors::build(&[settings], Period::secs(60), self.path(), Clock::system()).unwrap();
        let (event, existing) = sample(Trigger::PreSignup, jiff::Timestamp::UNIX_EPOCH);
        built.consult(&event, &existing).await.consultations.remove(0)
    }
}

/// An endpoint that allows and says in `response.reason` which HTTP it was asked in.
async fn serve(leaf: &Leaf, alpn: &[&str], clients: Option<RootCertStore>) -> SocketAddr {
    let provider = Arc::new(ring::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service_fn(allow)).await;
            });
        }
    });
    address
}

async fn allow(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let reason = if request.version() == Version::HTTP_2 {
        "h2"
    } else {
        "h1"
    };
    let body = json!({"decision": "ALLOW", "response": {"reason": reason}});
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(body.to_string())
        .unwrap())
}

#[tokio::test]
async fn http_2_is_spoken_where_the_endpoint_offers_it() {
    let authority = Authority::new();
    let leaf = authority.leaf("127.0.0.1", |_| {});
    for (alpn, version) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "h1"), (&[], "h1")] {
        let address = serve(&leaf, alpn, None).await;
        let consultation = authority.ask(json!({"endpoint": format!("https://{address}/")})).await;
        assert_eq!(consultation.reason.as_deref(), Some(version), "{consultation:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_wrong_in_any_way_is_down_with_the_reason() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    let key = KeyPair::generate().unwrap();
    let alone = CertificateParams::new(["127.0.0.1".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let self_signed = Leaf {
        certificate: alone.pem(),
        key: key.serialize_pem(),
    };
    for (leaf, reason) in [
        (authority.leaf("hooks.example.com", |_| {}), "not valid for"),
        (authority.leaf("127.0.0.1", expired), "expired"),
        (stranger.leaf("127.0.0.1", |_| {}), "invalid peer certificate"),
        (self_signed, "invalid peer certificate"),
    ] {
        let address = serve(&leaf, &["http/1.1"], None).await;
        for (on_failure, effect) in [
            ("deny", crate::verdict::Effect::Deny),
            ("allow", crate::verdict::Effect::Allow),
        ] {
            let table = json!({"endpoint": format!("https://{address}/"), "on_failure": on_failure, "retries": 1});
            let consultation = authority.ask(table).await;
            let failure = consultation.failure.clone().unwrap();
            assert_eq!(failure.kind, FailureKind::Down);
            assert!(
                failure.detail.starts_with("TLS failed: ") && failure.detail.contains(reason),
                "{failure:?}"
            );
            let decided = (consultation.decided_by, consultation.effect, consultation.calls());
            assert_eq!(
                decided,
                (DecidedBy::OnFailure, effect, 1),
                "a certificate does not mend by asking again"
            );
        }
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_configured() {
    let authority = Authority::new();
    let leaf = authority.leaf("127.0.0.1", |_| {});
    let client = authority.leaf("tollgate", |_| {});
    std::fs::write(authority.path().join("client.pem"), client.certificate).unwrap();
    std::fs::write(authority.path().join("client.key"), client.key).unwrap();
    let address = serve(&leaf, &["http/1.1"], Some(authority.roots())).await;
    let endpoint = format!("https://{address}/");
    let without = authority.ask(json!({"endpoint": endpoint})).await;
    assert_eq!(without.failure.unwrap().kind, FailureKind::Down);
    let certificate = json!({"certificate": "client.pem", "key": {"file": "client.key"}});
    let authentication = json!({"client_certificate": certificate});
    let with = authority
        .ask(json!({"endpoint": endpoint, "authentication": authentication}))
        .await;
    assert_eq!(with.decided_by, DecidedBy::Endpoint, "{with:?}");
}

#[tokio::test]
async fn plain_http_spoken_to_tls_is_down() {
    let authority = Authority::new();
    let address = serve(&authority.leaf("127.0.0.1", |_| {}), &[], None).await;
    let consultation = authority.ask(json!({"endpoint": format!("http://{address}/")})).await;
    assert!(consultation.failure.is_some(), "{consultation:?}");
}
