//! An identity provider in which everything can be bent: a stub that answers like one, with tokens signed by hand.

use std::{
    net::SocketAddr,
    ops::Deref,
    sync::{Arc, Mutex},
};

use axum::response::Response;
use serde_json::{Value, json};
use tollgate::clock::Clock;

use super::{
    client::Answer,
    hook::Hook,
    keys::{self, Key},
    proxy::Proxy,
    setup::Setup,
    stub::{self, Arrival, Stub},
};

/// The id of the registration form, which only the provider's own page tells.
pub(crate) const EXECUTION: &str = "0f4a41a4-6a2f-4b2e-9d0a-7a7c1f1d9d0e";

/// The stub behind the proxy, with one interceptor for every trigger.
pub(crate) struct Idp {
    pub(crate) stub: Stub,
    pub(crate) hook: Hook,
    pub(crate) proxy: Proxy,
    pub(crate) key: Key,
    pub(crate) issuer: String,
    endpoints: Endpoints,
    state: Arc<Mutex<State>>,
}

/// Where the provider has its endpoints.
#[derive(Clone, Copy)]
pub(crate) struct Endpoints {
    base: &'static str,
    pub(crate) token: &'static str,
    pub(crate) jwks: &'static str,
    pub(crate) authorize: &'static str,
    pub(crate) userinfo: &'static str,
    pub(crate) introspect: &'static str,
    pub(crate) revoke: &'static str,
    pub(crate) logout: &'static str,
}

/// What the provider answers.
struct State {
    issuer: String,
    keys: Vec<Value>,
    tokens: Value,
}

const GENERIC: Endpoints = Endpoints {
    base: "",
    token: "/token",
    jwks: "/jwks",
    authorize: "/authorize",
    userinfo: "/userinfo",
    introspect: "/introspect",
    revoke: "/revoke",
    logout: "/logout",
};

const KEYCLOAK: Endpoints = Endpoints {
    base: "/realms/tg",
    token: "/realms/tg/protocol/openid-connect/token",
    jwks: "/realms/tg/protocol/openid-connect/certs",
    authorize: "/realms/tg/protocol/openid-connect/auth",
    userinfo: "/realms/tg/protocol/openid-connect/userinfo",
    introspect: "/realms/tg/protocol/openid-connect/token/introspect",
    revoke: "/realms/tg/protocol/openid-connect/revoke",
    logout: "/realms/tg/protocol/openid-connect/logout",
};

const AUTHENTIK: Endpoints = Endpoints {
    base: "/application/o/app",
    token: "/application/o/token/",
    jwks: "/application/o/app/jwks/",
    authorize: "/application/o/authorize/",
    userinfo: "/application/o/userinfo/",
    introspect: "/application/o/introspect/",
    revoke: "/application/o/revoke/",
    logout: "/application/o/app/end-session/",
};

impl Deref for Idp {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

impl Idp {
    /// One with its discovery document at the root.
    pub(crate) async fn generic(setup: Setup) -> Self {
        Self::start(setup, GENERIC).await
    }

    /// One with the paths of Keycloak's realm `tg`.
    pub(crate) async fn keycloak() -> Self {
        Self::keycloak_with(Setup::keycloak()).await
    }

    pub(crate) async fn keycloak_with(setup: Setup) -> Self {
        Self::start(setup, KEYCLOAK).await
    }

    /// One with the paths of authentik's application `app`.
    pub(crate) async fn authentik() -> Self {
        Self::start(Setup::of("authentik"), AUTHENTIK).await
    }

    /// One with its discovery document at the root, and another preset than `generic`.
    pub(crate) async fn at_root(preset: &'static str) -> Self {
        Self::start(Setup::of(preset), GENERIC).await
    }

    async fn start(setup: Setup, endpoints: Endpoints) -> Self {
        let key = Key::new("upstream-1");
        let state = Arc::new(Mutex::new(State {
            issuer: String::new(),
            keys: vec![key.jwk()],
            tokens: json!({}),
        }));
        let stub = Stub::start(provider(endpoints, &state)).await;
        let hook = Hook::start().await;
        let proxy = Proxy::start(&setup, &stub.url(), &hook).await;
        let issuer = format!("{}{}", proxy.url, endpoints.base);
        state.lock().unwrap().issuer.clone_from(&issuer);
        Self {
            stub,
            hook,
            proxy,
            key,
            issuer,
            endpoints,
            state,
        }
    }

    /// A provider without a proxy of its own, for one that was started before it.
    pub(crate) async fn behind(proxy: &Proxy, address: SocketAddr) -> Stub {
        let state = Arc::new(Mutex::new(State {
            issuer: proxy.url.clone(),
            keys: vec![Key::new("upstream-1").jwk()],
            tokens: json!({}),
        }));
        Stub::at_address(address, provider(GENERIC, &state)).await
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        self.endpoints
    }

