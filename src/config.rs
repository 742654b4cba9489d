//! The configuration.
mod environment;
mod errors;
mod example;
mod mask;
mod read;
mod source;
mod tree;
mod words;
pub use errors::{ConfigErrors, Finding};
