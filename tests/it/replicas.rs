//! Several replicas with one audit in PostgreSQL: the limit on failing open holds over all of them.

use tollgate::{audit::Decider, event::Trigger, verdict::DecidedBy};

use crate::world::{Proxy, Reply, Setup, World, postgres::Postgres, until};

/// So many of a minute's consultations may fail and be let through where none is answered: the tenth is enough to judge by, and is too many.
const LIMIT: usize = 9;

/// Interceptors that let machine tokens and signups through when their endpoint fails, and never stop asking it.
fn failing_open(audit: &str) -> Setup {
    let policy = "on_failure = \"allow\"\nretries = 0\n\
                  breaker = { failures_in_a_row = 1000, failure_share = 1.0, minimum_calls = 1000 }";
    Setup::generic()
        .only(&[Trigger::PreM2mTokenCreation, Trigger::PreSignup])
        .policy(Trigger::PreM2mTokenCreation, policy)
        .policy(Trigger::PreSignup, policy)
        .more(&format!("[audit]\n{audit}"))
}

/// How many of so many machine tokens are issued, asked for at the proxies in turn.
async fn issued(count: usize, proxies: &[&Proxy]) -> usize {
    let mut issued = 0;
    for proxy in proxies.iter().cycle().take(count) {
        let answer = proxy
            .post("/token")
            .basic("batch", "batch-secret")
            .form(&[("grant_type", "client_credentials"), ("scope", "admin")])
            .send()
            .await;
        assert!([200, 400].contains(&answer.status), "{answer:?}");
        issued += usize::from(answer.status == 200);
    }
    issued
}

fn fail(world: &World) {
    for trigger in [Trigger::PreM2mTokenCreation, Trigger::PreSignup] {
        world.hook.reply(trigger, Reply::Raw(503, "text/plain", "away".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_fail_open_at_several_replicas_than_at_one_nor_after_a_restart() {
    let Some(cluster) = Postgres::shared() else { return };
    let store = cluster.fresh();
    let setup = failing_open(&format!("store = \"{store}\""));
    let world = World::with(setup.clone()).await;
    let second = world.replica(&setup).await;
    fail(&world);
    assert_eq!(issued(4 * LIMIT, &[&world.proxy, &second]).await, LIMIT);
    second.stop().await;
    let restarted = world.replica(&setup).await;
    assert_eq!(issued(1, &[&restarted]).await, 0);
    // Behind a denial follow the records of what became of the token.
    let newest = world
        .audit()
        .into_iter()
        .filter_map(|record| record.entry.decided_by)
        .next_back();
    assert_eq!(newest, Some(Decider::Interceptor(DecidedBy::FailOpenLimit)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_interceptor_and_another_environment_have_a_count_of_their_own() {
    let Some(cluster) = Postgres::shared() else { return };
    let store = cluster.fresh();
    let setup = failing_open(&format!("store = \"{store}\""));
    let world = World::with(setup.clone()).await;
    fail(&world);
    assert_eq!(issued(2 * LIMIT, &[&world.proxy]).await, LIMIT);
    let signup = world.sign_up("grace@example.com").await;
    assert!(signup.status < 400, "{signup:?}");
    let elsewhere = World::with(setup.environment("elsewhere")).await;
    fail(&elsewhere);
    assert_eq!(issued(2 * LIMIT, &[&elsewhere.proxy]).await, LIMIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_endpoint_touch_no_table_and_what_is_old_is_taken_away() {
    let Some(cluster) = Postgres::shared() else { return };
    let store = cluster.fresh();
    let schema = store.rsplit_once("%3D").unwrap().1.to_owned();
    let setup = failing_open(&format!("store = \"{store}\""));
    let world = World::with(setup).await;
    let rows = || {
        cluster.run(&format!(
            "SELECT count(*), sum(consulted), sum(failed) FROM {schema}.tollgate_fail_open"
        ))
    };
    assert_eq!(issued(20, &[&world.proxy]).await, 20);
    assert_eq!(rows(), "0||");
    cluster.run(&format!(
        "INSERT INTO {schema}.tollgate_fail_open VALUES ('test', 'gone', 7, 5, 5)"
    ));
    fail(&world);
    assert_eq!(issued(1, &[&world.proxy]).await, 1);
    assert_eq!(
        cluster.run(&format!(
            "SELECT count(*) FROM {schema}.tollgate_fail_open WHERE slot = 7"
        )),
        "0"
    );
    assert!(rows().ends_with("|21|1"), "{}", rows());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_reads_over_connections_that_stay_and_opens_others_when_they_are_gone() {
    let Some(cluster) = Postgres::start() else { return };
    let store = cluster.fresh();
    let world = World::with(failing_open(&format!("store = \"{store}\""))).await;
    assert_eq!(issued(1, &[&world.proxy]).await, 1);
    let sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'tollgate-reader' ORDER BY pid";
    let rows = async || {
        let page = world.dashboard().call("GET", "/log/rows").send().await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text().contains("href=\"/log/"), "{page:?}");
    };
    rows().await;
    let first = cluster.run(sessions);
    assert_eq!(first.lines().count(), 1, "{first}");
    for _ in 0..5 {
        rows().await;
    }
    assert_eq!(cluster.run(sessions), first);
    cluster.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tollgate-reader'");
    until("the page is there again", || async {
        world.dashboard().call("GET", "/log/rows").send().await.status == 200
    })
    .await;
    rows().await;
    assert_ne!(cluster.run(sessions), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_database_is_away_each_replica_counts_by_itself() {
    let Some(cluster) = Postgres::start() else { return };
    let store = cluster.fresh();
    let setup = failing_open(&format!("store = \"{store}\"\non_failure = \"spool\""));
    let world = World::with(setup.clone()).await;
    let second = world.replica(&setup).await;
    fail(&world);
    assert_eq!(issued(2, &[&world.proxy, &second]).await, 2);
    cluster.stop();
    assert_eq!(issued(4 * LIMIT, &[&world.proxy, &second]).await, 2 * LIMIT - 2);
}
