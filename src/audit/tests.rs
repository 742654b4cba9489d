//! What holds for every store: durable, in order, found again, tampering named, no secrets.

mod both;
mod crash;
mod fields;
mod heads;
mod million;
mod pages;
mod reading;
mod retention;
mod secrets;
mod tampering;
mod upgrade;
mod vouched;
mod writing;

use std::{path::Path, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    event::{Context, Event, Trigger},
    verdict::{Additions, Attempt, Claims, Consultation, DecidedBy, Effect},
};

fn settings() -> Settings {
    Settings::default()
}

fn open(dir: &Path) -> Audit {
    Audit::open(&settings(), dir, clock()).unwrap()
}

fn reader(dir: &Path) -> Reader {
    Reader::open(&settings(), dir).unwrap()
}

fn clock() -> Clock {
    Clock::fixed("2026-11-23T10:15:00.123Z".parse().unwrap())
}

/// The store's file, opened past Tollgate.
fn raw(dir: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(dir.join("audit.db")).unwrap();
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    connection
}

/// The report on the one chain of a file.
trait OnlyChain {
    fn only_chain(&self, expect: Option<Head>) -> Result<Report, ReadError>;
    fn only_chain_with(&self, heads: &Heads) -> Result<Report, ReadError>;
}

impl OnlyChain for Reader {
    fn only_chain(&self, expect: Option<Head>) -> Result<Report, ReadError> {
        self.only_chain_with(&expect.map_or_else(Heads::default, Heads::one))
    }

    fn only_chain_with(&self, heads: &Heads) -> Result<Report, ReadError> {
        Ok(self.verify(heads)?.remove(0))
    }
}

fn all(dir: &Path) -> Vec<Record> {
    let everything = Query {
        limit: Some(u32::MAX),
        ..Query::default()
    };
    let mut records = reader(dir).records(&everything, clock().now()).unwrap();
    records.reverse();
    records
}

fn event() -> Event {
    let data = json!({
        "user": {"id": "u-1", "email": "ada@example.com", "roles": ["admin"]},
        "claims": {"access_token": {"sub": "u-1", "plan": "free"}, "id_token": {"sub": "u-1"}},
    });
    Event {
        trigger: Trigger::PreSessionCreation,
        context: Context {
            environment_id: "test".into(),
            user_id: Some("u-1".into()),
            user_email: Some("ada@example.com".into()),
            client_id: Some("web-app".into()),
            ip_address: Some("203.0.113.9".parse().unwrap()),
            triggered_at: clock().now(),
            request_id: "req-1".into(),
            realm: Some("customers".into()),
            operation: Some("token".into()),
            ..Context::default()
        },
        data: serde_json::from_value(data).unwrap(),
    }
}

fn consultation() -> Consultation {
    Consultation {
        interceptor: "Plan and seats".into(),
        id: "msg_1".into(),
        effect: Effect::Allow,
        decided_by: DecidedBy::Endpoint,
        failure: None,
        message: None,
        reason: Some("paid until May".into()),
        claims: Claims::default(),
        additions: Additions {
            access_token: serde_json::from_value(json!({"plan": "gold", "seats": 40})).unwrap(),
            id_token: serde_json::from_value(json!({"plan": "gold"})).unwrap(),
            organization_membership: None,
        },
        annotations: serde_json::from_value(json!({"rule": 7})).unwrap(),
        warnings: vec!["close to the seat limit".into()],
        status: Some(200),
        attempts: vec![Attempt {
            started: clock().now(),
            duration: std::time::Duration::from_millis(11),
            status: Some(200),
            failure: None,
        }],
        duration: std::time::Duration::from_millis(12),
        answer: Some(json!({"decision": "ALLOW", "response": {"claims": {"plan": "gold"}}})),
        refused: Vec::new(),
    }
}

/// An entry that tells its number.
fn numbered(number: usize) -> Entry {
    Entry {
        request_id: format!("req-{number}"),
        ..Entry::of_consult(&event(), &consultation())
    }
}
