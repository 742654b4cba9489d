//! `tollgate test`.

use std::fs;

use super::{SECRET, server::Server, with_interceptor};

#[test]
fn a_tested_interceptor_shows_request_answer_and_verdict_and_records_nothing() {
    let answer = r#"{"decision":"ALLOW","response":{"claims":{"plan":"gold"},"id_token":{"claims":{"seats":4}}}}"#;
    let server = Server::start(move |_| (200, answer.to_owned()));
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/session", server.address));

    let said = place.say(&["test", "--interceptor", "Plan"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let requests = server.requests();
    let [request] = requests.as_slice() else {
        panic!("one request, not {}", requests.len())
    };
    assert_eq!(request.path, "/session");
    assert!(request.body.contains("\"dry_run\":true"), "{}", request.body);
    let signature = request
        .head
        .lines()
        .find(|line| line.starts_with("interceptor-signature: v1,"))
        .unwrap();
    for part in [
        signature,
        "\"trigger_point\": \"PRE_SESSION_CREATION\"",
        "status 200",
        "Verdict ALLOW, decided by the endpoint",
        "access token + plan: \"gold\"",
        "The same by hand\ncurl ",
        "ID token + plan: \"gold\"",
        "ID token + seats: 4",
    ] {
        assert!(said.out.contains(part), "{part} is missing from {}", said.out);
    }
    assert!(!said.out.contains("access token + seats"), "{}", said.out);
    assert!(!said.out.contains(SECRET), "{}", said.out);
    assert!(!place.path().join("audit.db").exists());

    assert_eq!(
        place.say(&["test", "--interceptor", "Plan", "--expect", "allow"]).code,
        0
    );
    assert_eq!(
        place.say(&["test", "--interceptor", "Plan", "--expect", "deny"]).code,
        1
    );
    let said = place.say(&["test", "--trigger", "PRE_SESSION_CREATION", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["verdict"]["decision"], "allow");
    assert_eq!(report["verdict"]["access_token"]["plan"], "gold");
    assert_eq!(report["exchanges"][0]["answer"]["status"], 200);
}

#[test]
fn a_tested_interceptor_that_is_wrong_says_why() {
    let server = Server::start(|_| (200, r#"{"decision":"MAYBE"}"#.to_owned()));
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/", server.address));
    let said = place.say(&["test", "--interceptor", "Plan"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(
        said.out.contains("Verdict DENY, decided by `on_invalid`"),
        "{}",
        said.out
    );
    let mistake = "error line 1, column 2: `/decision` must be `ALLOW` or `DENY`, is another string";
    assert!(said.out.contains(mistake), "{}", said.out);

    let said = place.say(&["test", "--interceptor", "Plam"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (2, "there is no interceptor `Plam`; there are `Plan`\n")
    );
}

#[test]
fn an_event_of_ones_own_is_sent_as_a_dry_run() {
    let server = Server::start(|_| {
        (
            200,
            r#"{"decision":"DENY","error":{"message":"Not today."}}"#.to_owned(),
        )
    });
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/", server.address));
    let event = |trigger: &str| {
        format!(
            r#"{{"trigger_point":"{trigger}","interceptor_context":{{"triggered_at":"2026-11-23T10:15:00Z","user_email":"eve@example.com"}},"data":{{}}}}"#
        )
    };
    fs::write(place.path().join("event.json"), event("PRE_SESSION_CREATION")).unwrap();
    fs::write(place.path().join("other.json"), event("PRE_SIGNUP")).unwrap();
    let arguments = ["test", "--interceptor", "Plan", "--expect", "deny", "--event"];
    let said = place.say(&[&arguments[..], &["event.json"]].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("the user reads: Not today."), "{}", said.out);
    let requests = server.requests();
    assert!(requests[0].body.contains("eve@example.com") && requests[0].body.contains("\"dry_run\":true"));

    let said = place.say(&[&arguments[..], &["other.json"]].concat());
    assert_eq!(said.code, 2);
    let mistake = "other.json:1:2: `/trigger_point` must be `PRE_SESSION_CREATION`, is another string";
    assert!(said.err.contains(mistake), "{}", said.err);
    fs::write(place.path().join("half.json"), "{\n  \"data\": ,").unwrap();
    let said = place.say(&[&arguments[..], &["half.json"]].concat());
    assert!(said.err.contains("half.json:2:11: expected value"), "{}", said.err);
}

#[test]
fn refused_claims_are_named_one_by_one_and_none_is_added() {
    let answer =
        r#"{"decision":"ALLOW","response":{"claims":{"plan":"gold","sub":"eve"},"id_token":{"claims":{"exp":1}}}}"#;
    let server = Server::start(|_| (200, answer.to_owned()));
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/", server.address));
    let said = place.say(&["test", "--interceptor", "Plan", "--json"]);
    assert_eq!(said.code, 1);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let pointers: Vec<_> = report["answer_marks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/response/claims/sub", "/response/id_token/claims/exp"]);
    let changed = |token: &str| {
        let claims = report["claims"][token].as_array().unwrap().iter();
        let changed = claims.filter(|claim| claim["change"] != "kept");
        changed
            .map(|claim| (claim["name"].clone(), claim["change"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        changed("access_token"),
        [("plan".into(), "refused".into()), ("sub".into(), "refused".into())]
    );
    assert_eq!(changed("id_token").len(), 3);
    assert_eq!(report["verdict"]["access_token"], serde_json::json!({}));
}
