//! What recording costs, and how fast a large store answers: `cargo bench --bench audit -- RECORDS`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate::{
    audit::{Audit, Decider, Entry, Fault, Kind, Query, Reader, Settings},
    clock::Clock,
    event::Trigger,
    verdict::{DecidedBy, Effect},
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let count = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(200_000);
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(writing(folder.path()))?;
    runtime.block_on(filling(folder.path(), count))?;
    reading(folder.path(), count)
}

/// One writer, many writers, and the whole rate.
async fn writing(folder: &Path) -> Outcome {
    let settings = Settings {
        store: "sqlite:writing.db".into(),
        ..Settings::default()
    };
    let audit = Audit::open(&settings, folder, Clock::system())?;
    let started = Instant::now();
    for number in 0..500 {
        audit.record(vec![entry(number)]).await?;
    }
    println!("one after the other: {:?} a record", started.elapsed() / 500);
    let started = Instant::now();
    let writers = (0..256).map(|writer| {
        let audit = audit.clone();
        tokio::spawn(async move {
            for number in 0..80 {
                audit.record(vec![entry(writer * 80 + number)]).await?;
            }
            Ok::<_, tollgate::audit::AuditError>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    let took = started.elapsed();
    println!("256 at once: {:?} a record", took / (256 * 80));
    audit.close().await;
    Ok(())
}

/// Thirty days of records.
async fn filling(folder: &Path, count: u64) -> Outcome {
    let begin = Timestamp::now() - Duration::from_secs(29 * 86_400);
    let clock = Clock::fixed(begin);
    let audit = Audit::open(&Settings::default(), folder, clock.clone())?;
    let apart = 29 * 86_400 * 1_000_000 / count.max(1);
    let started = Instant::now();
    for number in (0..count).step_by(1_000) {
        clock.set(begin + Duration::from_millis(apart * (number / 1_000)));
        let entries = (number..(number + 1_000).min(count)).map(entry).collect();
        audit.record(entries).await?;
    }
    let took = started.elapsed();
    audit.close().await;
    let bytes = std::fs::metadata(folder.join("audit.db"))?.len();
    println!(
        "{count} records in {took:?}: {:?} and {} bytes a record, {} bytes of them its text",
        took / u32::try_from(count)?,
        bytes / count.max(1),
        serde_json::to_string(&entry(1))?.len() + 90,
    );
    Ok(())
}

fn reading(folder: &Path, count: u64) -> Outcome {
    let started = Instant::now();
    let reader = Reader::open(&Settings::default(), folder)?;
    println!("opening: {:?}", started.elapsed());
    let any = Query::default;
    let own = |text: &str| Some(text.to_owned());
    let day = |days: &str| days.parse().ok();
    for (name, query) in [
        ("newest", any()),
        (
            "deep",
            Query {
                before: Some((count / 3).into()),
                ..any()
            },
        ),
        (
            "e-mail",
            Query {
                user: own("USER77@customer7.example"),
                ..any()
            },
        ),
        (
            "e-mail that is not there",
            Query {
                user: own("nobody@customer7.example"),
                ..any()
            },
        ),
        (
            "domain",
            Query {
                user: own("@customer7.example"),
                ..any()
            },
        ),
        (
            "prefix",
            Query {
                user: own("user777*"),
                ..any()
            },
        ),
        (
            "wide prefix",
            Query {
                user: own("user*"),
                ..any()
            },
        ),
        (
            "deny",
            Query {
                decision: Some(Effect::Deny),
                ..any()
            },
        ),
        (
            "deny of an invitation by a client",
            Query {
                decision: Some(Effect::Deny),
                trigger: Some(Trigger::PreUserInvitation),
                client: own("client-3"),
                ..any()
            },
        ),
        (
            "two that never meet",
            Query {
                kind: Some(Kind::Failure),
                decision: Some(Effect::Deny),
                ..any()
            },
        ),
        (
            "two frequent that never meet",
            Query {
                decided_by: own("endpoint"),
                status: Some(503),
                ..any()
            },
        ),
        (
            "a day two weeks ago",
            Query {
                since: day("15d"),
                until: day("14d"),
                ..any()
            },
        ),
        (
            "failed open two weeks ago",
            Query {
                since: day("15d"),
                until: day("14d"),
                decision: Some(Effect::Allow),
                decided_by: own("on_failure"),
                ..any()
            },
        ),
        (
            "text",
            Query {
                text: own("seat limit"),
                ..any()
            },
        ),
        (
            "text that is not there",
            Query {
                text: own("nowhere"),
                ..any()
            },
        ),
        (
            "text of one domain",
            Query {
                text: own("nowhere"),
                user: own("@customer7.example"),
                ..any()
            },
        ),
    ] {
        let mut times = Vec::new();
        let mut page = reader.page(&query, Timestamp::now())?;
        for _ in 0..15 {
            let started = Instant::now();
            page = reader.page(&query, Timestamp::now())?;
            times.push(started.elapsed());
        }
        times.sort();
        let looked = page
            .looked_to
            .map_or_else(String::new, |time| format!(", looked back to {time}"));
        let (median, worst) = (times.get(7), times.last());
        println!(
            "{name}: {} records, {median:?} (worst {worst:?}){looked}",
            page.records.len()
        );
    }
    let now = Timestamp::now();
    for (name, days, step) in [
        ("a day by minutes", 1, 60),
        ("a day by 10 minutes", 1, 600),
        ("30 days by hours", 30, 3_600),
    ] {
        let started = Instant::now();
        let figures = reader.statistics(now - Duration::from_secs(days * 86_400), now, Duration::from_secs(step))?;
        println!(
            "figures of {name}: {:?}, {} records in {} steps",
            started.elapsed(),
            figures.total.records(),
            figures.buckets.len()
        );
    }
    Ok(())
}

/// A record like those of a busy sidecar.
fn entry(number: u64) -> Entry {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let trigger = match spread % 10 {
        0..6 => Trigger::PreSessionCreation,
        6..8 => Trigger::PreM2mTokenCreation,
        8 => Trigger::PreSignup,
        _ => Trigger::PreUserInvitation,
    };
    let user = spread % 200_000;
    let email = format!("user{user}@customer{}.example", user % 1_000);
    let client = format!("client-{}", spread % 50);
    let request = format!("{:032x}", u128::from(spread) << 40 | u128::from(number));
    let entry = Entry {
        request_id: request.clone(),
        trigger: Some(trigger),
        operation: Some("token".into()),
        realm: Some(
            if spread.is_multiple_of(20) {
                "staff"
            } else {
                "customers"
            }
            .into(),
        ),
        client_id: Some(client.clone()),
        user_id: Some(format!("{user:08x}-0000-4000-8000-{user:012x}")),
        user_email: Some(email.clone()),
        ip_address: Some([203, 0, 113, u8::try_from(spread % 250).unwrap_or(0)].into()),
        ..Entry::new(Kind::Consult)
    };
    if spread.is_multiple_of(500) {
        return Entry {
            failure: Some(Fault {
                kind: "unverified_token".into(),
                detail: "the ID token's `at_hash` is wrong".into(),
            }),
            ..Entry {
                kind: Kind::Failure,
                ..entry
            }
        };
    }
    let (decision, by) = match spread % 1_000 {
        0..20 => (Effect::Deny, DecidedBy::Endpoint),
        20..24 => (Effect::Allow, DecidedBy::OnFailure),
        24..26 => (Effect::Deny, DecidedBy::Breaker),
        _ => (Effect::Allow, DecidedBy::Endpoint),
    };
    Entry {
        interceptor: Some(format!("Interceptor {}", spread % 3)),
        consult_id: Some(format!("msg_{spread:022x}")),
        decision: Some(decision),
        decided_by: Some(Decider::Interceptor(by)),
        status: Some(if by == DecidedBy::Endpoint { 200 } else { 503 }),
        attempts: Some(1),
        duration_ms: Some(5 + spread % 60),
        reason: (spread % 10_000 == 1).then(|| "close to the seat limit".into()),
        event: Some(event(&request, &email, &client)),
        answer: Some(json!({"decision": "ALLOW", "response": {"claims": {"plan": "gold", "seats": 40}}})),
        ..entry
    }
}

fn event(request: &str, email: &str, client: &str) -> Value {
    json!({
        "trigger_point": "PRE_SESSION_CREATION",
        "interceptor_context": {
            "environment_id": "production", "request_id": request, "client_id": client, "user_email": email, "realm": "customers",
            "operation": "token", "dry_run": false, "triggered_at": "2026-11-23T10:15:00.123Z", "ip_address": "203.0.113.9",
        },
        "data": {
            "user": {"email": email, "roles": ["admin", "billing"], "email_verified": true},
            "claims": {"access_token": {"sub": "u-1", "plan": "free", "scope": "openid profile email"}, "id_token": {"sub": "u-1", "name": "Ada"}},
        },
    })
}
