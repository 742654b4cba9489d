//! What a listing returns.

use jiff::Timestamp;

use super::{Place, Record};

/// Some of the records that match, newest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// The numbers of those that match and can no longer be read; `verify` says why.
    pub unreadable: Vec<u64>,
    /// What `before` must be for the next page, with older records; `None` when there are none.
    pub older: Option<Place>,
    /// What `after` must be for the page before this one, with newer records; `None` when this is the first, or none are newer.
    pub newer: Option<Place>,
    /// Set when the search broke off because it had taken its share: it looked back (with `after`, forth) to this time, and goes on with
    /// `older` (`newer`).
    pub looked_to: Option<Timestamp>,
}
