//! `tollgate replay`, and `tollgate test` with the event of a record.

use std::path::Path;

use serde_json::{Value, json};
use tollgate::{
    audit::{Audit, Decider, Entry, Kind, Query, Reader, Settings},
    clock::Clock,
    event::Trigger,
    verdict::{DecidedBy, Effect},
};

use super::{Place, server::Server, with_interceptor};

/// What an endpoint said about a user then.
fn consultation(email: &str, answer: Value) -> Entry {
    let decision = if answer["decision"] == "ALLOW" {
        Effect::Allow
    } else {
        Effect::Deny
    };
    let event = json!({
        "trigger_point": "PRE_SESSION_CREATION",
        "interceptor_context": {
            "environment_id": "prod", "user_email": email, "request_id": format!("request-of-{email}"),
            "triggered_at": "2026-11-23T10:15:00Z", "dry_run": false,
        },
        "data": {"user": {"email": email, "password": "canary-of-the-user"}, "claims": {"access_token": {"sub": "1"}, "id_token": {"sub": "1"}}},
    });
    Entry {
        request_id: format!("request-of-{email}"),
        trigger: Some(Trigger::PreSessionCreation),
        interceptor: Some("Plan".into()),
        user_email: Some(email.into()),
        decision: Some(decision),
        decided_by: Some(Decider::Interceptor(DecidedBy::Endpoint)),
        message: answer["error"]["message"].as_str().map(str::to_owned),
        event: Some(event),
        answer: Some(answer),
        ..Entry::new(Kind::Consult)
    }
}

fn allow(plan: &str) -> Value {
    json!({"decision": "ALLOW", "response": {"claims": {"plan": plan}}})
}

async fn record(place: &Path, entries: Vec<Entry>) {
    let audit = Audit::open(&Settings::default(), place, Clock::system()).unwrap();
    audit.record(entries).await.unwrap();
    audit.close().await;
}

fn recorded(place: &Place) -> usize {
    let reader = Reader::open(&Settings::default(), place.path()).unwrap();
    reader.records(&Query::default(), jiff::Timestamp::now()).unwrap().len()
}

/// Three records, and an endpoint that says `gold` to all.
async fn place(answer: &'static str) -> (Server, Place) {
    let server = Server::start(move |_| (200, answer.to_owned()));
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/", server.address));
    let denied = json!({"decision": "DENY", "error": {"message": "Not you."}});
    let entries = vec![
        consultation("ada@example.com", allow("gold")),
        consultation("bob@example.com", allow("silver")),
        consultation("eve@example.com", denied),
    ];
    record(place.path(), entries).await;
    (server, place)
}

const GOLD: &str = r#"{"decision":"ALLOW","response":{"claims":{"plan":"gold"}}}"#;

#[tokio::test]
async fn a_replay_shows_which_verdicts_and_claims_change_and_records_nothing() {
    let (server, place) = place(GOLD).await;
    let said = place.say(&["replay"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    for part in [
        "differs  record 2  ",
        "Plan  bob@example.com\n         access_token.plan: \"silver\" becomes \"gold\"\n         id_token.plan: ",
        "decision: \"deny\" becomes \"allow\"",
        "sent with placeholders for /data/user/password",
        "3 replayed: 1 the same, 2 different, 0 failed, 0 skipped",
        "3 events were sent with placeholders",
    ] {
        assert!(said.out.contains(part), "{part} is missing from {}", said.out);
    }
    assert!(!said.out.contains("ada@example.com"), "{}", said.out);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    let id = |head: &str| {
        head.lines()
            .find(|line| line.starts_with("interceptor-id: "))
            .unwrap()
            .to_owned()
    };
    for request in &requests {
        assert!(request.body.contains("\"dry_run\":true"), "{}", request.body);
        assert!(
            !request.body.contains("request-of-") && !request.body.contains("canary"),
            "{}",
            request.body
        );
    }
    assert_ne!(id(&requests[0].head), id(&requests[1].head));
    assert_eq!(recorded(&place), 3);
}

#[tokio::test]
async fn filters_choose_what_is_replayed_and_no_difference_is_well() {
    let (server, place) = place(GOLD).await;
    let said = place.say(&["replay", "--user", "ada@example.com", "--json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&report["replayed"], &report["same"]), (&json!(1), &json!(1)));
    assert_eq!(report["records"][0]["masked"], json!(["/data/user/password"]));
    let said = place.say(&["replay", "--limit", "2"]);
    assert!(said.out.contains("2 replayed"), "{}", said.out);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(place.say(&["replay", "--user", "nobody"]).code, 2);
    let remembered = Entry {
        decided_by: Some(Decider::Interceptor(DecidedBy::Remembered)),
        ..consultation("dan@example.com", allow("bronze"))
    };
    record(place.path(), vec![remembered]).await;
    let said = place.say(&["replay", "--user", "dan@example.com"]);
    assert_eq!(said.code, 0, "nobody was asked then: {}{}", said.out, said.err);
    assert!(
        said.out.starts_with("0 replayed") && server.requests().is_empty(),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn a_new_endpoint_is_asked_in_place_of_the_configured_one() {
    let (old, place) = place(GOLD).await;
    let new = Server::start(|path| (200, if path == "/v2" { GOLD } else { "{}" }.to_owned()));
    let url = format!("http://{}/v2", new.address);
    let said = place.say(&["replay", "--interceptor", "Plan", "--endpoint", &url]);
    assert!(
        said.out.contains("3 replayed: 1 the same, 2 different"),
        "{}{}",
        said.out,
        said.err
    );
    assert_eq!((old.requests().len(), new.requests().len()), (0, 3));
    for (arguments, why) in [
        (&["replay", "--endpoint", &url][..], "needs `--interceptor`"),
        (
            &["replay", "--interceptor", "Plan", "--endpoint", "ftp://x/"],
            "neither `https://` nor `http://`",
        ),
        (
            &[
                "replay",
                "--interceptor",
                "Plan",
                "--endpoint",
                "http://169.254.169.254/",
            ],
            "metadata",
        ),
        (&["replay", "--interceptor", "Plam"], "there is no interceptor `Plam`"),
    ] {
        let said = place.say(arguments);
        assert_eq!(said.code, 2, "{arguments:?}");
        assert!(said.err.contains(why), "{}", said.err);
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_told_apart_from_one_that_differs() {
    let (_server, place) = place(r#"{"decision":"MAYBE"}"#).await;
    let said = place.say(&["replay"]);
    assert_eq!(said.code, 1);
    assert!(
        said.out.contains("3 replayed: 0 the same, 0 different, 3 failed"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("an answer that cannot be taken: `decision`"),
        "{}",
        said.out
    );
    let said = place.say(&["replay", "--interceptor", "Plan", "--endpoint", "http://127.0.0.1:1/"]);
    assert!(
        said.out.contains("no answer: the connection was refused"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn the_event_of_a_record_can_be_tried_again_and_kept() {
    let (server, place) = place(GOLD).await;
    for id in ["2", "request-of-bob@example.com"] {
        let said = place.say(&["test", "--interceptor", "Plan", "--from-record", id]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert!(
            said.out
                .contains("`/data/user/password` was removed when the event was recorded"),
            "{}",
            said.out
        );
    }
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.body.contains("bob@example.com"))
    );
    let said = place.say(&["test", "--interceptor", "Plan", "--from-record", "2", "--save", "bob"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(place.say(&["test", "--case", "bob"]).code, 0);
    assert_eq!(
        place
            .say(&["test", "--interceptor", "Plan", "--from-record", "99"])
            .code,
        2
    );
    assert_eq!(recorded(&place), 3);
}
