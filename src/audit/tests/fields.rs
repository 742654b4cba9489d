//! What the operator does not want to be stored.

use std::fs;

use super::*;

fn redacting(dir: &Path, redact: serde_json::Value) -> Settings {
    fs::write(dir.join("redact.key"), "0123456789abcdef0123456789abcdef").unwrap();
    Settings {
        redact: serde_json::from_value(redact).unwrap(),
        redact_key: Some(serde_json::from_value(json!({"file": "redact.key"})).unwrap()),
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_hashed_address_is_not_stored_and_still_found() {
    let dir = tempfile::tempdir().unwrap();
    let settings = redacting(
        dir.path(),
        json!({"user_email": "hash", "event.**.user_email": "hash", "event.**.email": "mask", "ip_address": "drop", "event.**.ip_address": "drop"}),
    );
    let audit = Audit::open(&settings, dir.path(), clock()).unwrap();
    let other = Entry {
        user_email: Some("bob@example.com".into()),
        ..numbered(2)
    };
    audit.record(vec![numbered(1), other]).await.unwrap();
    let reader = Reader::open(&settings, dir.path()).unwrap();
    let query = Query {
        user: Some("ADA@example.com".into()),
        ..Query::default()
    };
    let found = reader.records(&query, clock().now()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].seq, 1);
    let json = found[0].to_json();
    assert!(
        !json.contains("ada@example.com") && !json.contains("203.0.113.9"),
        "{json}"
    );
    assert!(reader.only_chain(Some(audit.health().head)).unwrap().holds());
    audit.close().await;
    for name in ["audit.db", "audit.db-wal"] {
        let bytes = fs::read(dir.path().join(name)).unwrap_or_default();
        assert!(!bytes.windows(15).any(|window| window == b"ada@example.com"), "{name}");
    }
}

#[test]
fn what_records_are_found_by_cannot_be_redacted() {
    let dir = tempfile::tempdir().unwrap();
    for (path, action) in [
        ("trigger", "drop"),
        ("**.decision", "mask"),
        ("failure", "drop"),
        ("*", "hash"),
        ("ip_address", "hash"),
    ] {
        let error = Audit::open(&redacting(dir.path(), json!({ path: action })), dir.path(), clock()).unwrap_err();
        assert_eq!(error.key, "audit.redact");
        assert!(error.message.contains(path), "{error}");
    }
}
