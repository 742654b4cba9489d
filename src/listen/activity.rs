//! What a connection is doing, so that it can be told how long it may go on doing it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::limits::Limits;

/// Shared by a connection's socket, its requests and the task that watches the time.
///
/// hyper's own `header_read_timeout` begins when a connection goes idle, so it cannot tell a slow head from a quiet client.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    requests: usize,
    /// How many requests there have been, and up to which of them their bodies were read to the end.
    begun: u64,
    read: u64,
    /// Whether the client does not take what there is for it.
    blocked: bool,
    phase: Phase,
    since: Instant,
    http2: bool,
    head: Vec<u8>,
    /// Whether `overdue` was told that a head is coming.
    noticed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No request was seen yet.
    New,
    /// Between requests.
    Idle,
    /// Bytes of the next request's head have come.
    Head,
}

/// A request in flight: from its head to the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlight(Activity);

/// A request whose body has not been read to its end yet.
#[derive(Debug)]
pub(super) struct Unread {
    activity: Activity,
    request: u64,
}

impl Activity {
    pub(super) fn new() -> Self {
        let state = State {
            requests: 0,
            begun: 0,
            read: 0,
            blocked: false,
            phase: Phase::New,
            since: Instant::now(),
            http2: false,
            head: Vec::new(),
            noticed: false,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// A request's head was read. Returns its bytes too, as far as they came between requests, with whatever followed.
    pub(super) fn begin(&self, http2: bool) -> (InFlight, Unread, Vec<u8>) {
        let mut state = self.state();
        state.requests += 1;
        state.begun += 1;
        state.phase = Phase::Idle;
        state.noticed = false;
        state.http2 = http2;
        let unread = Unread {
            activity: self.clone(),
            request: state.begun,
        };
        (InFlight(self.clone()), unread, std::mem::take(&mut state.head))
    }

    pub(super) fn bytes_came(&self, bytes: &[u8], max_head: usize) {
        let mut state = self.state();
        // On HTTP/2 they may be a ping as well; there the idle timeout bounds a slow head.
        if state.requests > 0 || state.http2 {
            return;
        }
        // hyper refuses a longer head.
        let room = max_head.saturating_sub(state.head.len());
        state.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if state.phase == Phase::Idle {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
    }

    /// Whether no request was seen yet.
    pub(super) fn is_new(&self) -> bool {
        self.state().phase == Phase::New
    }

    /// There is nothing to read now. A head of which a part is still to come has less time than a quiet client.
    pub(super) fn waits(&self) {
        let mut state = self.state();
        if state.requests == 0 && state.phase == Phase::Head && !state.noticed {
            state.noticed = true;
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Whether the client takes what there is for it.
    pub(super) fn blocked(&self, blocked: bool) {
        self.state().blocked = blocked;
    }

    /// Returns when the connection has been idle, or its head has been coming, for too long.
    pub(super) async fn overdue(&self, limits: &Limits) {
        loop {
            let changed = self.0.changed.notified();
            let now = Instant::now();
            let deadline = self.deadline(limits);
            if deadline.is_some_and(|deadline| deadline <= now) {
                return;
            }
            // Whatever becomes of the connection meanwhile, no quiet one is overdue any sooner than that.
            let soonest = now + limits.idle_timeout;
            let until = deadline.map_or(soonest, |deadline| deadline.min(soonest));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Returns when nothing has been under way for `rest_after`, and nothing of what was is left over: no byte of a further head, no
    /// part of a body that is still to come, no answer that the client has not taken.
    pub(super) async fn rests(&self, limits: &Limits) {
        let mut until = Instant::now() + limits.rest_after;
        loop {
            sleep_until(until).await;
            until = match self.resting_since() {
                Some(since) if since.elapsed() >= limits.rest_after => return,
                Some(since) => since + limits.rest_after,
                None => Instant::now() + limits.rest_after,
            };
        }
    }

    fn resting_since(&self) -> Option<Instant> {
        let state = self.state();
        let over = state.requests == 0 && state.read == state.begun && !state.blocked;
        (over && state.phase == Phase::Idle).then_some(state.since)
    }

    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let state = self.state();
        let patience: Duration = match state.phase {
            _ if state.requests > 0 => return None,
            Phase::New | Phase::Head => limits.header_timeout,
            Phase::Idle => limits.idle_timeout,
        };
        Some(state.since + patience)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unread {
    /// It has been: what comes next is another request.
    pub(super) fn over(self) {
        let mut state = self.activity.state();
        state.read = state.read.max(self.request);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        if state.requests == 0 {
            state.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            max_head: 16,
            ..Limits::usual()
        }
    }

    async fn overdue_after(activity: &Activity) -> u64 {
        let start = Instant::now();
        activity.overdue(&limits()).await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_the_time_of_a_head_and_a_quiet_one_the_idle_time() {
        let activity = Activity::new();
        assert_eq!(overdue_after(&activity).await, 10);
        drop(activity.begin(false));
        assert_eq!(overdue_after(&activity).await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_heads_time_counts_from_its_first_byte() {
        let activity = Activity::new();
        drop(activity.begin(false));
        let trickle = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            for _ in 0..100 {
                activity.bytes_came(b"G", 16);
                activity.waits();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let waited = tokio::select! {
            waited = overdue_after(&activity) => waited,
            () = trickle => 0,
        };
        assert_eq!(waited, 70);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_is_not_hurried() {
        let activity = Activity::new();
        let (first, ..) = activity.begin(false);
        let (second, ..) = activity.begin(false);
        drop(first);
        let never = tokio::time::timeout(Duration::from_secs(3600), overdue_after(&activity)).await;
        assert!(never.is_err());
        drop(second);
        assert_eq!(overdue_after(&activity).await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_when_it_has_been_quiet_for_a_while() {
        let activity = Activity::new();
        let (in_flight, unread, _) = activity.begin(false);
        unread.over();
        let (start, limits) = (Instant::now(), limits());
        let answered = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            drop(in_flight);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = activity.rests(&limits) => {}
            () = answered => {}
        }
        assert_eq!(start.elapsed(), Duration::from_millis(2500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_does_not_rest_while_anything_of_a_request_is_to_come_or_to_go() {
        fn over(activity: &Activity) {
            let (_, unread, _) = activity.begin(false);
            unread.over();
        }
        let new = Activity::new();
        let in_flight = Activity::new();
        let (_held, unread, _) = in_flight.begin(false);
        unread.over();
        let body_to_come = Activity::new();
        over(&body_to_come);
        let (_, unread, _) = body_to_come.begin(false);
        let body_of_another = Activity::new();
        let (_, earlier, _) = body_of_another.begin(false);
        body_of_another.begin(false);
        earlier.over();
        let head_to_come = Activity::new();
        over(&head_to_come);
        head_to_come.bytes_came(b"GET", 16);
        let answer_to_go = Activity::new();
        over(&answer_to_go);
        answer_to_go.blocked(true);
        for (what, activity) in [
            ("new", &new),
            ("in flight", &in_flight),
            ("a body to come", &body_to_come),
            ("a body to come, that of another read", &body_of_another),
            ("a head to come", &head_to_come),
            ("an answer to go", &answer_to_go),
        ] {
            let rests = tokio::time::timeout(Duration::from_secs(3600), activity.rests(&limits())).await;
            assert!(rests.is_err(), "{what}");
        }
        answer_to_go.blocked(false);
        answer_to_go.rests(&limits()).await;
        unread.over();
        body_to_come.rests(&limits()).await;
    }

    #[test]
    fn a_heads_bytes_are_kept_until_it_is_read_and_no_more_than_a_head_may_have() {
        let activity = Activity::new();
        activity.bytes_came(b"0123456789", 16);
        activity.bytes_came(b"0123456789", 16);
        let (in_flight, _, head) = activity.begin(false);
        assert_eq!(head, b"0123456789012345");
        activity.bytes_came(b"body", 16);
        drop(in_flight);
        assert_eq!(activity.begin(false).2, b"");
    }
}
