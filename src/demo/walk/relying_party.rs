//! A client as strict as the specifications ask for, made with a library that knows nothing of Tollgate.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Map, Value};

use super::scene::Scene;
use crate::demo::client::{NoReply, Reply};

/// What a client knows of the provider: the discovery document and the keys it leads to.
pub(super) struct RelyingParty<'s> {
    scene: &'s Scene<'s>,
    discovery: Value,
    keys: JwkSet,
}

/// Why a token is not taken.
pub(super) type Refused = String;

impl<'s> RelyingParty<'s> {
    /// Reads discovery and JWKS through the proxy.
    pub(super) async fn discover(scene: &'s Scene<'s>) -> Result<Self, NoReply> {
        let url = scene.at("/.well-known/openid-configuration");
        let discovery = scene.http.get(url).send().await?.json();
        let mut party = Self {
            scene,
            discovery,
            keys: JwkSet { keys: Vec::new() },
        };
        let keys = scene.http.get(party.endpoint("jwks_uri")).send().await?;
        party.keys = serde_json::from_value(keys.json()).unwrap_or(party.keys);
        Ok(party)
    }

    /// An endpoint by its name in discovery.
    pub(super) fn endpoint(&self, name: &str) -> String {
        let endpoint = self.discovery.get(name).and_then(Value::as_str);
        endpoint.unwrap_or(&self.scene.public_url).to_owned()
    }

    /// Logs a user in by authorization code and PKCE (RFC 6749 §4.1, RFC 7636): the answer of the token endpoint.
    pub(super) async fn log_in(&self, email: &str, password: &str) -> Result<Reply, NoReply> {
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()));
        let login = self.scene.http.post(self.endpoint("authorization_endpoint"));
        let login = login.form(&[
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", CALLBACK),
            ("scope", "openid profile email"),
            ("state", "a-state"),
            ("nonce", NONCE),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("login_hint", email),
            ("password", password),
        ]);
        let code = login.send().await?.location_parameter("code").unwrap_or_default();
        let redeem = self.scene.http.post(self.endpoint("token_endpoint"));
        let redeem = redeem.form(&[
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ]);
        redeem.send().await
    }

    /// Verifies an ID token (OIDC Core §3.1.3.7), its nonce, and that it goes with the access token.
    pub(super) fn id_token(&self, raw: &str, access_token: &str) -> Result<Map<String, Value>, Refused> {
        let claims = self.verify(raw, CLIENT)?;
        if claims.get("nonce").and_then(Value::as_str) != Some(NONCE) {
            return Err("the nonce is another one".into());
        }
        // RS256 and ES256 both hash with SHA-256 (§3.1.3.6).
        let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
        let half = URL_SAFE_NO_PAD.encode(hash.as_ref().split_at(16).0);
        match claims.get("at_hash").and_then(Value::as_str) {
            Some(at_hash) if at_hash == half => Ok(claims),
            _ => Err("`at_hash` does not fit the access token".into()),
        }
    }

    /// Verifies an access token as the API behind it would (RFC 9068 §4).
    pub(super) fn access_token(&self, raw: &str) -> Result<Map<String, Value>, Refused> {
        self.verify(raw, "demo-api")
    }

    fn verify(&self, raw: &str, audience: &str) -> Result<Map<String, Value>, Refused> {
        let refused = |error: jsonwebtoken::errors::Error| error.to_string();
        let header = decode_header(raw).map_err(refused)?;
        let key = header.kid.as_deref().and_then(|kid| self.keys.find(kid));
        let key = key.ok_or("its key is not in the JWKS")?;
        let key = DecodingKey::from_jwk(key).map_err(refused)?;
        let mut strict = Validation::new(header.alg);
        strict.set_audience(&[audience]);
        strict.set_issuer(&[self.discovery.get("issuer").and_then(Value::as_str).unwrap_or_default()]);
        strict.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        decode(raw, &key, &strict).map(|token| token.claims).map_err(refused)
    }
}

const CLIENT: &str = "spa";
const CALLBACK: &str = "http://127.0.0.1:9999/callback";
const NONCE: &str = "a-nonce";
const VERIFIER: &str = "a-verifier-is-forty-three-characters-or-more";
