//! `tollgate audit`.

use tollgate::{
    audit::{Audit, Entry, Kind, Settings},
    clock::Clock,
};

use super::Place;

#[tokio::test]
async fn the_audit_is_listed_shown_and_verified() {
    let place = Place::with("[audit]\nstore = \"sqlite:records.db\"\n");
    let settings = Settings {
        store: "sqlite:records.db".to_owned(),
        ..Settings::default()
    };
    let audit = Audit::open(&settings, place.path(), Clock::system()).unwrap();
    let entry = |request: &str| Entry {
        request_id: request.to_owned(),
        ..Entry::new(Kind::Failure)
    };
    audit
        .record(vec![entry("first-request"), entry("second-request")])
        .await
        .unwrap();
    audit.close().await;

    let said = place.say(&["audit", "list", "--request", "first-request", "--json"]);
    assert_eq!(
        (said.code, said.out.lines().count()),
        (0, 1),
        "{}{}",
        said.out,
        said.err
    );
    let said = place.say(&["audit", "show", "second-request"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("second-request"), "{}", said.out);
    assert_eq!(place.say(&["audit", "show", "third-request"]).code, 2);
    let said = place.say(&["audit", "verify", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &report["records"]), (0, &2.into()));

    let said = place.say(&["audit", "verify", "--expect", &format!("3:{}", "0".repeat(64))]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("BROKEN"), "{}", said.out);
}
