//! A client that logs in again and again, and verifies what it gets.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

const CALLBACK: &str = "http://127.0.0.1:9999/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk-aaaaaa";
/// How long the provider's tokens live, with some time to spare.
const LIVES: Duration = Duration::from_secs(8);

/// What clients saw.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) logins: usize,
    pub(crate) requests: usize,
    pub(crate) failed: Vec<String>,
    pub(crate) verified: usize,
    pub(crate) unverified: Vec<String>,
    pub(crate) kids: BTreeSet<String>,
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        self.logins += other.logins;
        self.requests += other.requests;
        self.failed.extend(other.failed);
        self.verified += other.verified;
        self.unverified.extend(other.unverified);
        self.kids.extend(other.kids);
    }
}

/// A relying party. It keeps the key set as long as `Cache-Control` allows, and looks for no key that is not in there.
pub(crate) struct Client {
    url: String,
    pool: Pool<HttpConnector, Full<Bytes>>,
    figures: Figures,
    keys: Option<(Instant, JwkSet)>,
    /// Tokens that have not expired.
    earlier: VecDeque<(Instant, String)>,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            pool: Pool::builder(TokioExecutor::new()).build_http(),
            figures: Figures::default(),
            keys: None,
            earlier: VecDeque::new(),
        }
    }

    pub(crate) async fn log_in_until(mut self, stop: &AtomicBool) -> Figures {
        while !stop.load(Ordering::Relaxed) {
            self.log_in().await;
        }
        self.figures
    }

    async fn log_in(&mut self) -> Option<()> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let form = [
            ("client_id", "web"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("login_hint", "ada@example.com"),
            ("password", "correct-horse"),
        ];
        let answer = self.post("/authorize", &form).await?;
        let Some(code) = code(&answer) else {
            self.figures.failed.push("/authorize: no code".to_owned());
            return None;
        };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let answer: Value = serde_json::from_slice(self.post("/token", &form).await?.body()).unwrap();
        for name in ["access_token", "id_token"] {
            let Some(token) = answer.get(name).and_then(Value::as_str) else {
                self.figures.failed.push(format!("/token: no {name}"));
                return None;
            };
            self.verify(name, token).await;
        }
        self.figures.logins += 1;
        let access = answer["access_token"].as_str().unwrap().to_owned();
        self.userinfo(&access).await;
        // One from before, which an older key may have signed, still verifies and maps back.
        self.earlier.push_back((Instant::now(), access));
        self.earlier.retain(|(at, _)| at.elapsed() < LIVES);
        if let Some((_, oldest)) = self.earlier.front().cloned() {
            self.verify("earlier access_token", &oldest).await;
            self.userinfo(&oldest).await;
        }
        Some(())
    }

    async fn verify(&mut self, name: &str, token: &str) {
        if self.keys.as_ref().is_none_or(|(until, _)| *until <= Instant::now()) {
            self.fetch_keys().await;
        }
        let header = decode_header(token).unwrap();
        let kid = header.kid.unwrap_or_default();
        let keys = self.keys.as_ref().map(|(_, keys)| keys);
        let mut rules = Validation::new(header.alg);
        rules.validate_aud = false;
        let verified = match keys.and_then(|keys| keys.find(&kid)) {
            Some(jwk) => decode::<Map<String, Value>>(token, &DecodingKey::from_jwk(jwk).unwrap(), &rules)
                .map_err(|e| e.to_string())
                .and_then(|token| match token.claims.get("plan") {
                    Some(_) => Ok(()),
                    None => Err("the added claim is not there".to_owned()),
                }),
            None => Err("its key is not in the key set at hand".to_owned()),
        };
        match verified {
            Ok(()) => {
                self.figures.verified += 1;
                self.figures.kids.insert(kid);
            }
            Err(why) => self.figures.unverified.push(format!("{name} under {kid}: {why}")),
        }
    }

    async fn fetch_keys(&mut self) {
        let Some(answer) = self.get("/jwks", None).await else {
            return;
        };
        let caching = answer.headers().get(header::CACHE_CONTROL);
        let age = caching.and_then(|value| value.to_str().ok()?.rsplit_once("max-age=")?.1.parse().ok());
        let keys: JwkSet = serde_json::from_slice(answer.body()).unwrap();
        self.keys = Some((Instant::now() + Duration::from_secs(age.unwrap_or(0)), keys));
    }

    async fn userinfo(&mut self, token: &str) {
        if let Some(answer) = self.get("/userinfo", Some(token)).await
            && !String::from_utf8_lossy(answer.body()).contains("ada@example.com")
        {
            self.figures
                .failed
                .push("/userinfo: it does not say who it is".to_owned());
        }
    }

    async fn get(&mut self, target: &str, bearer: Option<&str>) -> Option<Response<Bytes>> {
        let mut request = Request::get(format!("{}{target}", self.url));
        if let Some(token) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(target, request.body(Full::default()).unwrap()).await
    }

    async fn post(&mut self, target: &str, form: &[(&str, &str)]) -> Option<Response<Bytes>> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut request = Request::post(format!("{}{target}", self.url))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if target == "/token" {
            request = request.header(header::AUTHORIZATION, "Basic d2ViOndlYi1zZWNyZXQ=");
        }
        self.send(target, request.body(Full::from(body)).unwrap()).await
    }

    /// One request; what is neither a success nor a redirect has failed.
    async fn send(&mut self, target: &str, request: Request<Full<Bytes>>) -> Option<Response<Bytes>> {
        self.figures.requests += 1;
        let failed = match read(&self.pool, request).await {
            Ok(answer) if answer.status().is_success() || answer.status() == StatusCode::FOUND => return Some(answer),
            Ok(answer) if answer.status() == StatusCode::SEE_OTHER => return Some(answer),
            Ok(answer) => format!(
                "{target}: {} {}",
                answer.status(),
                String::from_utf8_lossy(answer.body())
            ),
            Err(why) => format!("{target}: {why}"),
        };
        self.figures.failed.push(failed);
        None
    }
}

/// The code in the redirect to the client.
fn code(answer: &Response<Bytes>) -> Option<String> {
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    let (_, query) = location.split_once('?')?;
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    parameters
        .find(|(name, _)| name == "code")
        .map(|(_, code)| code.into_owned())
}

async fn read(
    pool: &Pool<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, String> {
    let answer = pool.request(request).await.map_err(|e| format!("{e:?}"))?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(|e| format!("{e:?}"))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// What is at an address; `None` where nobody answers.
pub(crate) async fn get(url: &str) -> Option<String> {
    let pool: Pool<_, Full<Bytes>> = Pool::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).body(Full::default()).ok()?;
    let answer = read(&pool, request).await.ok()?;
    String::from_utf8(answer.into_body().to_vec()).ok()
}
