//! The indexes of a store that is being filled: made at once from all records they are the same as made record by record, and take minutes
//! instead of an hour.

use std::path::Path;

use rusqlite::Connection;

/// Drops the store's indexes and says how they are made again.
pub(crate) fn take_away(folder: &Path) -> Result<Vec<String>, rusqlite::Error> {
    let store = Connection::open(folder.join("audit.db"))?;
    let mut select = store.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")?;
    let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(String, String)> = found.collect::<Result<_, _>>()?;
    for (name, _) in &found {
        store.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    Ok(found.into_iter().map(|(_, sql)| sql).collect())
}

/// Makes them.
pub(crate) fn make(folder: &Path, indexes: &[String]) -> Result<(), rusqlite::Error> {
    let store = Connection::open(folder.join("audit.db"))?;
    store.execute_batch("PRAGMA cache_size = -1000000")?;
    for sql in indexes {
        store.execute_batch(sql)?;
    }
    Ok(())
}
