use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde_json::{Value, json};

use super::{keys::half_hash, *};
use crate::{
    clock::Clock,
    demo::client::{Client as Http, Reply},
};

const CALLBACK: &str = "http://127.0.0.1:9999/callback";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";

struct World {
    provider: Provider,
    http: Http,
    clock: Clock,
}

impl World {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new("https://id.example.com");
        options.clock = Clock::fixed(Timestamp::now());
        change(&mut options);
        let clock = options.clock.clone();
        let provider = Provider::start(options).await.unwrap();
        let http = Http::new();
        Self { provider, http, clock }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.provider.url())
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.http.post(self.at(path)).form(fields).send().await.unwrap()
    }

    async fn as_web(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let call = self.http.post(self.at(path)).basic("web", "web-secret");
        call.form(fields).send().await.unwrap()
    }

    async fn code(&self, client: &str) -> String {
        let login = self
            .post(
                "/authorize",
                &[
                    ("response_type", "code"),
                    ("client_id", client),
                    ("redirect_uri", CALLBACK),
                    ("scope", "openid email profile"),
                    ("state", "s1"),
                    ("nonce", "n1"),
                    ("code_challenge", &keys::code_challenge(VERIFIER)),
                    ("code_challenge_method", "S256"),
                    ("login_hint", "ada@example.com"),
                    ("password", "correct-horse"),
                ],
            )
            .await;
        assert_eq!(login.location_parameter("state").as_deref(), Some("s1"));
        assert_eq!(
            login.location_parameter("iss").as_deref(),
            Some("https://id.example.com")
        );
        login.location_parameter("code").unwrap()
    }

    async fn redeem(&self, code: &str) -> Reply {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", "spa"),
        ];
        self.post("/token", &fields).await
    }

    async fn tokens(&self) -> Value {
        let answer = self.redeem(&self.code("spa").await).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn password_tokens(&self) -> Value {
        let fields = [
            ("grant_type", "password"),
            ("username", "bob@example.com"),
            ("password", "battery-staple"),
        ];
        self.as_web("/token", &fields).await.json()
    }

    async fn is_introspected_as_active(&self, token: &str) -> bool {
        let answer = self.as_web("/introspect", &[("token", token)]).await.json();
        answer["active"].as_bool().unwrap()
    }
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap()
}

fn error(answer: &Reply) -> String {
    text(&answer.json(), "error").to_owned()
}

#[tokio::test]
async fn a_strict_relying_party_accepts_both_tokens_of_a_login() {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let world = World::with(|options| {
            for client in &mut options.clients {
                client.algorithm = algorithm;
            }
        })
        .await;
        let tokens = world.tokens().await;
        let jwks = world.http.get(world.at("/jwks")).send().await.unwrap().json();
        let jwks: JwkSet = serde_json::from_value(jwks).unwrap();
        for (name, audience) in [("access_token", "demo-api"), ("id_token", "spa")] {
            let raw = text(&tokens, name);
            let header = decode_header(raw).unwrap();
            let key = DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
            let mut validation = Validation::new(header.alg);
            validation.set_audience(&[audience]);
            validation.set_issuer(&["https://id.example.com"]);
            let claims = decode::<Value>(raw, &key, &validation).unwrap().claims;
            assert_eq!(claims["sub"], "ada");
            assert_eq!(claims["azp"], "spa");
            assert_eq!(claims["email"], "ada@example.com");
            if name == "id_token" {
                assert_eq!(claims["nonce"], "n1");
                assert_eq!(claims["at_hash"], half_hash(text(&tokens, "access_token")));
            }
        }
    }
}

