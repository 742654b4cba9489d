//! The parts together, over real sockets.

mod http;
