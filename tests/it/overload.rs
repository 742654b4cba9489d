//! More than may be under way at once: 503 with `Retry-After`, at once, and nothing opens by it.

use futures_util::future::join_all;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tollgate::event::Trigger;

use crate::world::{Fate, Idp, Setup, World, client::Answer, until};

fn is_shed(answer: &Answer) -> bool {
    answer.status == 503 && answer.header("retry-after") == Some("1")
}

#[tokio::test]
async fn a_request_over_the_limit_is_answered_503_at_once_and_the_dashboard_still_answers() {
    let idp = Idp::generic(Setup::generic().section("listen", "max_requests = 2")).await;
    // Discovery is known from here on.
    assert_eq!(idp.get("/a").send().await.status, 200);
    idp.stub.fate("/slow", Fate::Hang);
    let waiting = join_all([idp.get("/slow").open(), idp.get("/slow").open()]);
    tokio::pin!(waiting);
    let over = async {
        until("both are under way", || async { idp.stub.at("/slow").len() == 2 }).await;
        let answer = idp.get("/a").send().await;
        let health = idp.proxy.dashboard().call("GET", "/healthz").send().await;
        (answer, health)
    };
    let (over, health) = tokio::select! {
        _ = &mut waiting => panic!("they answered"),
        over = over => over,
    };
    assert!(is_shed(&over), "{over:?}");
    assert_eq!(over.json()["error"], "temporarily_unavailable");
    assert_eq!(health.status, 200);
    assert_eq!(
        idp.metrics()
            .sum("tollgate_requests_shed_total", &[("limit", "requests")]),
        1.0
    );
}

#[tokio::test]
async fn a_token_request_over_the_limit_is_shed_before_the_provider_spends_its_code() {
    let setup = Setup::generic()
        .section("listen", "max_paused = 1")
        .policy(Trigger::PreSessionCreation, "on_failure = \"allow\"");
    let world = World::with(setup).await;
    let (code, spare) = (world.code("web").await, world.code("web").await);
    let held = world.hook.hold(Trigger::PreSessionCreation);
    let first = world.redeem(&code);
    let second = async {
        world.hook.was_asked(Trigger::PreSessionCreation).await;
        let shed = world.redeem(&spare).await;
        let passed = world.get("/.well-known/openid-configuration").send().await;
        held.release();
        (shed, passed)
    };
    let (first, (shed, passed)) = tokio::join!(first, second);
    assert_eq!((first.status, passed.status), (200, 200), "{first:?}");
    assert!(is_shed(&shed), "{shed:?}");
    assert_eq!(world.arrived("/token"), 1, "the provider was not asked");
    assert_eq!(world.redeem(&spare).await.status, 200, "the code is still good");
    let opened = world.metrics().sum("tollgate_fail_open_total", &[]);
    assert_eq!(opened, 0.0, "nothing fails open for want of a place");
}

#[tokio::test]
async fn bodies_that_are_read_take_no_more_memory_than_there_is_for_them_and_slow_ones_nobodys_place() {
    let world = World::with(Setup::generic().section("listen", "max_requests = 1")).await;
    let almost = 1024 * 1024 - 1;
    let mut senders = Vec::new();
    // Forms of a megabyte that lack their last byte: 33 of them are more than 32 MiB.
    for _ in 0..33 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let head = format!(
            "POST /token HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            world.address,
            almost + 1,
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Whoever is shed is not read to the end.
        _ = stream.write_all(&vec![b'a'; almost]).await;
        senders.push(stream);
    }
    until("one is shed", || async {
        world
            .metrics()
            .sum("tollgate_requests_shed_total", &[("limit", "bodies")])
            >= 1.0
    })
    .await;
    assert_eq!(world.get("/jwks").send().await.status, 200, "they have nobody's place");
    drop(senders);
    until("their memory is free again", || async {
        let answer = world.machine_token("").await;
        answer.status != 503
    })
    .await;
}

#[tokio::test]
async fn one_client_does_not_take_all_places_at_an_interceptor_and_load_opens_nothing() {
    let policy = "on_failure = \"allow\"\nmax_concurrent = 4";
    let setup = Setup::generic()
        .section("listen", "trusted_proxies = [\"127.0.0.0/8\"]")
        .policy(Trigger::PreSignup, policy);
    let world = World::with(setup).await;
    let held = world.hook.hold(Trigger::PreSignup);
    let sign_up = |from: &'static str, email: &'static str| {
        world
            .post("/signup")
            .header("x-forwarded-for", from)
            .form(&[("name", "N"), ("email", email), ("password", "whatever1")])
            .send()
    };
    let busy = join_all([
        sign_up("198.51.100.1", "a@example.com"),
        sign_up("198.51.100.1", "b@example.com"),
    ]);
    let others = async {
        until("two are asked about", || async {
            world.hook.asked(Trigger::PreSignup).len() == 2
        })
        .await;
        let third = sign_up("198.51.100.1", "c@example.com").await;
        let other = sign_up("198.51.100.2", "d@example.com");
        let release = async {
            until("the other one is asked about", || async {
                world.hook.asked(Trigger::PreSignup).len() == 3
            })
            .await;
            held.release();
        };
        let (other, ()) = tokio::join!(other, release);
        (third, other)
    };
    let (busy, (third, other)) = tokio::join!(busy, others);
    assert_eq!(third.status, 403, "{third:?}");
    assert!(
        busy.iter().chain([&other]).all(|answer| answer.status < 400),
        "{busy:?} {other:?}"
    );
    assert!(
        world
            .provider
            .requests()
            .iter()
            .all(|seen| !String::from_utf8_lossy(&seen.body).contains("c%40example"))
    );
    let counted = world.metrics();
    assert_eq!(counted.sum("tollgate_fail_open_total", &[]), 0.0);
    assert_eq!(
        counted.sum("tollgate_denials_total", &[("decided_by", "concurrency_cap")]),
        1.0
    );
}
