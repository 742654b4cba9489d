//! A small and strict OpenID provider. It keeps everything in memory, forgets it when it ends, and lets its starter
//! look inside: which requests arrived, who has an account, which tokens still count.

mod accounts;
mod answer;
mod arrival;
mod authorize;
mod client_auth;
mod device;
mod exchange;
mod fields;
mod inspect;
mod issue;
mod keys;
mod logout;
mod metadata;
mod options;
mod realm;
mod token_endpoint;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router, middleware,
    routing::{get, post},
};

use self::realm::Realm;
pub use self::{
    arrival::Arrival,
    options::{AccessTokens, Algorithm, Client, DEVICE_CODE, Options, Organization, TOKEN_EXCHANGE, User},
};
use super::server::Server;

/// A running provider. It stops when this is dropped.
pub struct Provider {
    realm: Arc<Realm>,
    server: Server,
}

impl Provider {
    /// Makes keys and serves.
    ///
    /// # Errors
    /// The address cannot be bound, or the system has no randomness for keys.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listen = options.listen;
        let realm = Realm::new(options).map_err(|_| io::Error::other("the demo provider could not make its keys"))?;
        let realm = Arc::new(realm);
        let server = Server::start(listen, routes(realm.clone())).await?;
        Ok(Self { realm, server })
    }

    /// Where it listens itself, behind the proxy.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The same as a URL without a slash at its end, for `[upstream] url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Changes the issuer and all endpoints in discovery, for a proxy whose port is known later. Tokens that were
    /// made before keep the old issuer.
    pub fn set_public_url(&self, url: impl Into<String>) {
        self.realm.books().public_url = url.into();
    }

    /// Everybody who has an account.
    pub fn users(&self) -> Vec<User> {
        self.realm.books().users.clone()
    }

    /// Whether somebody has an account with that address.
    pub fn has_user(&self, email: &str) -> bool {
        self.realm.books().user_by_email(email).is_some()
    }

    /// Every request that arrived, in order.
    pub fn requests(&self) -> Vec<Arrival> {
        self.realm.books().arrivals.clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.realm.books().arrivals.clear();
    }

    /// Whether a token that was made here still counts: access, ID or refresh token, as it was handed out.
    pub fn token_is_active(&self, raw: &str) -> bool {
        self.realm.active(raw).is_some()
    }

    /// Every token that was handed out, access, ID and refresh tokens, in the order of their making.
    pub fn issued(&self) -> Vec<String> {
        self.realm.books().issued.clone()
    }

    /// The tokens that were revoked at `/revoke`, in order.
    pub fn revoked(&self) -> Vec<String> {
        self.realm.books().revoked.clone()
    }

    /// The claims of a JWT that was made here, if it was.
    pub fn claims(&self, jwt: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
        self.realm.keys.verify(jwt)
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

fn routes(realm: Arc<Realm>) -> Router {
    Router::new()
        .route("/", get(metadata::home))
        .route("/.well-known/openid-configuration", get(metadata::discovery))
        .route("/.well-known/oauth-authorization-server", get(metadata::discovery))
        .route("/jwks", get(metadata::jwks))
        .route("/authorize", get(authorize::authorize).post(authorize::authorize))
        .route("/login", post(authorize::login))
        .route("/signup", get(accounts::signup_page).post(accounts::signup))
        .route("/token", post(token_endpoint::token))
        .route("/device_authorization", post(device::begin))
        .route("/device", get(device::form).post(device::confirm))
        .route("/userinfo", get(inspect::userinfo).post(inspect::userinfo))
        .route("/introspect", post(inspect::introspect))
        .route("/revoke", post(inspect::revoke))
        .route("/logout", get(logout::logout).post(logout::logout))
        .route("/api/users", get(accounts::list).post(accounts::create))
        .route("/api/organizations/{id}/invitations", post(accounts::invite_to))
        .layer(middleware::from_fn_with_state(realm.clone(), arrival::note))
        .with_state(realm)
}

#[cfg(test)]
mod tests;
