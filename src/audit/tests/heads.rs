//! Signed heads show what the store alone cannot.

use std::{fs, time::Duration};

use super::*;
use crate::audit::retention::Anchor;

fn with_heads(every: &str, records: u64) -> Settings {
    Settings {
        heads: Some(HeadsSettings {
            file: Some("heads.ndjson".into()),
            every: every.parse().unwrap(),
            records,
            key: "heads.key".into(),
            ..HeadsSettings::default()
        }),
        ..Settings::default()
    }
}

fn heads(dir: &Path) -> Heads {
    Heads::read(&dir.join("heads.ndjson"), &dir.join("heads.key.pub")).unwrap()
}

fn lines(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("heads.ndjson")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn heads_are_written_by_number_by_time_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let audit = Audit::open(&with_heads("1m", 10), dir.path(), clock.clone()).unwrap();
    for number in 0..25 {
        audit.record(vec![numbered(number)]).await.unwrap();
    }
    audit.tidy().await;
    assert_eq!(lines(dir.path()).len(), 2);
    clock.set(clock.now() + Duration::from_secs(60));
    audit.tidy().await;
    assert_eq!(lines(dir.path()).len(), 3);
    audit.tidy().await;
    audit.record(vec![numbered(25)]).await.unwrap();
    audit.close().await;
    let lines = lines(dir.path());
    let seqs: Vec<_> = lines
        .iter()
        .map(|line| line.split(['"', ':']).nth(4).unwrap())
        .collect();
    assert_eq!(seqs, ["10", "20", "25", "26"], "{lines:?}");
    let report = reader(dir.path()).only_chain_with(&heads(dir.path())).unwrap();
    assert!(report.holds(), "{report}");
}

#[tokio::test]
async fn an_end_that_was_cut_off_or_rewritten_is_found_by_the_heads() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&with_heads("1m", 10), dir.path(), clock()).unwrap();
    for number in 0..20 {
        audit.record(vec![numbered(number)]).await.unwrap();
    }
    audit.close().await;
    for table in ["record", "facet"] {
        raw(dir.path())
            .execute(&format!("DELETE FROM {table} WHERE seq > 15"), [])
            .unwrap();
    }
    assert!(reader(dir.path()).only_chain(None).unwrap().holds());
    let flaw = reader(dir.path())
        .only_chain_with(&heads(dir.path()))
        .unwrap()
        .flaw
        .unwrap();
    assert_eq!((flaw.seq, flaw.kind), (20, FlawKind::HeadGone));
    let audit = open(dir.path());
    audit.record((0..10).map(numbered).collect()).await.unwrap();
    audit.close().await;
    assert!(reader(dir.path()).only_chain(None).unwrap().holds());
    assert_eq!(
        reader(dir.path())
            .only_chain_with(&heads(dir.path()))
            .unwrap()
            .flaw
            .unwrap()
            .seq,
        20
    );
}

#[tokio::test]
async fn heads_that_the_key_did_not_sign_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&with_heads("1m", 1), dir.path(), clock()).unwrap();
    for number in 0..3 {
        audit.record(vec![numbered(number)]).await.unwrap();
    }
    audit.close().await;
    let path = dir.path().join("heads.ndjson");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"2:", "\"4:", 1)).unwrap();
    let flaw = reader(dir.path())
        .only_chain_with(&heads(dir.path()))
        .unwrap()
        .flaw
        .unwrap();
    assert_eq!(flaw.kind, FlawKind::ForgedHead { line: 2 });
    // A line that the machine did not finish is no forgery.
    fs::write(&path, text.trim_end()).unwrap();
    assert!(reader(dir.path()).only_chain_with(&heads(dir.path())).unwrap().holds());
    let other = tempfile::tempdir().unwrap();
    Audit::open(&with_heads("1m", 1), other.path(), clock())
        .unwrap()
        .close()
        .await;
    let foreign = Heads::read(&path, &other.path().join("heads.key.pub")).unwrap();
    assert_eq!(
        reader(dir.path()).only_chain_with(&foreign).unwrap().flaw.unwrap().kind,
        FlawKind::ForgedHead { line: 1 }
    );
}

#[tokio::test]
async fn records_that_retention_took_are_vouched_for_and_a_made_up_anchor_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let settings = Settings {
        retention: "1h".parse().unwrap(),
        ..with_heads("1m", 4)
    };
    let audit = Audit::open(&settings, dir.path(), clock.clone()).unwrap();
    for number in 0..10 {
        audit.record(vec![numbered(number)]).await.unwrap();
    }
    clock.set(clock.now() + Duration::from_secs(2 * 3_600));
    audit.record(vec![numbered(10)]).await.unwrap();
    audit.tidy().await;
    audit.close().await;
    assert_eq!(all(dir.path())[0].seq, 11);
    let report = reader(dir.path()).only_chain_with(&heads(dir.path())).unwrap();
    assert!(report.holds() && report.removed == 10, "{report}");

    // Somebody else takes a record away and says that it was retention.
    let first = all(dir.path())[0].clone();
    let forged = Anchor {
        first: 11,
        last: Head {
            chain: 0,
            seq: 11,
            hash: first.hash,
        },
        since_ms: 0,
        until_ms: 0,
    };
    let audit = open(dir.path());
    audit.record(vec![forged.entry()]).await.unwrap();
    audit.close().await;
    for table in ["record", "facet"] {
        raw(dir.path())
            .execute(&format!("DELETE FROM {table} WHERE seq = 11"), [])
            .unwrap();
    }
    let flaw = reader(dir.path())
        .only_chain_with(&heads(dir.path()))
        .unwrap()
        .flaw
        .unwrap();
    assert_eq!((flaw.seq, flaw.kind), (13, FlawKind::UnsignedAnchor));
}

#[cfg(unix)]
#[tokio::test]
async fn the_key_is_made_for_its_owner_only_and_used_again() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    Audit::open(&with_heads("1m", 1), dir.path(), clock())
        .unwrap()
        .close()
        .await;
    let key = fs::read(dir.path().join("heads.key")).unwrap();
    let mode = fs::metadata(dir.path().join("heads.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    Audit::open(&with_heads("1m", 1), dir.path(), clock())
        .unwrap()
        .close()
        .await;
    assert_eq!(fs::read(dir.path().join("heads.key")).unwrap(), key);
    let nowhere = Settings {
        heads: Some(HeadsSettings::default()),
        ..Settings::default()
    };
    assert_eq!(
        Audit::open(&nowhere, dir.path(), clock()).unwrap_err().key,
        "audit.heads"
    );
}
