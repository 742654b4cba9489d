//! What the steps of a request cost by themselves: `cargo bench --bench pieces`.

// A bench ends at what it does not expect.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[allow(dead_code)]
#[path = "../tests/it/world/keys.rs"]
mod keys;

use std::{hint::black_box, path::Path};

use criterion::{Criterion, criterion_group, criterion_main};
use http::Uri;
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use ring::hmac;
use serde_json::{Map, Value, json};
use tollgate::{
    event::{Context, Event, Trigger},
    exchange::Target,
    preset::Preset,
    route::Route,
    token::{AlgorithmChoice, Bound, Expected, KeyRing, Kind, Reissuer, Sealer, UpstreamKeys, Verified, verify},
};

const ISSUER: &str = "https://id.example.com/realms/customers";

fn recognise(c: &mut Criterion) {
    let mut group = c.benchmark_group("canonical + recognise");
    for own in [0, 1_000] {
        let routes: Vec<Route> = (0..own)
            .map(|n| {
                toml::from_str(&format!(
                    "name = \"own-{n}\"\nmethods = [\"POST\"]\npath = \"/api/{{tenant}}/own-{n}\"\ndoes = \"pass\""
                ))
                .unwrap()
            })
            .collect();
        let preset = Preset::load("keycloak", Path::new("."), &routes).unwrap();
        for (what, method, path) in [
            (
                "a token request",
                "POST",
                "/realms/customers/protocol/openid-connect/token",
            ),
            ("nothing", "GET", "/resources/kc8x2/login/theme/css/login.css?v=1"),
        ] {
            let uri: Uri = path.parse().unwrap();
            group.bench_function(format!("{what}, {own} routes of the operator's"), |b| {
                b.iter(|| {
                    let target = Target::read(black_box(&uri)).unwrap();
                    preset.candidates(method, target.path())
                });
            });
        }
    }
}

/// Both tokens of a login as Keycloak writes them, verified.
struct Login {
    raw: [String; 2],
    keys: UpstreamKeys,
    now: Timestamp,
}

impl Login {
    fn new(algorithm: Algorithm) -> Self {
        let key = keys::Key::of(algorithm, "upstream");
        let now = Timestamp::now();
        let common = json!({
            "iss": ISSUER, "sub": "b5c3a1de-6f0e-4b0a-9d5e-1c1f3a4a9a10", "exp": now.as_second() + 300, "iat": now.as_second(),
            "azp": "web", "sid": "0a4f4c9e-52b4-4b0f-8d5b-6c1c2f6d7e8f", "acr": "1", "preferred_username": "ada", "email": "ada@example.com",
        });
        let with = |more: Value| {
            let mut claims = common.as_object().unwrap().clone();
            claims.extend(more.as_object().unwrap().clone());
            Value::Object(claims)
        };
        let access = key.sign(&with(json!({
            "typ": "Bearer", "aud": "account", "scope": "openid email profile", "jti": "onrtac:1f0a",
            "realm_access": {"roles": ["default-roles-customers", "offline_access", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}},
        })));
        let id = key.sign(&with(
            json!({"typ": "ID", "aud": "web", "jti": "1f0b", "at_hash": key.half_hash(&access)}),
        ));
        let jwks = json!({ "keys": [key.jwk()] });
        Self {
            raw: [access, id],
            keys: UpstreamKeys::parse(jwks.to_string().as_bytes()).unwrap(),
            now,
        }
    }

    fn verified(&self) -> [Verified; 2] {
        let client_id = Some("web");
        let [access, id] = &self.raw;
        let kinds = [
            Kind::AccessToken { client_id },
            Kind::IdToken {
                client_id,
                nonce: None,
                access_token: Some(access),
                code: None,
                state: None,
            },
        ];
        let mut raw = [access, id].into_iter();
        kinds.map(|kind| {
            verify(
                raw.next().unwrap(),
                &self.keys,
                &Expected { issuer: ISSUER, kind },
                self.now,
            )
            .unwrap()
        })
    }
}

fn tokens(c: &mut Criterion) {
    let mut group = c.benchmark_group("both tokens of a login");
    let folder = keys::shared();
    let secret = tollgate::secret::Secret::new(std::fs::read(folder.join("capsule.key")).unwrap());
    let ring = KeyRing::load(&folder.join("signing")).unwrap();
    let reissuer = Reissuer::new(ring, Sealer::new(&secret, None).unwrap(), AlgorithmChoice::Match).unwrap();
    let add: Map<String, Value> = json!({"plan": "gold", "seats": 40}).as_object().unwrap().clone();
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let login = Login::new(algorithm);
        group.bench_function(format!("verify, {algorithm:?}"), |b| b.iter(|| login.verified()));
        let [access, id] = login.verified();
        let reissue = || {
            let access = reissuer.access_token(&access, &add, login.now).unwrap();
            let bound = Bound {
                access_token: Some(&access),
                ..Bound::default()
            };
            let id = reissuer.id_token(&id, &add, &bound, login.now).unwrap();
            [access, id]
        };
        group.bench_function(format!("splice, seal and sign, {algorithm:?}"), |b| b.iter(reissue));
        let reissued = reissue();
        group.bench_function(format!("verify ours, open and restore, {algorithm:?}"), |b| {
            b.iter(|| reissued.each_ref().map(|token| reissuer.restore(token).unwrap()));
        });
    }
}

fn event(c: &mut Criterion) {
    let text = |text: &str| Some(text.to_owned());
    let login = Login::new(Algorithm::ES256);
    let [access, id] = login.verified();
    let mut data = Map::new();
    data.insert(
        "claims".into(),
        json!({"access_token": access.claims(), "id_token": id.claims()}),
    );
    data.insert(
        "user".into(),
        json!({"id": "b5c3a1de", "email": "ada@example.com", "name": "Ada"}),
    );
    let event = Event {
        trigger: Trigger::PreSessionCreation,
        context: Context {
            environment_id: "prod-eu".into(),
            user_id: text("b5c3a1de-6f0e-4b0a-9d5e-1c1f3a4a9a10"),
            user_email: text("ada@example.com"),
            client_id: text("web"),
            user_agent: text("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
            triggered_at: login.now,
            request_id: "019abf4e-6a0b-7d4e-9a53-0f3b8c1d2e4f".into(),
            realm: text("customers"),
            grant_type: text("authorization_code"),
            ..Context::default()
        },
        data,
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    c.bench_function("event + signature", |b| {
        b.iter(|| {
            let body = serde_json::to_vec(black_box(&event)).unwrap();
            hmac::sign(&key, &body)
        });
    });
}

criterion_group!(pieces, recognise, tokens, event);
criterion_main!(pieces);
