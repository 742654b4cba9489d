//! Pages, histories and figures.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn seqs(page: &Page) -> Vec<u64> {
    page.records.iter().map(|record| record.seq).collect()
}

fn at(minute: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(1_795_000_000_000 + minute * 60_000).unwrap()
}

#[tokio::test]
async fn pages_lead_to_the_oldest_record_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    audit.record((1..=10).map(numbered).collect()).await.unwrap();
    let reader = reader(dir.path());
    let page = |before, after| {
        let query = Query {
            before,
            after,
            limit: Some(4),
            trigger: Some(Trigger::PreSessionCreation),
            ..Query::default()
        };
        reader.page(&query, clock().now()).unwrap()
    };
    let first = page(None, None);
    assert_eq!(
        (seqs(&first), first.older, first.newer),
        (vec![10, 9, 8, 7], Some(7.into()), None)
    );
    let second = page(first.older, None);
    assert_eq!(
        (seqs(&second), second.older, second.newer),
        (vec![6, 5, 4, 3], Some(3.into()), Some(6.into()))
    );
    let third = page(second.older, None);
    assert_eq!(
        (seqs(&third), third.older, third.newer),
        (vec![2, 1], None, Some(2.into()))
    );
    let back = page(None, third.newer);
    assert_eq!(
        (seqs(&back), back.older, back.newer),
        (vec![6, 5, 4, 3], Some(3.into()), Some(6.into()))
    );
    let back = page(None, back.newer);
    assert_eq!(
        (seqs(&back), back.older, back.newer),
        (vec![10, 9, 8, 7], Some(7.into()), None)
    );
}

#[tokio::test]
async fn a_page_that_took_its_share_says_how_far_it_looked_and_goes_on_there() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let audit = Audit::open(&settings(), dir.path(), clock.clone()).unwrap();
    for minute in 0..50 {
        clock.set(at(minute));
        audit
            .record(vec![numbered(minute.unsigned_abs() as usize)])
            .await
            .unwrap();
    }
    let reader = reader(dir.path());
    let mut query = Query {
        text: Some("req-7".into()),
        ..Query::default()
    };
    let first = reader.page_within(&query, clock.now(), 40).unwrap();
    assert!(seqs(&first).is_empty());
    assert_eq!(first.older, Some(41.into()));
    assert_eq!(first.looked_to, Some(at(39)));
    let mut found = Vec::new();
    query.before = first.older;
    while query.before.is_some() {
        let page = reader.page_within(&query, clock.now(), 40).unwrap();
        found.extend(seqs(&page));
        query.before = page.older;
    }
    assert_eq!(found, [8]);
}

#[tokio::test]
async fn one_record_is_found_by_number_or_id_and_a_request_has_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path());
    let same = |number| Entry {
        request_id: "same".into(),
        ..numbered(number)
    };
    let receipts = audit.record(vec![same(1), numbered(2), same(3)]).await.unwrap();
    let reader = reader(dir.path());
    assert_eq!(reader.record("2").unwrap().unwrap().id, receipts[1].id);
    assert_eq!(reader.record(&receipts[2].id.to_string()).unwrap().unwrap().seq, 3);
    assert!(reader.record("4").unwrap().is_none());
    assert!(reader.record("' OR 1=1 --").unwrap().is_none());
    let of_request: Vec<_> = reader.request("same").unwrap().iter().map(|r| r.seq).collect();
    assert_eq!(of_request, [1, 3]);
}

/// A record, as the model below sees it.
#[derive(Clone, Debug)]
struct Told {
    minute: i64,
    allowed: bool,
    by: usize,
    interceptor: usize,
    user: usize,
    ms: u64,
}

const BY: [DecidedBy; 3] = [DecidedBy::Endpoint, DecidedBy::OnFailure, DecidedBy::Breaker];
const INTERCEPTORS: [&str; 3] = ["seats", "plan", "risk"];
const USERS: [&str; 4] = [
    "ada@example.com",
    "Adam@Example.com",
    "bob@example.org",
    "adrian@other.example",
];

fn told() -> impl Strategy<Value = Told> {
    (
        0..300_i64,
        any::<bool>(),
        0..3_usize,
        0..3_usize,
        0..4_usize,
        0..5_000_u64,
    )
        .prop_map(|(minute, allowed, by, interceptor, user, ms)| Told {
            minute,
            allowed,
            by,
            interceptor,
            user,
            ms,
        })
}

async fn tell(dir: &Path, told: &[Told]) -> Reader {
    let clock = clock();
    let audit = Audit::open(&settings(), dir, clock.clone()).unwrap();
    for (index, record) in told.iter().enumerate() {
        // The clock steps back as it likes.
        clock.set(at(record.minute));
        let entry = Entry {
            interceptor: Some(INTERCEPTORS[record.interceptor].into()),
            decision: Some(if record.allowed { Effect::Allow } else { Effect::Deny }),
            decided_by: Some(Decider::Interceptor(BY[record.by])),
            user_email: Some(USERS[record.user].into()),
            duration_ms: Some(record.ms),
            ..numbered(index)
        };
        audit.record(vec![entry]).await.unwrap();
    }
    audit.close().await;
    reader(dir)
}

