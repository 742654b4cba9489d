//! Who lives at the provider: its clients, users and organizations.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    clock::{Clock, Period},
    secret::Secret,
};

/// What a provider is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The issuer, and the origin of every endpoint in discovery: the proxy's public URL, without a slash at its end.
    pub public_url: String,
    /// Where it listens, port 0 for a free one.
    pub listen: SocketAddr,
    /// The clients. Nobody else is served.
    pub clients: Vec<Client>,
    /// The users there are from the start.
    pub users: Vec<User>,
    /// The organizations that people can be invited to.
    pub organizations: Vec<Organization>,
    /// How long access and ID tokens live.
    pub lifetime: Period,
    /// The wall clock.
    pub clock: Clock,
}

/// A registered client (RFC 6749 §2).
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; a client without one is public and must use PKCE (RFC 7636).
    pub secret: Option<Secret>,
    /// Where codes may be sent, compared exactly.
    pub redirect_uris: Vec<String>,
    /// The `grant_type`s it may use.
    pub grants: Vec<String>,
    /// The scopes it may ask for; more than these is `invalid_scope`.
    pub scopes: Vec<String>,
    /// What its tokens are signed with.
    pub algorithm: Algorithm,
    /// What its access tokens look like.
    pub access_tokens: AccessTokens,
}

/// What tokens are signed with (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256.
    #[default]
    Es256,
    /// RSA PKCS#1 v1.5, 2048 bits.
    Rs256,
}

/// What access tokens look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessTokens {
    /// Signed, readable by the resource server.
    #[default]
    Jwt,
    /// A reference that only introspection understands (RFC 7662).
    Opaque,
}

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `sub`.
    pub id: String,
    /// Unique, compared without regard to ASCII case.
    pub email: String,
    /// The full name.
    pub name: String,
    /// `None` until somebody who was invited sets one; such a user cannot log in.
    pub password: Option<Secret>,
    /// The claim `roles`, left out when empty.
    pub roles: Vec<String>,
    /// The organization's id, for its members.
    pub organization: Option<String>,
    /// The id of the user who made this account for them.
    pub invited_by: Option<String>,
}

/// A team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// The id in paths.
    pub id: String,
    /// What people call it.
    pub name: String,
}

impl Options {
    /// The demo's own population at a free loopback port: clients `web`, `spa`, `cli` and `batch`, three users of one
    /// organization, and another organization that is empty.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clients: vec![
                Client::confidential("web", "web-secret")
                    .grants(&["authorization_code", "refresh_token", "password", TOKEN_EXCHANGE])
                    .scopes(PEOPLE)
                    .redirect_uri("http://127.0.0.1:9999/callback"),
                Client::public("spa")
                    .grants(&["authorization_code", "refresh_token"])
                    .scopes(PEOPLE)
                    .redirect_uri("http://127.0.0.1:9999/callback"),
                Client::public("cli")
                    .grants(&[DEVICE_CODE, "refresh_token"])
                    .scopes(PEOPLE),
                Client::confidential("batch", "batch-secret")
                    .grants(&["client_credentials"])
                    .scopes(&["reports:read", "reports:write", "admin"]),
            ],
            users: vec![
                User::member("ada", "ada@example.com", "Ada Lovelace", "correct-horse", "org_tea"),
                User::member("bob", "bob@example.com", "Bob Babbage", "battery-staple", "org_tea"),
                User::member(
                    "grace",
                    "grace@bigcorp.example",
                    "Grace Hopper",
                    "rear-admiral",
                    "org_tea",
                ),
            ],
            organizations: vec![
                Organization::new("org_tea", "Tea and Engines"),
                Organization::new("org_steam", "Steam Press"),
            ],
            lifetime: Period::secs(300),
            clock: Clock::system(),
        }
    }
}

impl Client {
    /// A client with a secret.
    pub fn confidential(id: &str, secret: &str) -> Self {
        Self {
            secret: Some(Secret::new(secret)),
            ..Self::public(id)
        }
    }

    /// A client without one.
    pub fn public(id: &str) -> Self {
        Self {
            id: id.into(),
            secret: None,
            redirect_uris: Vec::new(),
            grants: Vec::new(),
            scopes: Vec::new(),
            algorithm: Algorithm::default(),
            access_tokens: AccessTokens::default(),
        }
    }

    /// Adds `grant_type`s.
    pub fn grants(mut self, grants: &[&str]) -> Self {
        self.grants.extend(grants.iter().map(|&grant| grant.to_owned()));
        self
    }

    /// Adds scopes.
    pub fn scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes.extend(scopes.iter().map(|&scope| scope.to_owned()));
        self
    }

    /// Adds a redirect URI.
    pub fn redirect_uri(mut self, uri: &str) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Signs its tokens with this.
    pub fn signed_with(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Makes its access tokens references.
    pub fn opaque(mut self) -> Self {
        self.access_tokens = AccessTokens::Opaque;
        self
    }
}

impl User {
    /// Somebody with a password in an organization.
    pub fn member(id: &str, email: &str, name: &str, password: &str, organization: &str) -> Self {
        Self {
            id: id.into(),
            email: email.into(),
            name: name.into(),
            password: Some(Secret::new(password)),
            roles: Vec::new(),
            organization: Some(organization.into()),
            invited_by: None,
        }
    }
}

impl Organization {
    /// A team without members.
    pub fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
        }
    }
}

/// RFC 8628 §3.4.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// RFC 8693 §2.1.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

const PEOPLE: &[&str] = &["openid", "profile", "email", "offline_access"];
