//! The time of migration: with `require_reissued = false` the upstream's own tokens are taken, and counted, so that the
//! operator sees when nobody presents one any more.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often the log says it.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// How many were taken since the start.
#[derive(Default)]
pub(super) struct Natives(Mutex<Count>);

#[derive(Default)]
struct Count {
    taken: u64,
    said: Option<Instant>,
}

impl Natives {
    /// Counts one, and says so at the first and then at most once a minute.
    pub(super) fn took_one(&self) {
        if let Some(taken) = self.count() {
            tracing::warn!(
                native_tokens = taken,
                "clients still present the provider's own tokens: {taken} since the start; when this line comes no more, set `require_reissued = true` in [tokens]"
            );
        }
    }

    /// The number so far, if it is to be said.
    fn count(&self) -> Option<u64> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count.taken += 1;
        if count.said.is_some_and(|at| at.elapsed() < BETWEEN_LINES) {
            return None;
        }
        count.said = Some(Instant::now());
        Some(count.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_says_the_number_once_a_minute() {
        let natives = Natives::default();
        assert_eq!(natives.count(), Some(1));
        assert_eq!((natives.count(), natives.count()), (None, None));
        tokio::time::advance(BETWEEN_LINES).await;
        assert_eq!((natives.count(), natives.count()), (Some(4), None));
    }
}
