//! Whether the interceptors' endpoints are there.

use std::{io::Write, path::Path, sync::Arc, time::Duration};

use http::Uri;
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{super::outcome::Stop, findings::Findings};
use crate::{
    config::Config,
    interceptor::{Interceptors, Settings, sample},
    verdict::DecidedBy,
};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to every endpoint, and with `call` asks it about a sample.
pub(super) async fn check(
    config: &Config,
    interceptors: Option<&Interceptors>,
    call: bool,
    findings: &mut Findings<'_, impl Write>,
) -> Result<(), Stop> {
    let all = config.all_interceptors();
    for settings in all.iter().filter(|settings| settings.enabled) {
        let connected = timeout(PATIENCE, connect(settings, &config.base)).await;
        let connected = connected.unwrap_or_else(|_| Err(format!("no connection within {} s", PATIENCE.as_secs())));
        let name = &settings.name;
        match connected {
            Ok(()) if call => {}
            Ok(()) => findings.ok("endpoint", format!("`{name}`: {} can be reached", settings.endpoint))?,
            Err(why) => {
                findings.fail(
                    "endpoint",
                    format!("`{name}`: {} cannot be reached: {why}", settings.endpoint),
                    "start the endpoint, or correct `endpoint`; `enabled = false` sets an interceptor aside",
                )?;
                continue;
            }
        }
        if let Some(interceptors) = interceptors.filter(|_| call) {
            ask(interceptors, settings, findings).await?;
        }
    }
    Ok(())
}

async fn ask(
    interceptors: &Interceptors,
    settings: &Settings,
    findings: &mut Findings<'_, impl Write>,
) -> Result<(), Stop> {
    let (event, existing) = sample(settings.trigger, Timestamp::now());
    let Some(trial) = interceptors.consult_one(&settings.name, &event, &existing).await else {
        return Ok(());
    };
    let name = &settings.name;
    let consultation = trial.consultation;
    if consultation.decided_by == DecidedBy::Endpoint {
        let ms = consultation.duration.as_millis();
        return findings.ok(
            "endpoint",
            format!("`{name}`: {} gave a verdict in {ms} ms", settings.endpoint),
        );
    }
    let why = consultation
        .failure
        .map_or_else(|| "no verdict".to_owned(), |failure| failure.detail);
    findings.fail(
        "endpoint",
        format!("`{name}`: {} gave no verdict on a sample: {why}", settings.endpoint),
        &format!("`tollgate test --interceptor \"{name}\"` shows the exact request and the answer"),
    )
}

async fn connect(settings: &Settings, base: &Path) -> Result<(), String> {
    let uri: Uri = settings.endpoint.parse().map_err(|_| "it is no URL".to_owned())?;
    let host = uri.host().ok_or("it has no host")?.trim_matches(['[', ']']).to_owned();
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|error| error.to_string())?;
    if is_tls {
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        connector(settings, base)?
            .connect(name, stream)
            .await
            .map_err(|error| format!("TLS: {error}"))?;
    }
    Ok(())
}

fn connector(settings: &Settings, base: &Path) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(ca) = &settings.ca {
        let certificates = CertificateDer::pem_file_iter(base.join(ca))
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("`ca` cannot be read: {error}"))?;
        roots.add_parsable_certificates(certificates);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
