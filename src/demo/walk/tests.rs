use std::net::{Ipv4Addr, SocketAddr};

use super::*;

async fn walked(demo: &Demo) -> (Outcome, String) {
    let mut text = Vec::new();
    let outcome = walk(demo, &mut text, || "the records".into()).await.unwrap();
    (outcome, String::from_utf8(text).unwrap())
}

async fn started() -> Demo {
    Demo::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap()
}

#[tokio::test]
async fn where_no_proxy_listens_every_decision_fails() {
    let demo = started().await;
    let (outcome, text) = walked(&demo).await;
    assert_eq!(outcome.steps, 8);
    assert_eq!(outcome.failures.len(), 8, "{text}");
    assert!(text.contains("the records"));
}

#[tokio::test]
async fn without_a_proxy_between_the_walk_says_what_slipped_through() {
    let mut demo = started().await;
    demo.public_url = demo.provider.url();
    demo.provider.set_public_url(demo.public_url.as_str());
    let (outcome, text) = walked(&demo).await;
    for decision in 1..=8 {
        let its_own = format!("{decision} of 8");
        assert!(
            outcome.failures.iter().any(|failure| failure.starts_with(&its_own)),
            "{text}"
        );
    }
    for slipped in [
        "2 of 8, Mallory signs up with a disposable address: not so: the provider has no such account",
        "3 of 8, Ada logs in: not so: both have the claims that were added",
        "4 of 8, Grace, whose company has SSO, logs in: not so: none of them counts any more: Tollgate revoked them",
        "6 of 8, Ada invites Lin as well, into a team of four: not so: the provider never saw the request",
    ] {
        assert!(outcome.failures.iter().any(|failure| failure == slipped), "{text}");
    }
    assert!(!text.contains("came out as said."), "{text}");
}
