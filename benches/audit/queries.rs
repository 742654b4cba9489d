//! Searches, each with its median and worst time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tollgate::{
    audit::{Kind, Query, Reader},
    event::Trigger,
    verdict::Effect,
};

use crate::Outcome;

pub(crate) fn search(folder: &Path, count: u64) -> Outcome {
    let started = Instant::now();
    let reader = Reader::open(&crate::settings(), folder)?;
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
                user: own("USER77@customer77.example"),
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
