//! What keeps load, outages and odd addresses from opening the gate.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::join_all;
use serde_json::json;

use super::{
    SECRET, World, denied,
    hook::{Hook, Step, json_answer},
    session, settings_of,
};
use crate::{
    clock::{Clock, Period},
    interceptor::{Interceptors, call::Lookup},
    verdict::{DecidedBy, Effect, FailureKind},
};

#[tokio::test]
async fn the_cap_denies_even_where_failures_allow() {
    let hook = Hook::scripted([vec![Step::Wait, Step::send(&json_answer("{\"decision\":\"ALLOW\"}"))]]).await;
    let world = World::of([json!({"endpoint": hook.url(), "max_concurrent": 2,
        "max_concurrent_per_client": 2, "on_failure": "allow"})]);
    let under_way = join_all([world.session(), world.session()]);
    let over = async {
        hook.heard(2).await;
        let verdict = world.session().await;
        hook.release(3);
        verdict
    };
    let (under_way, over) = tokio::join!(under_way, over);
    assert!(under_way.iter().all(|verdict| !denied(verdict)));
    assert!(denied(&over));
    let consultation = &over.consultations[0];
    assert_eq!(
        (consultation.decided_by, consultation.calls()),
        (DecidedBy::ConcurrencyCap, 0)
    );
    assert_eq!(consultation.failure.as_ref().unwrap().kind, FailureKind::Down);
    assert!(!denied(&world.session().await), "afterwards there is room again");
}

#[tokio::test]
async fn an_open_breaker_lets_on_failure_decide_without_a_call() {
    for (on_failure, effect) in [("deny", Effect::Deny), ("allow", Effect::Allow)] {
        let hook = Hook::answering("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n").await;
        let world = World::of([json!({"endpoint": hook.url(), "on_failure": on_failure,
            "breaker": {"failures_in_a_row": 3, "open_for": "1h"}})]);
        for _ in 0..3 {
            assert_eq!(world.session().await.consultations[0].decided_by, DecidedBy::OnFailure);
        }
        let consultation = world.session().await.consultations.remove(0);
        assert_eq!(
            (consultation.decided_by, consultation.effect),
            (DecidedBy::Breaker, effect)
        );
        assert_eq!((consultation.calls(), hook.requests().len()), (0, 3));
        let (event, existing) = session();
        let trial = world.interceptors.consult_one("hook", &event, &existing).await.unwrap();
        assert_eq!(trial.consultation.calls(), 1, "a trial does not mind the breaker");
    }
}

#[tokio::test]
async fn an_endpoint_that_stays_silent_opens_the_breaker() {
    let hook = Hook::scripted([vec![Step::Wait]]).await;
    let world = World::of([json!({"endpoint": hook.url(), "timeout": "50ms",
        "breaker": {"failures_in_a_row": 2, "open_for": "1h"}})]);
    for decided_by in [DecidedBy::OnFailure, DecidedBy::OnFailure, DecidedBy::Breaker] {
        assert_eq!(world.session().await.consultations[0].decided_by, decided_by);
    }
}

#[tokio::test]
async fn wrong_answers_do_not_open_the_breaker_and_trials_do_not_count() {
    let hook = Hook::answering("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n").await;
    let world = World::of([json!({"endpoint": hook.url(), "breaker": {"failures_in_a_row": 1}})]);
    for _ in 0..3 {
        assert_eq!(world.session().await.consultations[0].decided_by, DecidedBy::OnInvalid);
    }
    let down = World::of([json!({"endpoint": Hook::refusing().await, "breaker": {"failures_in_a_row": 1}})]);
    let (event, existing) = session();
    for _ in 0..3 {
        down.interceptors.consult_one("hook", &event, &existing).await.unwrap();
    }
    assert_eq!(down.session().await.consultations[0].decided_by, DecidedBy::OnFailure);
}

#[tokio::test]
async fn an_interceptor_that_fails_open_too_often_fails_closed() {
    for table in [
        json!({"endpoint": Hook::refusing().await, "on_failure": "allow"}),
        json!({"endpoint": Hook::answering("HTTP/1.1 200 OK\r\n\r\n").await.url(), "on_failure": "allow",
            "on_invalid": "allow"}),
    ] {
        let world = World::of([table]);
        let mut decided = Vec::new();
        for _ in 0..12 {
            let consultation = world.session().await.consultations.remove(0);
            decided.push((consultation.effect, consultation.decided_by == DecidedBy::FailOpenLimit));
        }
        assert_eq!(decided[..9], [(Effect::Allow, false); 9]);
        assert_eq!(decided[9..], [(Effect::Deny, true); 3]);
    }
}

