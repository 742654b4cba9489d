//! `postgres://…`: which database, as whom, and how the way there is protected.

use std::{fmt, net::IpAddr, path::Path, str::FromStr, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{misconfigured::Misconfigured, secret::SecretSource, trust};

/// A database and the way to it. Neither `Debug` nor `Display` shows the password.
#[derive(Clone)]
pub(in crate::audit) struct Address {
    pub(super) config: Config,
    /// `None` where the way leaves this machine in clear text, as the operator said, or does not leave it.
    pub(super) tls: Option<MakeRustlsConnect>,
    shown: String,
}

impl Address {
    /// Reads `audit.store`. `sslmode` and `sslrootcert` in it mean what they mean to libpq, but what goes to another machine is verified
    /// unless `sslmode=disable` says otherwise, and nothing is half-verified.
    pub(in crate::audit) fn read(
        url: &str,
        password: Option<&SecretSource>,
        base: &Path,
    ) -> Result<Self, Misconfigured> {
        // The value may hold a password wherever it is malformed, so no finding quotes any of it.
        let wrong = |what: &str| Misconfigured::new("audit.store", what).hint(HINT);
        let (url, ours) = take_ours(url);
        let mut config = Config::from_str(&url).map_err(|_| wrong("this is no address of a PostgreSQL database"))?;
        if config.get_hosts().is_empty() {
            return Err(wrong("the address names no host"));
        }
        if config.get_user().is_none() {
            return Err(wrong("the address names no user"));
        }
        if let Some(source) = password {
            let of_password = |what: String| Misconfigured::new("audit.store_password", what);
            if config.get_password().is_some() {
                let what = "`audit.store` has a password in its address already";
                return Err(of_password(what.into()).hint("take one of the two away"));
            }
            let secret = source.read(base).map_err(|error| of_password(error.to_string()))?;
            config.password(secret.expose());
        }
        let local = config.get_hosts().iter().all(is_local);
        let mode = ours
            .mode
            .as_deref()
            .unwrap_or(if local { "disable" } else { "verify-full" });
        let tls = match mode {
            "disable" => {
                config.ssl_mode(SslMode::Disable);
                None
            }
            // What libpq calls `require` trusts anybody; whoever writes it wants TLS, and gets the whole of it.
            "require" | "verify-full" => {
                config.ssl_mode(SslMode::Require);
                let ca = ours.ca.as_deref().map(Path::new);
                let client =
                    trust::towards(ca.is_none(), ca, base, "audit.store").map_err(|finding| Misconfigured {
                        key: "audit.store".into(),
                        ..finding
                    })?;
                Some(MakeRustlsConnect::new(client))
            }
            _ => return Err(wrong("`sslmode` must be `disable` or `verify-full`")),
        };
        config
            .connect_timeout(CONNECT)
            .tcp_user_timeout(LOST)
            .keepalives_idle(LOST)
            .keepalives_interval(LOST)
            .keepalives_retries(3);
        let shown = shown(&config);
        Ok(Self { config, tls, shown })
    }

    /// How long connecting to one host may take.
    pub(super) const CONNECT: Duration = CONNECT;
}

/// What of the address is not for the library.
#[derive(Default)]
struct Ours {
    mode: Option<String>,
    ca: Option<String>,
}

/// Takes `sslmode` and `sslrootcert` out of the address.
fn take_ours(url: &str) -> (String, Ours) {
    let mut ours = Ours::default();
    let Some((rest, query)) = url.split_once('?') else {
        return (url.to_owned(), ours);
    };
    let mut others = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = || Some(percent_decode_str(value).decode_utf8_lossy().into_owned());
        match name {
            "sslmode" => ours.mode = value(),
            "sslrootcert" => ours.ca = value(),
            _ => others.push(pair),
        }
    }
    (format!("{rest}?{}", others.join("&")), ours)
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let name = match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
        };
        match ports.get(index).or(ports.first()) {
            Some(port) if *port != 5432 => format!("{name}:{port}"),
            _ => name,
        }
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    format!("postgres://{user}@{hosts}/{database}")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

const HINT: &str = "write it like `postgres://tollgate@db.example.com/tollgate`, and give the password by `audit.store_password = { env = \"…\" }`";

/// How long connecting to one host may take.
const CONNECT: Duration = Duration::from_secs(3);

/// After how long without an acknowledgement a connection counts as lost.
const LOST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address, Misconfigured> {
        Address::read(url, None, Path::new("/"))
    }

    #[test]
    fn no_password_is_shown() {
        let address = read("postgres://u:pw@127.0.0.1:6000,[::1]/x").unwrap();
        assert_eq!(address.to_string(), "postgres://u@127.0.0.1:6000,::1/x");
        assert!(!format!("{address:?}").contains("pw"));
    }

    #[test]
    fn what_leaves_the_machine_is_verified_by_default() {
        assert!(read("postgres://u@db.example.com/x").unwrap().tls.is_some());
        assert!(
            read("postgres://u@db.example.com/x?sslmode=require")
                .unwrap()
                .tls
                .is_some()
        );
        assert!(read("postgres://u@127.0.0.1,db.example.com/x").unwrap().tls.is_some());
        assert!(
            read("postgres://u@db.example.com/x?sslmode=disable")
                .unwrap()
                .tls
                .is_none()
        );
        for local in ["localhost", "127.0.0.1", "%2Frun%2Fpostgresql"] {
            assert!(
                read(&format!("postgres://u@{local}/x")).unwrap().tls.is_none(),
                "{local}"
            );
        }
        let finding = read("postgres://u@h/x?sslmode=prefer").unwrap_err();
        assert!(finding.message.contains("sslmode"), "{finding}");
        let finding = read("postgres://u@h/x?sslrootcert=missing.pem").unwrap_err();
        assert!(finding.message.contains("missing.pem"), "{finding}");
    }

    #[test]
    fn an_address_says_who_and_where() {
        assert!(read("postgres:///x").unwrap_err().message.contains("host"));
        assert!(read("postgres://h/x").unwrap_err().message.contains("user"));
    }
}
