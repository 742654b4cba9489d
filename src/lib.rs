//! Tollgate: auth interceptors in front of an OpenID provider that already runs.
//!
//! `docs/ARCHITECTURE.md` has the life of a request and the map of these modules.

pub mod body;
pub mod clock;
pub mod event;
pub mod exchange;
pub mod form;
pub mod json;
pub mod listen;
pub mod misconfigured;
pub mod secret;
pub mod upstream;
pub mod verdict;
