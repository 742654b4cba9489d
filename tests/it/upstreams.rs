//! Several upstreams in one process: each has its host, its keys, its interceptors and its routes, and nothing of another's.

mod certificates;
mod hosts;
mod isolation;
mod reloaded;
mod seen;
mod written;

use crate::world::two::Two;

/// The two without an interceptor.
async fn two() -> Two {
    Two::start("").await
}
