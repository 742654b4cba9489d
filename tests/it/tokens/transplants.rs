//! Capsules where they do not belong, at every place from which a token is mapped back.
//!
//! The forger here even holds Tollgate's signing keys: the capsule alone stands between one user's token and another's.

use std::fs;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::world::{Answer, Idp, keys, proxy::Proxy};

/// Tokens of ours that a forger takes apart: Ada's at `web`, Grace's at `web`, Ada's at `other`; and the keys.
struct Loot {
    jwks: Value,
    ada: String,
    ada_id: String,
    grace: String,
    other: String,
}

/// One of our signing keys.
struct Forger {
    header: Value,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Loot {
    async fn of(idp: &Idp) -> Self {
        let own = idp.access_claims();
        let (mut grace, mut other) = (own.clone(), own.clone());
        grace["sub"] = json!("u-2");
        grace["email"] = json!("grace@example.com");
        other["azp"] = json!("other");
        let (ada, ada_id) = issued(idp, &own, "web").await;
        Self {
            jwks: idp.get(idp.endpoints().jwks).send().await.json(),
            ada,
            ada_id,
            grace: issued(idp, &grace, "web").await.0,
            other: issued(idp, &other, "other").await.0,
        }
    }

    /// Everything that a forger can make of them, with what it is.
    fn forged(&self) -> Vec<(String, String)> {
        let [ours, another] = [self.forger("p256", "ES256"), self.forger("ed25519", "EdDSA")];
        let (payload, capsule) = parts(&self.ada);
        let with = |payload: &str, capsule: &str| ours.sign(&planted(payload, capsule));
        let mut forged = vec![
            ("another user's token".to_owned(), with(&payload, &parts(&self.grace).1)),
            (
                "another client's token".to_owned(),
                with(&payload, &parts(&self.other).1),
            ),
            ("the ID token".to_owned(), with(&payload, &parts(&self.ada_id).1)),
            (
                "under another user's name".to_owned(),
                with(&parts(&self.grace).0, &capsule),
            ),
            (
                "under another client's name".to_owned(),
                with(&parts(&self.other).0, &capsule),
            ),
            ("in the ID token".to_owned(), with(&parts(&self.ada_id).0, &capsule)),
            ("longer valid".to_owned(), with(&later(&payload), &capsule)),
            (
                "by another key of ours".to_owned(),
                another.sign(&planted(&payload, &capsule)),
            ),
            ("no capsule".to_owned(), ours.sign(&payload)),
            ("an empty capsule".to_owned(), with(&payload, "")),
        ];
        let bytes = URL_SAFE_NO_PAD.decode(&capsule).unwrap();
        // The first four bytes name the secret: these are capsules of an older one, too.
        for at in [0, 1, 2, 3, 4, 15, 16, bytes.len() / 2, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let flipped = URL_SAFE_NO_PAD.encode(flipped);
            forged.push((format!("byte {at} changed"), with(&payload, &flipped)));
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..at]);
            forged.push((format!("cut at byte {at}"), with(&payload, &cut)));
        }
        forged
    }

    /// Signs with our key of this kind.
    fn forger(&self, kind: &str, algorithm: &str) -> Forger {
        let mut files = fs::read_dir(keys::shared().join("signing"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let file = files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind));
        let pem = fs::read(file.unwrap()).unwrap();
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).unwrap();
        let der = der.secret_pkcs8_der();
        let published = self.jwks["keys"].as_array().unwrap();
        let public = published.iter().find(|key| key["alg"] == algorithm).unwrap();
        Forger {
            header: json!({"alg": algorithm, "kid": public["kid"], "typ": "JWT"}),
            algorithm: algorithm.parse().unwrap(),
            key: match kind {
                "p256" => EncodingKey::from_ec_der(der),
                _ => EncodingKey::from_ed_der(der),
            },
        }
    }
}

