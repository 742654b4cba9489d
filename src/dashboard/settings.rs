//! `[admin]` in `proxy.toml`.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::{clock::Period, listen::Tls, misconfigured::Misconfigured, secret::SecretSource};

/// `[admin]`: the listener for the operator, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port. An address that is not of this machine alone needs `token` or `login`. Default: `127.0.0.1:9443`.
    pub address: SocketAddr,
    /// The address that browsers use, where it is not the one above: `https://tollgate.example.com`. `login` needs it where the
    /// listener is not on this machine alone.
    pub public_url: Option<String>,
    /// Further host names that browsers may use. A `Host` that is neither an address, nor `localhost` on this machine, nor known here
    /// or from `public_url` is refused, so that no other site can stand in for this one.
    pub names: Vec<String>,
    /// The certificate to serve TLS with, as for `[listen]`.
    pub tls: Option<Tls>,
    /// A token that lets its bearer do everything, 16 bytes or more: in `Authorization: Bearer …`, or typed into the page.
    pub token: Option<SecretSource>,
    /// Lets people log in at the identity provider.
    pub login: Option<LoginSettings>,
}

/// `admin.login`: people log in at the identity provider, by code flow with PKCE (RFC 7636).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginSettings {
    /// A client of the provider for Tollgate itself; its redirect URI is `/login/callback` below the address of the dashboard.
    pub client_id: String,
    /// Its secret; left out for a public client.
    #[serde(default)]
    pub client_secret: Option<SecretSource>,
    /// The realm to log in to, where the provider has realms.
    #[serde(default)]
    pub realm: Option<String>,
    /// The upstream that people log in at, by its `name`. Default: the first one.
    #[serde(default)]
    pub upstream: Option<String>,
    /// The scopes that are asked for. Default: `openid profile email`.
    #[serde(default = "scope")]
    pub scope: String,
    /// The JSON pointer (RFC 6901) of the claim with a person's roles, in the ID token or else the access token: one text, texts
    /// with spaces between, or a list. Default: `/realm_access/roles`.
    #[serde(default = "roles")]
    pub roles: String,
    /// Roles that may look at everything.
    #[serde(default)]
    pub viewers: Vec<String>,
    /// Roles that may also act: try interceptors.
    #[serde(default)]
    pub operators: Vec<String>,
    /// How long a login counts at the most; less where the provider's ID token ends sooner, so that a role that was taken away
    /// ends with it. Default: `8h`.
    #[serde(default = "session")]
    pub session: Period,
}

impl Settings {
    /// Whether everybody who reaches the listener is let in: it is on this machine alone, and nothing else was asked for.
    pub fn is_open(&self) -> bool {
        self.address.ip().is_loopback() && self.token.is_none() && self.login.is_none()
    }

    /// What is wrong with the plain values, under `admin.…`.
    pub fn findings(&self) -> Vec<Misconfigured> {
        let mut found = Vec::new();
        if !self.address.ip().is_loopback() && self.token.is_none() && self.login.is_none() {
            found.push(
                Misconfigured::new(
                    "admin.address",
                    format!(
                        "{} can be reached from other machines, and nobody would have to log in",
                        self.address
                    ),
                )
                .hint(
                    "stay on `127.0.0.1`, or add to [admin]\n  \
                     token = { file = \"certs/admin.token\" }        made by: openssl rand -base64 32 > certs/admin.token\n\
                     or a login at the provider\n  \
                     login = { client_id = \"tollgate-admin\", client_secret = { env = \"ADMIN_CLIENT_SECRET\" }, \
                     operators = [\"tollgate-operator\"] }",
                ),
            );
        }
        if let Some(login) = &self.login {
            let mut expect = |holds: bool, key: &str, message: &str, hint: &str| {
                if !holds {
                    found.push(Misconfigured::new(key, message).hint(hint));
                }
            };
            expect(
                !login.viewers.is_empty() || !login.operators.is_empty(),
                "admin.login",
                "nobody could log in: neither `viewers` nor `operators` names a role",
                "add `operators = [\"tollgate-operator\"]`, a role that you give to people at the provider",
            );
            expect(
                login.roles.starts_with('/'),
                "admin.login.roles",
                "`roles` is a JSON pointer",
                "write it like `roles = \"/realm_access/roles\"`",
            );
            expect(
                (Period::secs(60)..=Period::secs(7 * 86_400)).contains(&login.session),
                "admin.login.session",
                "a session this long is out of range",
                "write a time from `1m` to `7d`",
            );
            expect(
                self.public_url.is_some() || self.address.ip().is_loopback(),
                "admin.public_url",
                "`login` needs the address that browsers use: the provider sends them back there",
                "add `public_url = \"https://tollgate.example.com\"` to [admin]",
            );
        }
        found
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 9443)),
            public_url: None,
            names: Vec::new(),
            tls: None,
            token: None,
            login: None,
        }
    }
}

fn scope() -> String {
    "openid profile email".into()
}

fn roles() -> String {
    "/realm_access/roles".into()
}

fn session() -> Period {
    Period::secs(8 * 3600)
}
