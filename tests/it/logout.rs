//! Back-channel logout: the upstream tells Tollgate, and Tollgate tells the relying party under a key that it knows.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tollgate::clock::Clock;

use crate::world::{Fate, Idp, Setup, keys, log, stub, stub::Stub};

const RELAY: &str = "/.tollgate/backchannel-logout";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A provider and the relying party `web`, which answers 200 until it is told otherwise.
struct World {
    idp: Idp,
    party: Stub,
    /// What the relying party answers.
    answers: Arc<Mutex<u16>>,
}

async fn world(more: &str) -> World {
    let answers = Arc::new(Mutex::new(200));
    let status = Arc::clone(&answers);
    let party = Stub::start(move |_| stub::reply(*status.lock().unwrap(), "text/plain", "said in confidence")).await;
    let setup = Setup::keycloak().more(&format!(
        "[[logout]]\nclient_id = \"web\"\nurl = \"{}/logged-out\"\n{more}",
        party.url()
    ));
    World {
        idp: Idp::keycloak_with(setup).await,
        party,
        answers,
    }
}

impl World {
    fn claims(&self) -> Value {
        let now = Clock::system().now().as_second();
        json!({
            "iss": self.idp.issuer, "aud": "web", "iat": now, "exp": now + 120, "jti": "j-1", "sub": "u-1", "sid": "s-1",
            "typ": "Logout", "events": {EVENT: {}},
        })
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "logout+jwt", "kid": self.idp.key.kid});
        self.idp.key.sign_as(&header, &claims.to_string())
    }

    async fn post(&self, token: &str) -> crate::world::Answer {
        self.idp.post(RELAY).form(&[("logout_token", token)]).send().await
    }
}

#[tokio::test]
async fn a_logout_token_reaches_the_relying_party_under_our_key() {
    let world = world("").await;
    let native = world.token(&world.claims());
    let answer = world.post(&native).await;
    assert_eq!((answer.status, answer.text()), (200, String::new()), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let [told] = world.party.arrivals().try_into().unwrap();
    assert_eq!((told.method.as_str(), told.target.as_str()), ("POST", "/logged-out"));
    assert_eq!(told.header("content-type"), Some("application/x-www-form-urlencoded"));
    let ours = told.field("logout_token").unwrap();
    let jwks = world.idp.get(world.idp.endpoints().jwks).send().await.json();
    let claims = keys::verified(&ours, &jwks);
    assert_eq!(claims, keys::claims(&native));
    assert!(ours != native && keys::algorithm(&ours) == keys::algorithm(&native));
    assert!(world.idp.hook.all().is_empty(), "nobody is asked about a logout");
    assert!(world.idp.stub.at(RELAY).is_empty());
    let of_logout = [("token", "logout_token")];
    let reissued = world.idp.metrics().sum("tollgate_tokens_reissued_total", &of_logout);
    assert_eq!(reissued, 1.0);
    for token in [&native, &ours] {
        assert!(!log::text().contains(token.rsplit('.').next().unwrap()));
    }
}

#[tokio::test]
async fn what_the_relying_party_says_is_what_the_upstream_hears() {
    let world = world("timeout = \"500ms\"").await;
    for (said, heard) in [(200, 200), (204, 200), (400, 400), (302, 502), (401, 502), (500, 502)] {
        *world.answers.lock().unwrap() = said;
        let answer = world.post(&world.token(&world.claims())).await;
        assert_eq!(answer.status, heard, "{said}: {answer:?}");
        assert!(!answer.text().contains("confidence"), "{answer:?}");
    }
    world.party.fate("/logged-out", Fate::Hang);
    assert_eq!(world.post(&world.token(&world.claims())).await.status, 504);
    world.party.go_away().await;
    assert_eq!(world.post(&world.token(&world.claims())).await.status, 502);
}

#[tokio::test]
async fn no_other_token_is_relayed() {
    let world = world("").await;
    let changed = |name: &str, value: Value| {
        let mut claims = world.claims();
        claims[name] = value;
        world.token(&claims)
    };
    let other = "/realms/other/.well-known/openid-configuration";
    world
        .idp
        .stub
        .fate(other, Fate::Answer(404, "text/plain", "none".into()));
    let good = world.token(&world.claims());
    let stranger = keys::Key::new(&world.idp.key.kid);
    let header = json!({"alg": "ES256", "typ": "logout+jwt", "kid": world.idp.key.kid});
    for (why, token) in [
        ("another client's", changed("aud", json!("app"))),
        ("for several clients", changed("aud", json!(["web", "app"]))),
        (
            "another issuer's",
            changed("iss", json!("https://accounts.example.org")),
        ),
        (
            "another realm's",
            changed("iss", json!(world.idp.issuer.replace("/tg", "/other"))),
        ),
        ("over", changed("exp", json!(1))),
        ("an ID token's nonce", changed("nonce", json!("n"))),
        ("no event", changed("events", json!({}))),
        ("an ID token", world.idp.key.sign(&world.idp.id_claims("x"))),
        ("forged", stranger.sign_as(&header, &world.claims().to_string())),
        ("unsigned", format!("{}.", good.rsplit_once('.').unwrap().0)),
        ("nonsense", "x".to_owned()),
        ("nothing", String::new()),
    ] {
        let answer = world.post(&token).await;
        assert_eq!(answer.status, 400, "{why}: {answer:?}");
        assert_eq!(answer.json()["error"], "invalid_request", "{why}");
    }
    let twice = [("logout_token", good.as_str()), ("logout_token", good.as_str())];
    assert_eq!(world.idp.post(RELAY).form(&twice).send().await.status, 400);
    let in_query = format!("{RELAY}?logout_token={good}");
    assert_eq!(world.idp.post(&in_query).form(&[]).send().await.status, 400);
    assert_eq!(
        world
            .idp
            .post(RELAY)
            .json(&json!({"logout_token": good}))
            .send()
            .await
            .status,
        415
    );
    assert!(world.party.arrivals().is_empty());
}

#[tokio::test]
async fn a_relying_party_may_be_told_for_one_realm_alone() {
    let world = world("realm = \"other\"").await;
    assert_eq!(world.post(&world.token(&world.claims())).await.status, 400);
    assert!(world.party.arrivals().is_empty());
}

#[tokio::test]
async fn our_own_paths_never_reach_the_upstream() {
    let world = world("").await;
    for (method, path, status) in [
        ("GET", RELAY, 405),
        ("PUT", RELAY, 405),
        ("GET", "/.tollgate", 404),
        ("GET", "/.tollgate/", 404),
        ("POST", "/.Tollgate/backchannel-logout", 404),
        ("POST", "/.tollgate/backchannel-logout/web", 404),
        ("GET", "/.tollgate/x/../y", 400),
        ("GET", "/%2etollgate/x", 400),
    ] {
        let answer = world.idp.call(method, path).send().await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
    assert!(world.idp.stub.arrivals().is_empty(), "{:?}", world.idp.stub.arrivals());
}
