//! `tollgate audit`.

use tollgate::{
    audit::{Audit, Entry, HeadsSettings, Kind, Settings},
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

#[tokio::test]
async fn records_are_exported_and_held_against_signed_heads() {
    let place = Place::with("[audit]\nheads = { file = \"heads.ndjson\", key = \"heads.key\" }\n");
    let settings = Settings {
        heads: Some(HeadsSettings {
            file: Some("heads.ndjson".into()),
            key: "heads.key".into(),
            ..HeadsSettings::default()
        }),
        ..Settings::default()
    };
    let audit = Audit::open(&settings, place.path(), Clock::system()).unwrap();
    for reason in ["=1+1", "plain"] {
        let entry = Entry::of_refusal("a_rule", reason);
        audit.record(vec![entry]).await.unwrap();
    }
    audit.close().await;

    let said = place.say(&["audit", "export", "--format", "csv", "--decided-by", "a_rule"]);
    assert_eq!(
        (said.code, said.out.lines().count()),
        (0, 3),
        "{}{}",
        said.out,
        said.err
    );
    assert!(said.out.contains(",\"'=1+1\","), "{}", said.out);
    let said = place.say(&["audit", "export", "--decided-by", "rule", "--limit", "1"]);
    let record: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(record["reason"], "=1+1");

    let heads = place.path().join("heads.ndjson");
    let verify = ["audit", "verify", "--heads", heads.to_str().unwrap()];
    let said = place.say(&verify);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let text = std::fs::read_to_string(&heads).unwrap();
    std::fs::write(&heads, text.replacen("\"2:", "\"3:", 1)).unwrap();
    let said = place.say(&verify);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("is not signed with this key"), "{}", said.out);
    std::fs::write(&heads, "not a head\n").unwrap();
    assert_eq!(place.say(&verify).code, 2);
}
