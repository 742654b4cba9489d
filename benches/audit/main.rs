//! What recording costs, and how fast a large store answers: `cargo bench --bench audit -- RECORDS [--store FOLDER]`.
//!
//! A folder that is named is kept, and its store used as it is when it has one already.

mod entries;
mod indexes;
mod pages;
mod queries;
mod text_index;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tollgate::{
    audit::{Audit, AuditError, Query, Reader, Receipt, Retention, Settings},
    clock::Clock,
};

use self::entries::entry;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let (mut count, mut kept) = (200_000, None::<PathBuf>);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--store" => kept = arguments.next().map(PathBuf::from),
            // Cargo adds arguments of its own.
            other => count = other.parse().unwrap_or(count),
        }
    }
    let own = tempfile::tempdir()?;
    let folder = kept.as_deref().unwrap_or(own.path());
    std::fs::create_dir_all(folder)?;
    let runtime = tokio::runtime::Runtime::new()?;
    if !folder.join("audit.db").exists() {
        runtime.block_on(fill(folder, count))?;
    }
    runtime.block_on(append(folder))?;
    let newest = Query {
        limit: Some(1),
        ..Query::default()
    };
    let newest = Reader::open(&settings(), folder)?.page(&newest, Timestamp::now())?;
    let count = newest.records.first().map_or(0, |record| record.seq);
    println!("the store has {count} records");
    queries::search(folder, count)?;
    pages::serve(folder)?;
    text_index::weigh(folder)
}

/// Nothing is taken away, however old a kept folder gets.
fn settings() -> Settings {
    Settings {
        retention: Retention::Forever,
        ..Settings::default()
    }
}

/// Thirty days of records, through the writer that decisions go through. All of a minute are written at once, and where figures are kept by the
/// minute, with that minute's time; before that, many minutes wait in a row, so that the disk is waited for seldom. Indexes are made when all are there.
async fn fill(folder: &Path, count: u64) -> Outcome {
    let begin = Timestamp::now() - Duration::from_secs(MINUTES * 60);
    let clock = Clock::fixed(begin);
    Audit::open(&settings(), folder, clock.clone())?.close().await;
    let indexes = indexes::take_away(folder)?;
    let audit = Audit::open(&settings(), folder, clock.clone())?;
    let started = Instant::now();
    let mut under_way = VecDeque::new();
    for minute in 0..MINUTES {
        let (first, last) = (count * minute / MINUTES, count * (minute + 1) / MINUTES);
        let few = u64::from(minute + 2 * 24 * 60 < MINUTES) * WAITING / (last - first).max(1);
        while under_way.len() as u64 > few.min(512)
            && let Some(oldest) = under_way.pop_front()
        {
            written(oldest).await?;
        }
        clock.set(begin + Duration::from_secs(minute * 60));
        let audit = audit.clone();
        under_way.push_back(tokio::spawn(async move {
            audit.record((first..last).map(entry).collect()).await
        }));
    }
    for call in under_way {
        written(call).await?;
    }
    audit.close().await;
    indexes::make(folder, &indexes)?;
    let took = started.elapsed();
    let bytes = std::fs::metadata(folder.join("audit.db"))?.len();
    println!(
        "{count} records in {took:?}: {:?} and {} bytes a record, {} bytes of them its text",
        took / u32::try_from(count.max(1))?,
        bytes / count.max(1),
        serde_json::to_string(&entry(1))?.len() + 90,
    );
    Ok(())
}

/// One writer, many writers, and the whole rate, behind what is there already.
async fn append(folder: &Path) -> Outcome {
    let audit = Audit::open(&settings(), folder, Clock::system())?;
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
            Ok::<_, AuditError>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    println!("256 at once: {:?} a record", started.elapsed() / (256 * 80));
    audit.close().await;
    Ok(())
}

async fn written(call: JoinHandle<Result<Vec<Receipt>, AuditError>>) -> Outcome {
    call.await??;
    Ok(())
}

/// In which the records were written.
const MINUTES: u64 = 29 * 24 * 60;

/// Records that wait for the disk while a store is filled.
const WAITING: u64 = 16_384;
