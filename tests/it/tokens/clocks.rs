//! Clocks that differ, and clocks that jump: times in tokens are judged with a minute of leeway, deadlines never by the wall clock.

use jiff::{SignedDuration, Timestamp};
use tollgate::{clock::Clock, event::Trigger};

use crate::world::{Idp, Setup, World};

/// A provider whose clock is right, behind a proxy whose clock is so many seconds off.
async fn off_by(seconds: i64) -> Idp {
    let idp = Idp::generic(Setup::generic().at(Clock::fixed(shifted(seconds)))).await;
    idp.hands_out(idp.good_tokens());
    idp
}

fn shifted(seconds: i64) -> Timestamp {
    Clock::system().now() + SignedDuration::from_secs(seconds)
}

#[tokio::test]
async fn a_clock_that_is_off_by_less_than_a_minute_is_taken() {
    for seconds in [-50, 50] {
        let answer = off_by(seconds).await.redeem().await;
        assert_eq!(answer.status, 200, "{seconds} s: {answer:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_by_ten_minutes_is_a_502_whose_record_names_the_claim() {
    for (seconds, claim, why) in [(600, "exp", "is past"), (-600, "iat", "is in the future")] {
        let idp = off_by(seconds).await;
        let answer = idp.redeem().await;
        assert_eq!(answer.status, 502, "{seconds} s: {answer:?}");
        assert!(idp.hook.asked(Trigger::PreSessionCreation).is_empty());
        let failure = idp.audit().pop().unwrap().entry.failure.unwrap();
        assert_eq!(failure.kind, "unverified_token");
        assert!(
            failure.detail.contains(claim) && failure.detail.contains(why),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn a_jump_of_an_hour_while_a_request_is_paused_moves_no_deadline() {
    for hours in [-1, 1] {
        let clock = Clock::fixed(Clock::system().now());
        let patient = Setup::generic().at(clock.clone());
        let world = World::with(patient).await;
        let held = world.hook.hold(Trigger::PreSessionCreation);
        let code = world.code("web").await;
        let redeemed = world.redeem(&code);
        let jump = async {
            world.hook.was_asked(Trigger::PreSessionCreation).await;
            clock.set(shifted(hours * 3600));
            held.release();
        };
        let (answer, ()) = tokio::join!(redeemed, jump);
        assert_eq!(answer.status, 200, "{hours} h: {answer:?}");
    }
}

#[tokio::test]
async fn a_jump_of_an_hour_does_not_keep_a_deadline_from_passing() {
    for hours in [-1, 1] {
        let clock = Clock::fixed(Clock::system().now());
        let hasty = Setup::generic().at(clock.clone()).policy(
            Trigger::PreSessionCreation,
            "on_failure = \"deny\"\ntimeout = \"300ms\"",
        );
        let world = World::with(hasty).await;
        let held = world.hook.hold(Trigger::PreSessionCreation);
        let code = world.code("web").await;
        let redeemed = world.redeem(&code);
        let jump = async {
            world.hook.was_asked(Trigger::PreSessionCreation).await;
            clock.set(shifted(hours * 3600));
        };
        let (answer, ()) = tokio::join!(redeemed, jump);
        assert_eq!(answer.json()["error"], "access_denied", "{hours} h: {answer:?}");
        held.release();
    }
}