#[tokio::test]
async fn a_browser_logs_in_by_the_page_and_the_next_client_needs_no_password() {
    let world = World::start().await;
    let authorize = format!(
        "/authorize?response_type=code&client_id=spa&redirect_uri={CALLBACK}&scope=openid&code_challenge={}&code_challenge_method=S256",
        keys::code_challenge(VERIFIER)
    );
    let page = world.http.get(world.at(&authorize)).send().await.unwrap().text();
    let request = page.split("name=\"request\" value=\"").nth(1).unwrap();
    let request = request.split('"').next().unwrap();
    let login = [
        ("request", request),
        ("email", "ada@example.com"),
        ("password", "wrong"),
    ];
    let wrong = world.post("/login", &login).await;
    assert!(wrong.text().contains("do not fit together"));

    let page = wrong.text();
    let request = page.split("name=\"request\" value=\"").nth(1).unwrap();
    let request = request.split('"').next().unwrap();
    let login = [
        ("request", request),
        ("email", "ada@example.com"),
        ("password", "correct-horse"),
    ];
    let done = world.post("/login", &login).await;
    assert!(done.location_parameter("code").is_some());

    let cookie = done.headers["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let silent = format!("{authorize}&prompt=none");
    let again = world.http.get(world.at(&silent)).header("cookie", cookie);
    assert!(again.send().await.unwrap().location_parameter("code").is_some());
    let stranger = world.http.get(world.at(&silent)).send().await.unwrap();
    assert_eq!(stranger.location_parameter("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_came_of_it() {
    let world = World::start().await;
    let code = world.code("spa").await;
    let tokens = world.redeem(&code).await.json();
    assert!(world.provider.token_is_active(text(&tokens, "access_token")));
    let replay = world.redeem(&code).await;
    assert_eq!(error(&replay), "invalid_grant");
    assert!(!world.provider.token_is_active(text(&tokens, "access_token")));
}

#[tokio::test]
async fn a_code_without_its_verifier_or_after_a_minute_is_refused() {
    let world = World::start().await;
    let code = world.code("spa").await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("client_id", "spa"),
    ];
    assert_eq!(error(&world.post("/token", &fields).await), "invalid_grant");
    world.clock.set(world.clock.now() + SignedDuration::from_secs(61));
    assert_eq!(error(&world.redeem(&code).await), "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_replay_ends_the_family() {
    let world = World::start().await;
    let first = world.tokens().await;
    let refresh = async |token: &str| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", "spa"),
        ];
        world.post("/token", &fields).await
    };
    let second = refresh(text(&first, "refresh_token")).await.json();
    assert_ne!(first["access_token"], second["access_token"]);
    assert!(world.provider.token_is_active(text(&second, "refresh_token")));
    assert_eq!(error(&refresh(text(&first, "refresh_token")).await), "invalid_grant");
    assert!(!world.provider.token_is_active(text(&second, "access_token")));
    assert_eq!(error(&refresh(text(&second, "refresh_token")).await), "invalid_grant");
}

#[tokio::test]
async fn revocation_is_effective_and_introspection_says_so() {
    let world = World::start().await;
    let tokens = world.password_tokens().await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let seen = world.as_web("/introspect", &[("token", access)]).await.json();
    assert_eq!(seen["active"], true);
    assert_eq!(seen["sub"], "bob");
    assert_eq!(seen["client_id"], "web");
    assert_eq!(world.post("/introspect", &[("token", access)]).await.status, 401);

    assert_eq!(world.as_web("/revoke", &[("token", refresh)]).await.status, 200);
    assert!(!world.is_introspected_as_active(access).await);
    assert_eq!(world.provider.revoked(), [refresh]);
    let userinfo = world
        .http
        .get(world.at("/userinfo"))
        .bearer(access)
        .send()
        .await
        .unwrap();
    assert_eq!(userinfo.status, 401);
}

#[tokio::test]
async fn a_token_of_another_signer_is_worth_nothing_here() {
    let world = World::start().await;
    let stranger = World::start().await;
    let foreign = stranger.password_tokens().await;
    let foreign = text(&foreign, "access_token");
    let userinfo = world
        .http
        .get(world.at("/userinfo"))
        .bearer(foreign)
        .send()
        .await
        .unwrap();
    assert_eq!(userinfo.status, 401);
    assert!(!world.is_introspected_as_active(foreign).await);
    assert_eq!(world.as_web("/revoke", &[("token", foreign)]).await.status, 200);
    assert!(world.provider.revoked().is_empty());
}

#[tokio::test]
async fn logout_with_an_id_token_ends_the_session() {
    let world = World::start().await;
    let tokens = world.tokens().await;
    let url = format!(
        "/logout?id_token_hint={}&post_logout_redirect_uri={CALLBACK}&state=bye",
        text(&tokens, "id_token")
    );
    let done = world.http.get(world.at(&url)).send().await.unwrap();
    assert_eq!(done.location_parameter("state").as_deref(), Some("bye"));
    assert!(!world.provider.token_is_active(text(&tokens, "access_token")));
    let wrong = world.http.get(world.at("/logout?id_token_hint=e30.e30.AA"));
    assert_eq!(wrong.send().await.unwrap().status, 400);
}

#[tokio::test]
async fn a_device_gets_tokens_once_its_user_was_there() {
    let world = World::start().await;
    let begun = world
        .post("/device_authorization", &[("client_id", "cli")])
        .await
        .json();
    let poll = [
        ("grant_type", DEVICE_CODE),
        ("device_code", text(&begun, "device_code")),
        ("client_id", "cli"),
    ];
    assert_eq!(error(&world.post("/token", &poll).await), "authorization_pending");
    let confirm = [
        ("user_code", text(&begun, "user_code")),
        ("email", "ada@example.com"),
        ("password", "correct-horse"),
    ];
    assert_eq!(world.post("/device", &confirm).await.status, 200);
    assert!(world.post("/token", &poll).await.json()["id_token"].is_string());
    assert_eq!(error(&world.post("/token", &poll).await), "invalid_grant");
}

#[tokio::test]
async fn a_token_is_exchanged_for_one_of_another_audience() {
    let world = World::start().await;
    let tokens = world.password_tokens().await;
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let fields = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", text(&tokens, "access_token")),
        ("subject_token_type", kind),
        ("audience", "billing"),
        ("scope", "openid"),
    ];
    let answer = world.as_web("/token", &fields).await.json();
    assert_eq!(answer["issued_token_type"], kind);
    let claims = world.provider.claims(text(&answer, "access_token")).unwrap();
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!("billing"), &json!("bob")));
}

