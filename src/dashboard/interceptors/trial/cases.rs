//! The cases of an interceptor, and all of them at once.

use std::time::Instant;

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use futures_util::{StreamExt, stream};

use super::{AT_ONCE, BUSY, LONGEST, Page, is_partial};
use crate::{
    dashboard::{
        access::Visitor,
        console::{Console, Shared},
        frame::show,
        interceptors::find,
    },
    interceptor::Interceptor,
    trial::{Case, CaseName, Cases, CasesError},
    verdict::Effect,
};

/// The cases of an interceptor, tried or not.
#[derive(Default)]
pub(super) struct KeptCases {
    pub(super) cases: Vec<KeptCase>,
    /// What came of trying all, in a sentence; empty when they were not tried.
    pub(super) summary: String,
    pub(super) all_met: bool,
    pub(super) folder: String,
    pub(super) problem: String,
    /// Whether it comes with something else that replaces another part of the page.
    pub(super) is_beside: bool,
}

/// A case as a line of a table.
pub(super) struct KeptCase {
    pub(super) name: String,
    pub(super) note: String,
    pub(super) expects: &'static str,
    /// `ok` or `fail` once it was tried.
    pub(super) icon: &'static str,
    pub(super) state: &'static str,
    pub(super) unmet: Vec<String>,
}

#[derive(Template)]
#[template(path = "interceptor/test/cases.html")]
struct Fragment {
    cases: KeptCases,
}

pub(super) async fn run(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let applied = match find(&console, &visitor, &name) {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let (_, interceptor) = applied.first;
    let cases = KeptCases::tried(&console, interceptor).await;
    if is_partial(&headers) {
        return show(&Fragment { cases });
    }
    show(&Page {
        cases,
        ..Page::new(&console, &visitor, &applied).await
    })
}

impl KeptCases {
    pub(super) async fn list(console: &Console, interceptor: &Interceptor) -> Self {
        let (cases, problem) = load(console, interceptor).await;
        Self {
            cases: cases.iter().map(|(name, case)| KeptCase::untried(name, case)).collect(),
            problem,
            ..Self::in_folder(console)
        }
    }

    /// The list anew, beside an answer.
    pub(super) async fn beside(console: &Console, interceptor: &Interceptor) -> Self {
        Self {
            is_beside: true,
            ..Self::list(console, interceptor).await
        }
    }

    async fn tried(console: &Console, interceptor: &Interceptor) -> Self {
        let Some(_slot) = console.trials.slot() else {
            return Self {
                problem: BUSY.to_owned(),
                ..Self::list(console, interceptor).await
            };
        };
        let (cases, problem) = load(console, interceptor).await;
        let until = Instant::now() + LONGEST;
        let tried = stream::iter(cases).map(|(name, case)| async move {
            if Instant::now() >= until {
                return KeptCase {
                    icon: "warn",
                    state: "Not tried: time was up",
                    ..KeptCase::untried(&name, &case)
                };
            }
            let environment = &console.installation.environment;
            let tried = case
                .try_out(console.among(interceptor.name()), environment, console.clock.now())
                .await;
            KeptCase {
                icon: if tried.is_met() { "ok" } else { "fail" },
                state: if tried.is_met() { "Met" } else { "Not met" },
                unmet: tried.unmet,
                ..KeptCase::untried(&name, &case)
            }
        });
        let cases: Vec<_> = tried.buffered(AT_ONCE).collect().await;
        let met = cases.iter().filter(|case| case.icon == "ok").count();
        Self {
            summary: format!("{met} of {} met", cases.len()),
            all_met: met == cases.len(),
            cases,
            problem,
            ..Self::in_folder(console)
        }
    }

    fn in_folder(console: &Console) -> Self {
        Self {
            folder: console.trials.cases.folder().display().to_string(),
            ..Self::default()
        }
    }
}

impl KeptCase {
    fn untried(name: &CaseName, case: &Case) -> Self {
        Self {
            name: name.to_string(),
            note: case.note.clone(),
            expects: match case.expect.decision {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            },
            icon: "",
            state: "",
            unmet: Vec::new(),
        }
    }
}

/// The interceptor's cases, and what could not be read.
async fn load(console: &Console, interceptor: &Interceptor) -> (Vec<(CaseName, Case)>, String) {
    let (kept, of) = (console.trials.cases.clone(), interceptor.name().to_owned());
    let loaded = tokio::task::spawn_blocking(move || read(&kept, &of)).await;
    loaded.unwrap_or_else(|_| (Vec::new(), "The disk did not answer.".to_owned()))
}

fn read(kept: &Cases, of: &str) -> (Vec<(CaseName, Case)>, String) {
    let names = match kept.names() {
        Ok(names) => names,
        Err(error) => return (Vec::new(), format!("{error}.")),
    };
    let mut cases = Vec::new();
    let mut problems: Vec<CasesError> = Vec::new();
    for name in names.into_iter().take(MOST) {
        match kept.load(&name) {
            Ok(case) if case.interceptor == of => cases.push((name, case)),
            Ok(_) => {}
            Err(error) => problems.push(error),
        }
    }
    let problems: Vec<_> = problems.iter().map(|error| format!("{error}.")).collect();
    (cases, problems.join(" "))
}

/// Files that a page looks at.
const MOST: usize = 500;
