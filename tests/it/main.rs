//! Everything that is tested from outside, in one binary: it links once.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod http;