type Asked = (
    Option<bool>,
    Option<usize>,
    Option<usize>,
    usize,
    Option<i64>,
    Option<i64>,
    u32,
    usize,
);

fn asked() -> impl Strategy<Value = Asked> {
    (
        prop::option::of(any::<bool>()),
        prop::option::of(0..3_usize),
        prop::option::of(0..3_usize),
        0..6_usize,
        prop::option::of(0..300_i64),
        prop::option::of(0..300_i64),
        1..6_u32,
        4..60_usize,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_filters_find_what_a_look_at_every_record_finds(told in prop::collection::vec(told(), 1..40), asked in prop::collection::vec(asked(), 12)) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let reader = runtime.block_on(tell(dir.path(), &told));
        for (allowed, by, interceptor, user, since, until, limit, effort) in asked {
            let mut query = Query {
                decision: allowed.map(|allowed| if allowed { Effect::Allow } else { Effect::Deny }),
                decided_by: by.map(|by| BY[by]).map(|by| entry::word(&by)),
                interceptor: interceptor.map(|i| INTERCEPTORS[i].to_owned()),
                user: [None, Some("ADA@EXAMPLE.COM"), Some("@example.com"), Some("AD*"), Some("ada@*"), Some("x*")][user].map(str::to_owned),
                since: since.map(|minute| Moment::At(at(minute))),
                until: until.map(|minute| Moment::At(at(minute))),
                limit: Some(limit),
                ..Query::default()
            };
            let matching = |record: &Told| {
                let email = USERS[record.user].to_lowercase();
                allowed.is_none_or(|a| a == record.allowed)
                    && by.is_none_or(|b| b == record.by)
                    && interceptor.is_none_or(|i| i == record.interceptor)
                    && since.is_none_or(|m| record.minute >= m)
                    && until.is_none_or(|m| record.minute < m)
                    && match user {
                        0 => true,
                        1 => email == "ada@example.com",
                        2 => email.ends_with("@example.com"),
                        3 => email.starts_with("ad"),
                        4 => email.starts_with("ada@"),
                        _ => false,
                    }
            };
            let mut expected: Vec<_> = (1..).zip(&told).filter(|(_, record)| matching(record)).map(|(seq, _)| seq).collect();
            // From new to old, page by page.
            let mut forth = query.clone();
            let mut found = Vec::new();
            loop {
                let page = reader.page_within(&query, at(300), effort).unwrap();
                prop_assert!(page.records.len() <= limit as usize);
                found.splice(0..0, seqs(&page).into_iter().rev());
                query.before = page.older;
                if page.older.is_none() {
                    break;
                }
            }
            prop_assert_eq!(&found, &expected);
            // From old to new.
            forth.after = Some(0.into());
            found.clear();
            while forth.after.is_some() {
                let page = reader.page_within(&forth, at(300), effort).unwrap();
                found.extend(seqs(&page).into_iter().rev());
                forth.after = page.newer;
            }
            prop_assert_eq!(&found, &expected);
            // All at once.
            expected.reverse();
            let everything = Query { limit: Some(u32::MAX), before: None, ..query };
            let all: Vec<_> = reader.records(&everything, at(300)).unwrap().iter().map(|r| r.seq).collect();
            prop_assert_eq!(all, expected);
        }
    }

    #[test]
    fn the_figures_are_those_of_the_records(told in prop::collection::vec(told(), 1..40), since in 0..300_i64, length in 1..300_i64, step in 1..90_u64) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let reader = runtime.block_on(tell(dir.path(), &told));
        let figures = reader.statistics(at(since), at(since + length), Duration::from_secs(60 * step)).unwrap();
        let starts: Vec<_> = figures.buckets.iter().map(|bucket| bucket.start).collect();
        prop_assert!(starts[0] <= at(since));
        let width = figures.step;
        prop_assert!(width >= Duration::from_secs(60 * step));
        let mut total = 0;
        for (start, bucket) in starts.iter().zip(&figures.buckets) {
            let within: Vec<_> = told.iter().filter(|t| at(t.minute) >= *start && at(t.minute) < *start + width).collect();
            let count = |allowed: bool, direct: bool| within.iter().filter(|t| t.allowed == allowed && (t.by == 0) == direct).count() as u64;
            let expected = Tally {
                allowed: count(true, true),
                denied: count(false, true),
                failed_open: count(true, false),
                failed_closed: count(false, false),
                others: 0,
            };
            prop_assert_eq!(bucket.tally, expected);
            prop_assert_eq!(bucket.durations.count(), expected.records());
            total += expected.records();
        }
        prop_assert_eq!(figures.total.records(), total);
        prop_assert_eq!(figures.triggers.values().map(Tally::records).sum::<u64>(), total);
        prop_assert_eq!(figures.interceptors.values().map(|f| f.durations.count()).sum::<u64>(), total);
    }
}
