//! What Tollgate does, shown through its front door: real sockets on every side, a whole configuration each time.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod consults;
mod denials;
mod invariants;
mod layers;
mod project;
mod tokens;
mod transport;
mod world;
