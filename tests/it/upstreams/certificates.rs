//! A certificate for each upstream, chosen by the name that a client asks for.

use std::{fs, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tollgate::dashboard::Attempt;

use super::two;
use crate::world::two::{HOSTS, Two};

/// Makes a certificate for a name, and gives the setting `tls` with it.
fn certificate(two: &Two, name: &str) -> (CertificateDer<'static>, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let place = |ending: &str| two.proxy.folder.path().join(format!("{name}.{ending}"));
    fs::write(place("crt"), made.cert.pem()).unwrap();
    fs::write(place("key"), made.signing_key.serialize_pem()).unwrap();
    let setting = format!("tls = {{ certificate = \"{name}.crt\", key = \"{name}.key\" }}");
    (made.cert.der().clone(), setting)
}

/// Whether a client that trusts just this certificate gets it when it asks for a name.
async fn is_shown(two: &Two, name: &str, certificate: &CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(two.proxy.address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
}

#[tokio::test]
async fn each_name_is_shown_its_own_certificate() {
    let two = two().await;
    let (login, for_login) = certificate(&two, HOSTS[0]);
    let (sso, for_sso) = certificate(&two, HOSTS[1]);
    two.proxy
        .change("name = \"customers\"", &format!("name = \"customers\"\n{for_login}"));
    let Attempt::Refused(why) = two.proxy.reload().await else {
        panic!("one listener speaks TLS or does not");
    };
    assert!(
        why.contains("this upstream has no certificate, and another one has"),
        "{why}"
    );

    two.proxy
        .change("name = \"staff\"", &format!("name = \"staff\"\n{for_sso}"));
    two.proxy.reloaded().await;
    for (name, certificate, other) in [(HOSTS[0], &login, &sso), (HOSTS[1], &sso, &login)] {
        assert!(is_shown(&two, name, certificate).await, "{name}");
        assert!(!is_shown(&two, name, other).await, "{name}");
    }

    fs::write(
        two.proxy.folder.path().join(format!("{}.crt", HOSTS[1])),
        "no certificate",
    )
    .unwrap();
    let line = two.proxy.text().lines().position(|line| line == for_sso).unwrap() + 1;
    let Attempt::Refused(why) = two.proxy.reload().await else {
        panic!("a certificate that cannot be read was taken");
    };
    assert!(why.contains(&format!("proxy.toml:{line}:")), "{why}");
    assert!(is_shown(&two, HOSTS[1], &sso).await, "what runs goes on");
}
