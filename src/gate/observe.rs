//! What is told of requests to whoever watches the proxy.

use http::Response;

use super::Gate;
use crate::{body::Body, exchange::Arrival, interceptor::BreakerState, token::State};

impl Gate {
    /// All metrics in Prometheus' text format, with what is looked up only when somebody asks.
    pub fn scrape(&self) -> String {
        for interceptor in self.interceptors.iter() {
            let state = match interceptor.breaker() {
                BreakerState::Closed => 0,
                BreakerState::Trying => 1,
                BreakerState::Open => 2,
            };
            self.metrics.breaker(interceptor.name(), state);
        }
        let keys = self.reissuer.ring().list(self.clock.now());
        for key in keys.iter().filter(|key| key.state == State::Signing) {
            let next = keys
                .iter()
                .filter(|other| other.family == key.family && other.state == State::Next)
                .filter_map(|other| other.signs_from)
                .min();
            let since = key.signs_from.unwrap_or(key.created);
            self.metrics
                .signing_key(key.family.name(), since.as_second(), next.map(|next| next.as_second()));
        }
        self.metrics.render()
    }

    /// The same answer, counted.
    pub(super) fn counted(&self, arrival: &Arrival, operation: &str, answer: Response<Body>) -> Response<Body> {
        let status = answer.status().as_u16();
        self.metrics.answered(operation, status, arrival.started.elapsed());
        answer
    }
}
