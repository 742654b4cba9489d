//! Named cases of `tollgate test`.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Place, server::Server, with_interceptor};

const GOLD: &str = r#"{"decision":"ALLOW","response":{"claims":{"plan":"gold"}}}"#;
const DENY: &str = r#"{"decision":"DENY","error":{"message":"Not today."}}"#;

/// An endpoint that denies once it is told to.
fn endpoint() -> (Server, Place, Arc<AtomicBool>) {
    let denies = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&denies);
    let server = Server::start(move |_| (200, if told.load(Ordering::SeqCst) { DENY } else { GOLD }.to_owned()));
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/", server.address));
    (server, place, denies)
}

#[test]
fn a_saved_case_is_met_until_the_endpoint_changes_its_mind() {
    let (_server, place, denies) = endpoint();
    let said = place.say(&[
        "test",
        "--interceptor",
        "Plan",
        "--save",
        "gold",
        "--note",
        "paying customers",
    ]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let file = fs::read_to_string(place.path().join("cases/gold.json")).unwrap();
    let case: serde_json::Value = serde_json::from_str(&file).unwrap();
    assert_eq!(
        (&case["interceptor"], &case["note"]),
        (&"Plan".into(), &"paying customers".into())
    );
    assert_eq!(case["expect"]["access_token"]["plan"], "gold");

    for arguments in [
        &["test", "--all"][..],
        &["test", "--all", "--interceptor", "Plan"],
        &["test", "--case", "gold"],
    ] {
        let said = place.say(arguments);
        assert_eq!(said.code, 0, "{arguments:?} {}{}", said.out, said.err);
        assert!(
            said.out.contains("met      gold  Plan  ALLOW by the endpoint"),
            "{}",
            said.out
        );
    }
    denies.store(true, Ordering::SeqCst);
    let said = place.say(&["test", "--all", "--junit", "results.xml"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("NOT MET  gold  Plan"), "{}", said.out);
    assert!(said.out.contains("expected `allow`, got `deny`"), "{}", said.out);
    assert!(
        said.out.contains("access token: expected the claim `plan`, got none"),
        "{}",
        said.out
    );
    let junit = fs::read_to_string(place.path().join("results.xml")).unwrap();
    assert!(junit.contains("tests=\"1\" failures=\"1\""), "{junit}");
    assert!(
        junit.contains("<failure message=\"expected `allow`, got `deny`\">"),
        "{junit}"
    );
    let said = place.say(&["test", "--all", "--json"]);
    let results: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (said.code, &results["met"], &results["results"][0]["met"]),
        (1, &0.into(), &false.into())
    );
}

#[test]
fn an_endpoint_that_is_away_is_no_denial_that_a_case_expects() {
    let place = with_interceptor("http://127.0.0.1:1", "http://127.0.0.1:1/");
    let said = place.say(&["test", "--interceptor", "Plan", "--save", "away"]);
    assert_eq!(said.code, 2, "{}", said.out);
    assert!(said.err.contains("nothing was saved"), "{}", said.err);
    let said = place.say(&["test", "--interceptor", "Plan", "--expect", "allow", "--save", "away"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let said = place.say(&["test", "--all"]);
    assert_eq!(said.code, 1, "`on_failure` allows, and the endpoint does not");
    assert!(
        said.out
            .contains("expected that `endpoint` decides, but `on_failure` did"),
        "{}",
        said.out
    );
}

#[test]
fn a_case_is_found_by_its_name_only_and_never_overwritten() {
    let (_server, place, _) = endpoint();
    for name in ["../gold", "a/b", ".gold", "gold.json", ""] {
        let said = place.say(&["test", "--interceptor", "Plan", "--save", name]);
        assert_eq!(said.code, 2, "{name:?}");
        assert_eq!(place.say(&["test", "--case", name]).code, 2);
    }
    assert!(!place.path().join("cases").exists());
    let save = ["test", "--interceptor", "Plan", "--save", "gold"];
    assert_eq!(place.say(&save).code, 0);
    let said = place.say(&save);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("there is a case `gold` already"), "{}", said.err);
}

#[test]
fn no_cases_at_all_is_no_success() {
    let (_server, place, _) = endpoint();
    let said = place.say(&["test", "--all"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("there are no cases in `./cases`"), "{}", said.err);
    fs::create_dir(place.path().join("cases")).unwrap();
    fs::write(
        place.path().join("cases/odd.json"),
        r#"{"interceptor":"Plan","evnt":{}}"#,
    )
    .unwrap();
    let said = place.say(&["test", "--all"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("odd.json` is no case: unknown field `evnt`"),
        "{}",
        said.err
    );
}
