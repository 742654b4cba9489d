//! What an index of the records' text would weigh: trigrams, which find any part of a text as `--text` does.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::Outcome;

pub(crate) fn weigh(folder: &Path) -> Outcome {
    let store = Connection::open_with_flags(folder.join("audit.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let own = tempfile::tempdir()?;
    let file = own.path().join("index.db");
    let mut index = Connection::open(&file)?;
    index.execute_batch(
        "CREATE VIRTUAL TABLE text USING fts5(body, content = '', detail = none, tokenize = 'trigram')",
    )?;
    let mut select = store.prepare("SELECT seq, body FROM record ORDER BY seq LIMIT ?1")?;
    let mut rows = select.query([SAMPLE])?;
    let transaction = index.transaction()?;
    let (mut records, mut text) = (0_u64, 0_u64);
    while let Some(row) = rows.next()? {
        let (seq, body): (i64, String) = (row.get(0)?, row.get(1)?);
        transaction.execute("INSERT INTO text (rowid, body) VALUES (?1, ?2)", (seq, &body))?;
        (records, text) = (records + 1, text + body.len() as u64);
    }
    transaction.commit()?;
    index.execute_batch("INSERT INTO text (text) VALUES ('optimize'); VACUUM;")?;
    drop(index);
    let bytes = std::fs::metadata(&file)?.len();
    println!(
        "an index of the text of {records} records: {} bytes a record, for {} bytes of text: {:.2} of it",
        bytes / records.max(1),
        text / records.max(1),
        bytes as f64 / text.max(1) as f64,
    );
    Ok(())
}

/// Records that are weighed.
const SAMPLE: u32 = 100_000;
