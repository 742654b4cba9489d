//! Tollgate: auth interceptors in front of an OpenID provider that already runs.
//!
//! `docs/ARCHITECTURE.md` has the life of a request and the map of these modules.

pub mod audit;
pub mod clock;
pub mod demo;
pub mod event;
pub mod interceptor;
pub mod json;
pub mod misconfigured;
pub mod preset;
pub mod route;
pub mod secret;
pub mod token;
pub mod verdict;
