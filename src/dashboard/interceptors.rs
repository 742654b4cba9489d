//! One page for each interceptor, with its tabs.

mod configuration;
mod logs;
mod trial;

pub(super) use self::trial::Trials;

use askama::Template;
use axum::{Extension, Router, extract::State, response::Response, routing::get};

use super::{
    access::Visitor,
    behind::Applied,
    console::{Console, Shared},
    failure,
    frame::{Frame, Section, show},
};
use crate::interceptor::{BreakerState, Policy};

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
    /// The upstreams that it is for; empty where there is only one.
    pub(super) upstreams: String,
    /// The tab that is shown: `configuration`, `log` or `test`.
    pub(super) tab: &'static str,
}

/// A breaker's state for people.
pub(super) struct Breaker {
    pub(super) word: &'static str,
    pub(super) icon: &'static str,
}

impl Head {
    fn of(console: &Console, applied: &Applied<'_>, tab: &'static str) -> Self {
        let interceptor = applied.first.1;
        Self {
            name: interceptor.name().to_owned(),
            trigger: interceptor.trigger().to_string(),
            endpoint: interceptor.endpoint().to_owned(),
            enabled: interceptor.settings().enabled,
            breaker: Breaker::of(&applied.breaker()),
            upstreams: if console.has_several() {
                applied.names()
            } else {
                String::new()
            },
            tab,
        }
    }
}

impl Breaker {
    pub(super) fn of(state: &BreakerState) -> Self {
        let (word, icon) = match state {
            BreakerState::Closed => ("Breaker closed", "ok"),
            BreakerState::Open { .. } => ("Breaker open", "fail"),
            BreakerState::Probing => ("Breaker probing", "warn"),
        };
        Self { word, icon }
    }
}

/// The interceptor of a path, or the page that says there is none.
fn find<'c>(console: &'c Console, visitor: &Visitor, name: &str) -> Result<Applied<'c>, Box<Response>> {
    let mut all = console.interceptors().into_iter();
    all.find(|applied| applied.first.1.name() == name).ok_or_else(|| {
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
    has_several: bool,
    interceptors: Vec<Line>,
}

struct Line {
    head: Head,
    place: usize,
    timeout: String,
    on_failure: &'static str,
}

async fn list(State(console): State<Shared>, Extension(visitor): Extension<Visitor>) -> Response {
    let line = |applied: &Applied<'_>| {
        let settings = applied.first.1.settings();
        Line {
            head: Head::of(&console, applied, ""),
            place: applied.place + 1,
            timeout: settings.timeout.to_string(),
            on_failure: policy(settings.on_failure()),
        }
    };
    show(&List {
        frame: Frame::new(&console, &visitor, Section::Interceptors, "Interceptors"),
        has_several: console.has_several(),
        interceptors: console.interceptors().iter().map(line).collect(),
    })
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Allow => "allow",
        Policy::Deny => "deny",
    }
}
