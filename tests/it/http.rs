//! Listener, canonical reading and relay in a row: what a client sends, and what an upstream gets to see.

mod addresses;
mod framing;
mod limits;
mod protocols;
mod remembered;
mod streams;
mod world;
