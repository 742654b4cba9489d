//! Pages that are made from the sources: the reference of routes, and what works with which provider.
//!
//! `TOLLGATE_WRITE_PAGES=1 cargo test --test it pages` writes them anew.

mod language;
mod providers;

use std::{env, fs};

/// Whether a page is what it should be; writes it where that is wished.
fn is_up_to_date(page: &str, due: &str) {
    if env::var_os("TOLLGATE_WRITE_PAGES").is_some() {
        fs::write(page, due).unwrap();
    }
    let found = fs::read_to_string(page).unwrap_or_default();
    assert!(
        found == due,
        "{page} is out of date; mend it with `TOLLGATE_WRITE_PAGES=1 cargo test --test it pages`"
    );
}
