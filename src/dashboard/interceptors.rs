//! One page for each interceptor, with its tabs.

mod configuration;
mod logs;
mod trial;

pub(super) use self::trial::Trials;

use askama::Template;
use axum::{Extension, Router, extract::State, response::Response, routing::get};

use super::{
    access::Visitor,
    console::{Console, Shared},
    failure,
    frame::{Frame, Section, show},
};
use crate::interceptor::{BreakerState, Interceptor, Policy};

/// The pages of the interceptors.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/interceptors", get(list))
        .route("/interceptors/{name}", get(configuration::page))
        .route("/interceptors/{name}/log", get(logs::page))
        .merge(trial::routes())
}

/// What stands above the tabs of an interceptor.
pub(super) struct Head {
    pub(super) name: String,
    pub(super) trigger: String,
    pub(super) endpoint: String,
    pub(super) enabled: bool,
    pub(super) breaker: Breaker,
    /// The tab that is shown: `configuration`, `log` or `test`.
    pub(super) tab: &'static str,
}

/// A breaker's state for people.
pub(super) struct Breaker {
    pub(super) word: &'static str,
    pub(super) icon: &'static str,
}

impl Head {
    fn of(interceptor: &Interceptor, tab: &'static str) -> Self {
        Self {
            name: interceptor.name().to_owned(),
            trigger: interceptor.trigger().to_string(),
            endpoint: interceptor.endpoint().to_owned(),
            enabled: interceptor.settings().enabled,
            breaker: Breaker::of(interceptor),
            tab,
        }
    }
}

impl Breaker {
    pub(super) fn of(interceptor: &Interceptor) -> Self {
        let (word, icon) = match interceptor.breaker() {
            BreakerState::Closed => ("Breaker closed", "ok"),
            BreakerState::Open { .. } => ("Breaker open", "fail"),
            BreakerState::Probing => ("Breaker probing", "warn"),
        };
        Self { word, icon }
    }
}

/// The interceptor of a path, with its place in the file, or the page that says there is none.
fn find<'c>(console: &'c Console, visitor: &Visitor, name: &str) -> Result<(usize, &'c Interceptor), Box<Response>> {
    let mut all = console.gate.interceptors().iter().enumerate();
    all.find(|(_, interceptor)| interceptor.name() == name).ok_or_else(|| {
        Box::new(failure::not_found(
            console,
            visitor,
            format!("There is no interceptor called “{name}”."),
        ))
    })
}

#[derive(Template)]
#[template(path = "interceptors.html")]
struct List {
    frame: Frame,
    interceptors: Vec<Line>,
}

struct Line {
    head: Head,
    place: usize,
    timeout: String,
    on_failure: &'static str,
}

async fn list(State(console): State<Shared>, Extension(visitor): Extension<Visitor>) -> Response {
    let lines = console.gate.interceptors().iter().enumerate();
    show(&List {
        frame: Frame::new(&console, &visitor, Section::Interceptors, "Interceptors"),
        interceptors: lines
            .map(|(index, interceptor)| Line {
                head: Head::of(interceptor, ""),
                place: index + 1,
                timeout: interceptor.settings().timeout.to_string(),
                on_failure: policy(interceptor.settings().on_failure()),
            })
            .collect(),
    })
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Allow => "allow",
        Policy::Deny => "deny",
    }
}
