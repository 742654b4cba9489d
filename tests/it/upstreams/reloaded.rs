//! Upstreams come and go while requests do.

use super::two;
use crate::world::two::HOSTS;

const DISCOVERY: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn an_upstream_that_is_taken_out_is_gone_and_comes_back_while_the_other_keeps_what_it_has() {
    let two = two().await;
    let tokens = two.customers.log_in().await;
    two.staff.log_in().await;
    let fetched = (two.customers.arrived("/jwks"), two.customers.arrived(DISCOVERY));
    let text = two.proxy.text();

    let (before, rest) = text.split_once("[[upstream]]\nname = \"staff\"").unwrap();
    let (_, after) = rest.split_once("[admin]").unwrap();
    let alone = format!("{before}[admin]{after}");
    two.proxy.write(&alone);
    two.proxy.reloaded().await;
    assert_eq!(
        two.staff.get(DISCOVERY).send().await.status,
        400,
        "the one that is left knows its host alone"
    );
    assert_eq!(
        two.customers
            .get("/userinfo")
            .bearer(&tokens.access)
            .send()
            .await
            .status,
        200
    );

    two.proxy.write(&text);
    two.proxy.reloaded().await;
    let back = two.staff.get(DISCOVERY).send().await.json();
    assert_eq!(back["issuer"], format!("http://{}", HOSTS[1]));
    two.staff.log_in().await;
    two.customers.log_in().await;
    let after = (two.customers.arrived("/jwks"), two.customers.arrived(DISCOVERY));
    assert_eq!(after, fetched, "what was learned of an upstream is kept");
}

#[tokio::test]
async fn what_is_changed_at_one_upstream_leaves_the_other_as_it_is() {
    let two = two().await;
    two.customers.log_in().await;
    two.staff.log_in().await;
    let fetched = two.customers.arrived("/jwks");
    two.proxy
        .change("name = \"staff\"", "name = \"staff\"\nresponse_timeout = \"20s\"");
    two.proxy.reloaded().await;
    two.customers.log_in().await;
    two.staff.log_in().await;
    assert_eq!(two.customers.arrived("/jwks"), fetched);
    assert_eq!(two.staff.arrived("/jwks"), 2, "another upstream learns anew");
}

#[tokio::test]
async fn a_mistake_in_one_upstream_leaves_all_as_they_run() {
    let two = two().await;
    let text = two.proxy.text();
    let wrong = text.replace(&two.staff.provider.url(), "ftp://nowhere");
    two.proxy.write(&wrong);
    let line = wrong.lines().position(|line| line.contains("ftp://nowhere")).unwrap() + 1;
    let tollgate::dashboard::Attempt::Refused(why) = two.proxy.reload().await else {
        panic!("it was not refused");
    };
    assert!(why.contains(&format!("proxy.toml:{line}:")), "{why}");

    let third = "[[upstream]]\nname = \"partners\"\npublic_url = \"http://partners.example.com\"\nurl = \"http://127.0.0.1:1\"\n\n[admin]";
    two.proxy.write(&text.replacen("[admin]", third, 1));
    let tollgate::dashboard::Attempt::Refused(why) = two.proxy.reload().await else {
        panic!("an upstream without keys was taken");
    };
    assert!(why.contains("`tollgate keys init`"), "{why}");
    let scrape = two.proxy.metrics();
    assert!(
        scrape.series().all(|series| !series.contains("partners")),
        "what came to nothing is not counted"
    );
    two.staff.log_in().await;
    two.customers.log_in().await;
}
