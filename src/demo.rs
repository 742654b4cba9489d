//! A small OpenID provider and sample interceptors, so that everything can be seen at work with nothing installed.

#[cfg(test)]
mod client;
pub mod hooks;
pub mod provider;
mod server;