#[tokio::test]
async fn an_event_of_256_kib_is_sent_and_a_larger_one_fails_closed() {
    let hook = Hook::answering("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    let world = World::of([json!({"endpoint": hook.url(), "on_failure": "allow"})]);
    let (mut event, existing) = session();
    let mut said = async |filler: usize| {
        event.data.insert("filler".into(), "x".repeat(filler).into());
        world.interceptors.consult(&event, &existing).await
    };
    assert!(!denied(&said(0).await));
    let rest = 256 * 1024 - hook.requests()[0].body.len();
    assert!(!denied(&said(rest).await));
    assert_eq!(hook.requests()[1].body.len(), 256 * 1024);
    assert!(denied(&said(rest + 1).await));
    assert_eq!(hook.requests().len(), 2);
}

#[tokio::test]
async fn load_on_a_slow_endpoint_opens_nothing() {
    let hook = Hook::scripted([vec![Step::Wait, Step::send(&json_answer("{\"decision\":\"DENY\"}"))]]).await;
    let world = World::of([json!({"endpoint": hook.url(), "max_concurrent": 20, "on_failure": "allow"})]);
    hook.release(20);
    let verdicts = join_all((0..200).map(|_| world.session())).await;
    assert!(verdicts.iter().all(denied));
}

/// A runtime that is kept busy for longer than the interceptor's timeout, as by a flood.
fn busy() {
    std::thread::sleep(std::time::Duration::from_millis(1600));
}

#[tokio::test]
async fn an_answer_that_came_while_we_were_busy_counts() {
    let hook = Hook::scripted([vec![Step::Wait, Step::send(&json_answer("{\"decision\":\"DENY\"}"))]]).await;
    let world = World::of([json!({"endpoint": hook.url(), "timeout": "300ms", "on_failure": "allow"})]);
    let answers = async {
        hook.heard(1).await;
        hook.release(1);
        busy();
    };
    let (verdict, ()) = tokio::join!(world.session(), answers);
    assert!(denied(&verdict));
    assert_eq!(verdict.consultations[0].decided_by, DecidedBy::Endpoint);
}

#[tokio::test]
async fn load_of_our_own_opens_nothing() {
    let hook = Hook::scripted([vec![Step::Wait]]).await;
    let world = World::of([json!({"endpoint": hook.url(), "timeout": "300ms", "on_failure": "allow"})]);
    let silence = async {
        hook.heard(1).await;
        busy();
    };
    let (verdict, ()) = tokio::join!(world.session(), silence);
    assert!(denied(&verdict));
    let consultation = &verdict.consultations[0];
    assert_eq!(consultation.decided_by, DecidedBy::ConcurrencyCap);
    assert!(consultation.failure.as_ref().unwrap().detail.contains("too busy"));
}

fn built_with(lookup: Lookup, table: serde_json::Value) -> Interceptors {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    let settings = [settings_of(table)];
    Interceptors::build_with(&settings, Period::secs(60), folder.path(), Clock::system(), &lookup).unwrap()
}

#[tokio::test]
async fn a_name_that_turns_to_the_metadata_service_is_not_called() {
    let hook = Hook::answering("HTTP/1.1 204 X\r\nConnection: close\r\n\r\n").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        let good: SocketAddr = ([127, 0, 0, 1], 0).into();
        let metadata: SocketAddr = ([169, 254, 169, 254], 0).into();
        Ok(if count.fetch_add(1, Ordering::Relaxed) == 0 {
            vec![good]
        } else {
            vec![good, metadata]
        })
    });
    let endpoint = format!("http://hooks.example.com:{}/", hook.address.port());
    let interceptors = built_with(lookup, json!({"endpoint": endpoint}));
    let (event, existing) = session();
    assert!(!denied(&interceptors.consult(&event, &existing).await));
    let verdict = interceptors.consult(&event, &existing).await;
    assert!(denied(&verdict));
    let failure = verdict.consultations[0].failure.as_ref().unwrap();
    assert!(failure.detail.contains("169.254.169.254 is link-local"), "{failure:?}");
    assert_eq!(hook.requests().len(), 1);
}

#[tokio::test]
async fn a_name_in_a_private_network_is_not_called_where_the_operator_says_no() {
    let lookup: Lookup = Arc::new(|_| Ok(vec![([127, 0, 0, 1], 0).into()]));
    let table = json!({"endpoint": "http://hooks.example.com/", "allow_private_network": false});
    let (event, existing) = session();
    let verdict = built_with(lookup, table).consult(&event, &existing).await;
    let failure = verdict.consultations[0].failure.as_ref().unwrap();
    assert!(
        failure.detail.contains("`allow_private_network` is false"),
        "{failure:?}"
    );
}