    /// From now on the token endpoint answers this.
    pub(crate) fn hands_out(&self, tokens: Value) {
        self.state.lock().unwrap().tokens = tokens;
    }

    /// From now on the key set has these keys.
    pub(crate) fn publishes(&self, keys: Vec<Value>) {
        self.state.lock().unwrap().keys = keys;
    }

    /// The claims of a good access token for `web`.
    pub(crate) fn access_claims(&self) -> Value {
        let now = Clock::system().now().as_second();
        json!({
            "iss": self.issuer, "sub": "u-1", "aud": "api", "azp": "web", "typ": "Bearer", "iat": now, "exp": now + 300,
            "jti": "onrtac:1", "scope": "openid email", "email": "ada@example.com", "sid": "s-1",
        })
    }

    /// The claims of a good ID token that goes with this access token.
    pub(crate) fn id_claims(&self, access_token: &str) -> Value {
        let now = Clock::system().now().as_second();
        json!({
            "iss": self.issuer, "sub": "u-1", "aud": "web", "azp": "web", "typ": "ID", "iat": now, "exp": now + 300,
            "jti": "id:1", "at_hash": keys::half_hash(access_token), "email": "ada@example.com", "sid": "s-1",
        })
    }

    /// A good answer of the token endpoint.
    pub(crate) fn good_tokens(&self) -> Value {
        let access = self.key.sign(&self.access_claims());
        let id = self.key.sign(&self.id_claims(&access));
        json!({"access_token": access, "id_token": id, "refresh_token": "refresh-1", "token_type": "Bearer", "expires_in": 300})
    }

    /// Redeems a code as the client `web`.
    pub(crate) async fn redeem(&self) -> Answer {
        self.grant(&[("grant_type", "authorization_code"), ("code", "code-1")])
            .await
    }

    /// A token request as the client `web`.
    pub(crate) async fn grant(&self, form: &[(&str, &str)]) -> Answer {
        self.post(self.endpoints.token)
            .basic("web", "web-secret")
            .form(form)
            .send()
            .await
    }
}

fn provider(endpoints: Endpoints, state: &Arc<Mutex<State>>) -> impl Fn(&Arrival) -> Response + Send + Sync + 'static {
    let state = Arc::clone(state);
    move |arrival| answer(arrival, &endpoints, &state.lock().unwrap())
}

fn answer(arrival: &Arrival, endpoints: &Endpoints, state: &State) -> Response {
    let at = |path: &str| {
        format!(
            "{}{path}",
            state.issuer.strip_suffix(endpoints.base).unwrap_or_default()
        )
    };
    let path = arrival.path();
    let below = path.strip_prefix(endpoints.base).unwrap_or(path);
    if below == "/.well-known/openid-configuration" {
        return stub::json(
            200,
            &json!({
                "issuer": state.issuer,
                "authorization_endpoint": at(endpoints.authorize),
                "token_endpoint": at(endpoints.token),
                "userinfo_endpoint": at(endpoints.userinfo),
                "jwks_uri": at(endpoints.jwks),
                "introspection_endpoint": at(endpoints.introspect),
                "revocation_endpoint": at(endpoints.revoke),
                "end_session_endpoint": at(endpoints.logout),
                "pushed_authorization_request_endpoint": at(&format!("{}/protocol/openid-connect/ext/par/request", endpoints.base)),
                "backchannel_authentication_endpoint": at(&format!("{}/protocol/openid-connect/ext/ciba/auth", endpoints.base)),
                "response_types_supported": ["code", "id_token", "code token"],
                "response_modes_supported": ["query", "form_post", "query.jwt", "web_message"],
                "grant_types_supported": ["authorization_code", "urn:openid:params:grant-type:ciba"],
                "id_token_signing_alg_values_supported": ["ES256", "HS256"],
                "userinfo_signing_alg_values_supported": ["ES256", "none"],
                "userinfo_encryption_alg_values_supported": ["RSA-OAEP"],
                "backchannel_token_delivery_modes_supported": ["poll", "push"],
                "x_other": {"kept": [1, 2]},
            }),
        );
    }
    if path == endpoints.jwks {
        return stub::json(200, &json!({"keys": state.keys}));
    }
    if path == endpoints.token {
        return stub::json(200, &state.tokens);
    }
    if below == "/protocol/openid-connect/registrations" {
        let form = format!(
            "<form action=\"/realms/tg/login-actions/registration?session_code=x&amp;execution={EXECUTION}&amp;client_id=account\">"
        );
        return stub::reply(200, "text/html", form);
    }
    if path == "/realms/tg" {
        return stub::json(
            200,
            &json!({"realm": "tg", "public_key": "upstream's", "token-service": at("/realms/tg")}),
        );
    }
    stub::json(200, &json!({"reached": path}))
}
