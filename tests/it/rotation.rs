//! Keys and capsule secrets are replaced while requests come, on replicas that see the new files at different times.

use std::{fs, path::Path, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tollgate::{
    clock::{Clock, Period},
    demo::provider::AccessTokens,
    token::{KeyRing, init_capsule_secret, rotate_capsule_secret},
};

use crate::{
    reload::UNWATCHED,
    world::{Answer, Proxy, Setup, World, hook::SECRET, keys, proxy::free_address},
};

const BEFORE: Duration = Duration::from_secs(900);

/// Two replicas in front of one provider, all by the same clock, each with its own copy of the keys.
struct Replicas {
    one: World,
    other: Proxy,
    clock: Clock,
    start: Timestamp,
}

impl Replicas {
    async fn start(opaque: bool) -> Self {
        let start = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        let clock = Clock::fixed(start);
        let setup = Setup::generic().at(clock.clone()).more(UNWATCHED);
        let one = World::populated(setup.clone(), |mut options| {
            options.clock = clock.clone();
            options.lifetime = Period::secs(3_600);
            if opaque {
                options.clients[0].access_tokens = AccessTokens::Opaque;
            }
            options
        })
        .await;
        let other = replica(&one, &setup).await;
        let own = one.folder.path().join("own");
        KeyRing::init(&own.join("signing"), start).unwrap();
        init_capsule_secret(&own.join("capsule.key")).unwrap();
        let replicas = Self {
            one,
            other,
            clock,
            start,
        };
        replicas.copy();
        for proxy in [&replicas.one.proxy, &replicas.other] {
            proxy.change(keys::shared().to_str().unwrap(), "own");
            proxy.reloaded().await;
        }
        replicas
    }

    /// The files of the first reach the other.
    fn copy(&self) {
        let (from, to) = (self.one.folder.path().join("own"), self.other.folder.path().join("own"));
        for folder in ["", "signing"] {
            fs::create_dir_all(to.join(folder)).unwrap();
            for entry in fs::read_dir(from.join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
    }

    /// The clock of all of them, so many seconds after the start.
    fn at(&self, seconds: i64) {
        self.clock.set(self.start + SignedDuration::from_secs(seconds));
    }

    /// The key set of each.
    async fn key_sets(&self) -> [Value; 2] {
        [self.one.jwks().await, self.other.get("/jwks").send().await.json()]
    }
}

async fn replica(world: &World, setup: &Setup) -> Proxy {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    fs::write(folder.path().join("hook.key"), SECRET).unwrap();
    for _ in 0..20 {
        let address = free_address();
        let setup = setup.clone().section("listen", &format!("names = [\"{address}\"]"));
        let upstream = world.provider.url();
        let started = Proxy::serve(&setup, &upstream, &world.hook, &folder, address, world.address).await;
        if let Ok(proxy) = started {
            return proxy;
        }
    }
    panic!("no free port");
}

async fn machine_token(proxy: &Proxy) -> String {
    let answer = proxy
        .post("/token")
        .basic("batch", "batch-secret")
        .form(&[("grant_type", "client_credentials"), ("scope", "reports:read")])
        .send()
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

async fn introspected(proxy: &Proxy, token: &str) -> Answer {
    let call = proxy.post("/introspect").basic("web", "web-secret");
    call.form(&[("token", token)]).send().await
}

async fn opens(proxy: &Proxy, token: &str) -> u16 {
    proxy.get("/userinfo").bearer(token).send().await.status
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

fn kids(jwks: &Value) -> usize {
    jwks["keys"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_new_key_is_published_everywhere_before_it_signs_and_the_old_one_as_long_as_its_tokens_live() {
    let replicas = Replicas::start(false).await;
    let (one, other) = (&replicas.one, &replicas.other);
    let first = machine_token(other).await;
    let [cached, _] = replicas.key_sets().await;

    // The files reach one replica at once and the other 5 minutes later.
    let signing = one.folder.path().join("own/signing");
    KeyRing::rotate(&signing, &replicas.clock, BEFORE).unwrap();
    one.reloaded().await;
    assert_eq!(replicas.key_sets().await.each_ref().map(kids), [6, 3]);
    assert_eq!(kid(&machine_token(one).await), kid(&first));
    replicas.at(300);
    replicas.copy();
    other.reloaded().await;
    let [sets, same] = replicas.key_sets().await;
    assert_eq!(sets, same);
    assert_eq!(kids(&sets), 6);

    // Up to the last second the old key signs: who cached the set before the rotation verifies it.
    replicas.at(899);
    for proxy in [&one.proxy, other] {
        keys::verified(&machine_token(proxy).await, &cached);
    }
    // Then, without any event, the new one on both. Sets that were fetched when the last replica had it verify it.
    replicas.at(900);
    let second = [machine_token(one).await, machine_token(other).await];
    assert_eq!(kid(&second[0]), kid(&second[1]));
    assert_ne!(kid(&second[0]), kid(&first));
    for token in &second {
        keys::verified(token, &sets);
    }
    assert_eq!(
        one.get("/jwks").send().await.header("cache-control"),
        Some("public, max-age=300")
    );

    // What the old key signed still verifies, and maps back.
    let [published, _] = replicas.key_sets().await;
    keys::verified(&first, &published);
    assert_eq!(introspected(one, &first).await.status, 200);

    // A week after its successor it is published no more, without any event.
    replicas.at(900 + 7 * 86_400 - 1);
    assert_eq!(replicas.key_sets().await.each_ref().map(kids), [6, 6]);
    replicas.at(900 + 7 * 86_400);
    assert_eq!(replicas.key_sets().await.each_ref().map(kids), [3, 3]);
    let last = machine_token(other).await;
    keys::verified(&last, &replicas.key_sets().await[0]);
    // As a hint for instance, it is still known until its file goes.
    assert_eq!(introspected(one, &first).await.status, 200);
    let pruned = KeyRing::load(&signing).unwrap().prune(replicas.clock.now()).unwrap();
    assert_eq!(pruned.len(), 3);
    one.reloaded().await;
    keys::verified(&machine_token(one).await, &replicas.key_sets().await[1]);
}

#[tokio::test]
async fn a_new_capsule_secret_opens_everywhere_before_it_seals() {
    let replicas = Replicas::start(true).await;
    let (one, other) = (&replicas.one, &replicas.other);
    let first = one.log_in().await;
    assert_eq!(opens(other, &first.access).await, 200);

    let secret = one.folder.path().join("own/capsule.key");
    let (file, from) = rotate_capsule_secret(&secret, replicas.clock.now(), BEFORE).unwrap();
    assert_eq!(from, replicas.start + SignedDuration::from_secs(900));
    one.reloaded().await;
    // The other one has not seen it, and need not: it is not used yet.
    replicas.at(300);
    let early = one.log_in().await;
    assert_eq!(opens(other, &early.access).await, 200);
    replicas.copy();
    other.reloaded().await;

    replicas.at(900);
    let late = one.log_in().await;
    for proxy in [&one.proxy, other] {
        for tokens in [&first, &early, &late] {
            assert_eq!(opens(proxy, &tokens.access).await, 200);
        }
    }
    // What is sealed now opens with the new secret alone.
    fs::remove_file(&secret).unwrap();
    one.reloaded().await;
    assert_eq!(opens(one, &late.access).await, 200);
    assert_eq!(opens(one, &first.access).await, 401);

    // By hand, as before: the old one as the previous one.
    fs::copy(
        other.folder.path().join("own/capsule.key"),
        one.folder.path().join("previous.key"),
    )
    .unwrap();
    one.change("[admin]", "[admin]\nnames = []");
    one.change(
        "capsule_secret = ",
        "previous_capsule_secret = { file = \"previous.key\" }\ncapsule_secret = ",
    );
    one.reloaded().await;
    assert_eq!(opens(one, &first.access).await, 200);
    assert!(file.exists());
}

#[tokio::test]
async fn the_dashboard_says_what_comes_next() {
    let replicas = Replicas::start(false).await;
    let one = &replicas.one;
    let page = || async {
        let dashboard = one.dashboard();
        dashboard
            .call("GET", "/keys")
            .header("accept", "text/html")
            .send()
            .await
            .text()
    };
    assert!(page().await.contains("No rotation is under way."));
    KeyRing::rotate(&one.folder.path().join("own/signing"), &replicas.clock, BEFORE).unwrap();
    let secret = one.folder.path().join("own/capsule.key");
    rotate_capsule_secret(&secret, replicas.clock.now(), BEFORE).unwrap();
    one.reloaded().await;
    let shown = page().await;
    assert!(
        shown.contains("The next rotation is at") && shown.contains("signs in 15 min"),
        "{shown}"
    );
    assert!(shown.contains("Opens, and seals from"), "{shown}");
    replicas.at(900);
    let shown = page().await;
    assert!(shown.contains("an old key is not published any more"), "{shown}");
    assert!(shown.contains("Opens only, until its file is deleted"), "{shown}");
    replicas.at(900 + 7 * 86_400);
    assert!(page().await.contains("<code>tollgate keys prune</code>"));
    assert!(Path::new(&secret).exists());
}
