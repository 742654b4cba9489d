//! Tollgate: auth interceptors in front of an OpenID provider that already runs.
//!
//! `docs/ARCHITECTURE.md` has the life of a request and the map of these modules.

pub mod audit;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dashboard;
pub mod demo;
pub mod escape;
pub mod event;
pub mod exchange;
pub mod facts;
pub mod fields;
pub mod form;
pub mod gate;
pub mod geo;
pub mod interceptor;
pub mod json;
mod lifecycle;
pub mod listen;
pub mod metrics;
pub mod misconfigured;
pub mod preset;
pub mod refusal;
pub mod route;
pub mod secret;
pub mod serve;
pub mod supervisor;
pub mod telemetry;
pub mod token;
pub mod trial;
pub mod trust;
pub mod upstream;
pub mod verdict;