impl Forger {
    fn sign(&self, payload: &str) -> String {
        let signed = format!(
            "{}.{}",
            keys::b64(self.header.to_string().as_bytes()),
            keys::b64(payload.as_bytes())
        );
        let signature = crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

#[tokio::test]
async fn a_transplanted_capsule_is_accepted_nowhere_and_all_errors_are_alike() {
    let idp = Idp::keycloak().await;
    let loot = Loot::of(&idp).await;
    // What a forger makes of a good token, its capsule unchanged, is that token, and it is mapped back everywhere.
    let (payload, capsule) = parts(&loot.ada);
    let good = loot.forger("p256", "ES256").sign(&planted(&payload, &capsule));
    for place in PLACES {
        // A proof of possession covers our token, so the provider's would not be accepted with it.
        if matches!(place.by, By::Bearer("DPoP", _)) {
            assert_eq!(place.show(&idp.proxy, &good).await.status, 401);
            continue;
        }
        idp.stub.forget();
        place.show(&idp.proxy, &good).await;
        let arrivals = idp.stub.arrivals();
        let arrived = arrivals.iter().find(|arrival| arrival.path().ends_with(place.path));
        let arrived = format!(
            "{:?}",
            arrived.unwrap_or_else(|| panic!("{} is not reached", place.name))
        );
        assert!(
            arrived.contains("eyJ") && !arrived.contains(&good),
            "{}: {arrived}",
            place.name
        );
    }

    idp.stub.forget();
    for place in PLACES {
        let mut first: Option<String> = None;
        for (what, token) in loot.forged() {
            let answer = place.show(&idp.proxy, &token).await;
            assert!(
                (400..500).contains(&answer.status),
                "{}, {what}: {answer:?}",
                place.name
            );
            let said = without_id(&answer);
            let first = first.get_or_insert_with(|| said.clone());
            assert_eq!(*first, said, "{}, {what}", place.name);
        }
    }
    let reached: Vec<_> = idp.stub.arrivals().into_iter().map(|arrival| arrival.target).collect();
    assert!(reached.is_empty(), "{reached:?}");
}

/// A place in a request from which a token is mapped back.
struct Place {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    by: By,
}

enum By {
    /// With this scheme, and a body of this type.
    Bearer(&'static str, Option<(&'static str, &'static str)>),
    Query(&'static str),
    Form(&'static str, &'static [(&'static str, &'static str)]),
}

impl Place {
    async fn show(&self, proxy: &Proxy, token: &str) -> Answer {
        let path = format!("/realms/tg{}", self.path);
        match self.by {
            By::Bearer(scheme, body) => {
                let call = proxy.call(self.method, &path);
                let call = call.header("authorization", &format!("{scheme} {token}"));
                match body {
                    Some((content_type, body)) => call.body(content_type, body).send().await,
                    None => call.send().await,
                }
            }
            By::Query(parameter) => {
                let target = format!("{path}?client_id=web&{parameter}={token}");
                proxy.call(self.method, &target).send().await
            }
            By::Form(parameter, others) => {
                let fields = [others, &[(parameter, token)]].concat();
                let call = proxy.call(self.method, &path).basic("web", "web-secret");
                call.form(&fields).send().await
            }
        }
    }
}

const PLACES: &[Place] = &[
    place(
        "userinfo, header",
        "GET",
        "/protocol/openid-connect/userinfo",
        By::Bearer("Bearer", None),
    ),
    place(
        "userinfo, DPoP",
        "GET",
        "/protocol/openid-connect/userinfo",
        By::Bearer("DPoP", None),
    ),
    place(
        "userinfo, form",
        "POST",
        "/protocol/openid-connect/userinfo",
        By::Form("access_token", &[]),
    ),
    place(
        "introspection",
        "POST",
        "/protocol/openid-connect/token/introspect",
        By::Form("token", &[]),
    ),
    place(
        "revocation",
        "POST",
        "/protocol/openid-connect/revoke",
        By::Form("token", &[]),
    ),
    place(
        "logout, query",
        "GET",
        "/protocol/openid-connect/logout",
        By::Query("id_token_hint"),
    ),
    place(
        "logout, form",
        "POST",
        "/protocol/openid-connect/logout",
        By::Form("id_token_hint", &[]),
    ),
    place(
        "authorize, query",
        "GET",
        "/protocol/openid-connect/auth",
        By::Query("id_token_hint"),
    ),
    place(
        "authorize, form",
        "POST",
        "/protocol/openid-connect/auth",
        By::Form("id_token_hint", &[]),
    ),
    place(
        "PAR",
        "POST",
        "/protocol/openid-connect/ext/par/request",
        By::Form("id_token_hint", &[]),
    ),
    place("exchange, subject", "POST", TOKEN, By::Form("subject_token", EXCHANGE)),
    place("exchange, actor", "POST", TOKEN, By::Form("actor_token", EXCHANGE)),
    place("JWT bearer", "POST", TOKEN, By::Form("assertion", JWT_BEARER)),
    place("UMA, claims", "POST", TOKEN, By::Form("claim_token", UMA)),
    place("UMA, RPT", "POST", TOKEN, By::Form("rpt", UMA)),
    place(
        "UMA, header",
        "POST",
        TOKEN,
        By::Bearer(
            "Bearer",
            Some((
                "application/x-www-form-urlencoded",
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Auma-ticket",
            )),
        ),
    ),
    place("account", "GET", "/account", By::Bearer("Bearer", None)),
    place(
        "protection API",
        "POST",
        "/authz/protection/permission",
        By::Bearer("Bearer", None),
    ),
    place(
        "registration of clients",
        "POST",
        "/clients-registrations/openid-connect",
        By::Bearer("Bearer", Some(("application/json", "{}"))),
    ),
    place(
        "a path that nobody knows",
        "DELETE",
        "/somewhere",
        By::Bearer("bearer", None),
    ),
];

const fn place(name: &'static str, method: &'static str, path: &'static str, by: By) -> Place {
    Place { name, method, path, by }
}

/// The access token and the ID token that the proxy hands out for these claims.
async fn issued(idp: &Idp, claims: &Value, client: &str) -> (String, String) {
    let access = idp.key.sign(claims);
    let mut id = idp.id_claims(&access);
    id["sub"] = claims["sub"].clone();
    id["aud"] = json!(client);
    id["azp"] = json!(client);
    idp.hands_out(
        json!({"access_token": access, "id_token": idp.key.sign(&id), "token_type": "Bearer", "expires_in": 300}),
    );
    let code = [("grant_type", "authorization_code"), ("code", "code-1")];
    let answer = idp
        .post(idp.endpoints().token)
        .basic(client, "secret")
        .form(&code)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (token("access_token"), token("id_token"))
}

/// A payload without its capsule, and the capsule.
fn parts(token: &str) -> (String, String) {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    let (before, capsule) = payload.split_once(",\"tgc\":\"").unwrap();
    (format!("{before}}}"), capsule.strip_suffix("\"}").unwrap().to_owned())
}

/// The payload with a capsule in the place where ours is.
fn planted(payload: &str, capsule: &str) -> String {
    format!("{},\"tgc\":\"{capsule}\"}}", payload.strip_suffix('}').unwrap())
}

/// The payload of a token that never expires.
fn later(payload: &str) -> String {
    let mut claims: Value = serde_json::from_str(payload).unwrap();
    claims["exp"] = json!(4_000_000_000_u32);
    claims.to_string()
}

/// All that a client is told, without the time and the id of its request.
fn without_id(answer: &Answer) -> String {
    let said = format!("{answer:?}");
    let own = ["date", "x-request-id"].map(|name| answer.header(name).unwrap());
    own.iter().fold(said, |said, value| said.replace(value, ""))
}

const EXCHANGE: &[(&str, &str)] = &[("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")];
const JWT_BEARER: &[(&str, &str)] = &[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")];
const UMA: &[(&str, &str)] = &[("grant_type", "urn:ietf:params:oauth:grant-type:uma-ticket")];
const TOKEN: &str = "/protocol/openid-connect/token";