#[tokio::test]
async fn a_machine_gets_a_token_for_itself_within_its_scope() {
    let world = World::start().await;
    let ask = async |scope: &str| {
        let call = world.http.post(world.at("/token")).basic("batch", "batch-secret");
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        call.form(&fields).send().await.unwrap()
    };
    let answer = ask("reports:read").await.json();
    let claims = world.provider.claims(text(&answer, "access_token")).unwrap();
    assert_eq!(
        (&claims["sub"], &claims["scope"]),
        (&json!("batch"), &json!("reports:read"))
    );
    assert!(answer.get("refresh_token").is_none() && answer.get("id_token").is_none());
    assert_eq!(error(&ask("openid").await), "invalid_scope");
}

#[tokio::test]
async fn an_opaque_access_token_is_understood_by_introspection_alone() {
    let world = World::with(|options| options.clients[0].access_tokens = AccessTokens::Opaque).await;
    let tokens = world.password_tokens().await;
    let access = text(&tokens, "access_token");
    assert!(!access.contains('.'));
    assert!(world.is_introspected_as_active(access).await);
}

#[tokio::test]
async fn people_sign_up_by_form_and_by_multipart() {
    let world = World::start().await;
    let fields = [
        ("email", "new@example.com"),
        ("name", "New <b>"),
        ("password", "a secret"),
    ];
    let page = world.post("/signup", &fields).await;
    assert_eq!(page.status, 201);
    assert!(page.text().contains("New &lt;b&gt;"));
    assert_eq!(world.post("/signup", &fields).await.status, 409);

    let part = |name: &str, value: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = part("email", "multi@example.com") + &part("password", "pw") + "--xyz--\r\n";
    let call = world.http.post(world.at("/signup"));
    let page = call
        .body("multipart/form-data; boundary=xyz", body)
        .send()
        .await
        .unwrap();
    assert_eq!(page.status, 201);
    assert!(world.provider.has_user("new@example.com") && world.provider.has_user("multi@example.com"));
}

#[tokio::test]
async fn a_user_invites_others_and_the_request_is_on_record() {
    let world = World::start().await;
    let tokens = world.password_tokens().await;
    let body = json!({"email": "guest@example.com", "name": "Guest"});
    let invitations = world.at("/api/organizations/org_tea/invitations");
    let call = world
        .http
        .post(invitations.as_str())
        .bearer(text(&tokens, "access_token"));
    let invited = call.json(&body).send().await.unwrap();
    assert_eq!(invited.status, 201);
    let url = world.at("/api/users?email=guest@example.com");
    let found = world.http.get(url).send().await.unwrap().json();
    assert_eq!(found["users"][0]["organization"], "org_tea");
    assert_eq!(found["users"][0]["invited_by"], "bob");

    let nobody = world.http.post(invitations).json(&body).send().await.unwrap();
    assert_eq!(error(&nobody), "invalid_token");
    let arrived = world.provider.requests();
    let invitation = arrived.iter().find(|r| r.path.ends_with("/invitations")).unwrap();
    assert_eq!(invitation.body, body.to_string());
    assert!(!format!("{arrived:?}").contains("guest"));
}

#[tokio::test]
async fn discovery_names_the_public_url_and_the_header_of_a_wrong_client_is_a_challenge() {
    let world = World::start().await;
    world.provider.set_public_url("http://127.0.0.1:1234");
    let url = world.at("/.well-known/openid-configuration");
    let discovery = world.http.get(url).send().await.unwrap().json();
    assert_eq!(discovery["issuer"], "http://127.0.0.1:1234");
    assert_eq!(discovery["token_endpoint"], "http://127.0.0.1:1234/token");
    let wrong = world
        .post("/token", &[("grant_type", "password"), ("client_id", "web")])
        .await;
    assert_eq!((wrong.status.as_u16(), error(&wrong).as_str()), (401, "invalid_client"));
    assert!(wrong.headers.contains_key("www-authenticate"));
}
