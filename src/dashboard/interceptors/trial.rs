//! The tab Test: an interceptor is asked about an event, and everything that comes of it is shown. Nobody obeys, and nothing is recorded.

mod cases;
mod editor;
mod outcome;
mod replay;

use std::{path::Path as FilePath, time::Duration};

use askama::Template;
use axum::{
    Extension, Form, Router,
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::{cases::KeptCases, editor::Editor, outcome::Outcome, replay::Replay};
use super::{Head, find};
use crate::{
    audit::{self, ReadError},
    dashboard::{
        access::Visitor,
        console::{Console, Shared},
        escape::filters,
        frame::{Frame, Section, show},
    },
    interceptor::Interceptor,
    trial::{Case, CaseName, Cases, CasesError, Expectation, Mark, Report, Settings, Submission, try_out},
    verdict::FailureKind,
};

/// What trying out shares: the cases, and how much of it may be under way.
pub(in crate::dashboard) struct Trials {
    cases: Cases,
    slots: Semaphore,
}

impl Trials {
    pub(in crate::dashboard) fn new(settings: &Settings, base: &FilePath) -> Self {
        Self {
            cases: Cases::new(settings, base),
            slots: Semaphore::new(AT_ONCE),
        }
    }

    fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.try_acquire().ok()
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/interceptors/{name}/test", get(page).post(run))
        .route("/interceptors/{name}/test/check", post(check))
        .route("/interceptors/{name}/test/cases", post(cases::run))
        .route("/interceptors/{name}/test/replay", post(replay::run))
}

/// The whole tab.
#[derive(Template)]
#[template(path = "interceptor/test.html")]
struct Page {
    frame: Frame,
    head: Head,
    editor: Editor,
    outcome: Option<Outcome>,
    problem: String,
    cases: KeptCases,
    replay: Replay,
    /// What the event is: a sample, a case, a record, or what was sent.
    from: String,
    /// The case that was chosen.
    chosen: String,
    record: String,
}

/// The part that running replaces, and the cases where one was kept.
#[derive(Template)]
#[template(path = "interceptor/test/ran.html")]
struct Fragment {
    outcome: Option<Outcome>,
    problem: String,
    kept: Option<KeptCases>,
}

/// Where the event begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Start {
    case: String,
    record: String,
}

/// What the editor's form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    event: String,
    /// Which button it was: `run` or `save`.
    action: String,
    case: String,
    note: String,
}

async fn page(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Query(start): Query<Start>,
) -> Response {
    let (_, interceptor) = match find(&console, &visitor, &name) {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let mut page = Page::new(&console, &visitor, interceptor).await;
    match begin(&console, interceptor, &start).await {
        Ok((text, from)) => {
            page.editor = Editor::new(&text, &judge(&console, interceptor, &text).err().unwrap_or_default());
            page.from = from;
        }
        Err(problem) => page.problem = problem,
    }
    (page.chosen, page.record) = (start.case, start.record);
    show(&page)
}

impl Page {
    /// With a sample of the trigger.
    async fn new(console: &Console, visitor: &Visitor, interceptor: &Interceptor) -> Self {
        let sample = Submission::sample(
            interceptor.trigger(),
            &console.installation.environment,
            console.clock.now(),
        );
        Self {
            frame: Frame::new(console, visitor, Section::Interceptors, interceptor.name()),
            head: Head::of(interceptor, "test"),
            editor: Editor::new(&sample.text(), &[]),
            outcome: None,
            problem: String::new(),
            cases: KeptCases::list(console, interceptor).await,
            replay: Replay::default(),
            from: format!("a sample of {}", interceptor.trigger()),
            chosen: String::new(),
            record: String::new(),
        }
    }
}

async fn run(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Form(sent): Form<Sent>,
) -> Response {
    let (_, interceptor) = match find(&console, &visitor, &name) {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let (outcome, problem) = match ask(&console, interceptor, &sent).await {
        Ok(outcome) => (Some(outcome), String::new()),
        Err(problem) => (None, problem),
    };
    if is_partial(&headers) {
        let kept = match sent.action.as_str() {
            "save" => Some(KeptCases::beside(&console, interceptor).await),
            _ => None,
        };
        return show(&Fragment { outcome, problem, kept });
    }
    let marks = match judge(&console, interceptor, &sent.event) {
        Ok(submission) => submission.notes,
        Err(marks) => marks,
    };
    show(&Page {
        editor: Editor::new(&sent.event, &marks),
        outcome,
        problem,
        from: "what you sent".to_owned(),
        ..Page::new(&console, &visitor, interceptor).await
    })
}

/// The marks of what is in the editor now.
async fn check(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    Form(sent): Form<Sent>,
) -> Response {
    let (_, interceptor) = match find(&console, &visitor, &name) {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let marks = match judge(&console, interceptor, &sent.event) {
        Ok(submission) => submission.notes,
        Err(marks) => marks,
    };
    show(&editor::Marks {
        editor: Editor::new(&sent.event, &marks),
    })
}

fn judge(console: &Console, interceptor: &Interceptor, text: &str) -> Result<Submission, Vec<Mark>> {
    let environment = &console.installation.environment;
    Submission::read(
        &editor::unified(text),
        interceptor.trigger(),
        environment,
        console.clock.now(),
    )
}

/// Asks, and keeps a case where that was wanted. Errors: a sentence for the reader.
async fn ask(console: &Console, interceptor: &Interceptor, sent: &Sent) -> Result<Outcome, String> {
    let submission = judge(console, interceptor, &sent.event).map_err(|_| {
        "This is no event that can be sent: the marks below the editor say why. Nothing was sent.".to_owned()
    })?;
    let name = match sent.action.as_str() {
        "save" => Some(
            sent.case
                .parse::<CaseName>()
                .map_err(|why| format!("Nothing was sent: {why}."))?,
        ),
        _ => None,
    };
    let _slot = console.trials.slot().ok_or(BUSY)?;
    let report = try_out(console.gate.interceptors(), interceptor.name(), &submission).await;
    let report = report.ok_or("There is no such interceptor any more.")?;
    let saved = match name {
        Some(name) => keep(console, name, &submission, &report, &sent.note).await,
        None => String::new(),
    };
    Ok(Outcome::of(&report, saved))
}

/// Keeps the event and what came of it; says so, or why not.
async fn keep(console: &Console, name: CaseName, submission: &Submission, report: &Report, note: &str) -> String {
    let failure = report.consultation().failure.as_ref();
    if failure.is_some_and(|failure| failure.kind == FailureKind::Down) {
        return "Not kept as a case: the endpoint gave no answer, and that is nothing to expect from now on."
            .to_owned();
    }
    let case = Case {
        interceptor: report.interceptor.clone(),
        note: note.trim().to_owned(),
        expect: Expectation::of(report.trigger, report.consultation()),
        event: json!(submission.event),
    };
    let cases = console.trials.cases.clone();
    let kept = {
        let name = name.clone();
        tokio::task::spawn_blocking(move || cases.save(&name, &case)).await
    };
    match kept {
        Ok(Ok(path)) => format!("Kept as the case {name} in {}.", path.display()),
        Ok(Err(error @ CasesError::Taken(_))) => format!("Not kept: {error}."),
        Ok(Err(error)) => format!("Not kept: {error}. The folder must be writable for Tollgate."),
        Err(_) => "Not kept: the disk did not answer.".to_owned(),
    }
}

/// The text to begin with, and what it is. Errors: a sentence for the reader.
async fn begin(console: &Console, interceptor: &Interceptor, start: &Start) -> Result<(String, String), String> {
    if !start.case.is_empty() {
        let name: CaseName = start.case.parse().map_err(|why| format!("{why}."))?;
        let cases = console.trials.cases.clone();
        let loading = name.clone();
        let loaded = tokio::task::spawn_blocking(move || cases.load(&loading)).await;
        let case = loaded
            .map_err(|_| "The disk did not answer.".to_owned())?
            .map_err(|error| format!("{error}."))?;
        return Ok((format!("{:#}", case.event), format!("the case {name}")));
    }
    let id = start.record.trim();
    if !id.is_empty() {
        let records = console
            .records
            .named(id.to_owned())
            .await
            .map_err(|error| match error {
                ReadError::Unknown(_) | ReadError::Ambiguous { .. } => format!("{error}."),
                error => format!("The records cannot be read: {error}."),
            })?;
        let fitting = records
            .iter()
            .filter(|record| record.entry.trigger == Some(interceptor.trigger()));
        let of_interceptor = |record: &&audit::Record| record.entry.interceptor.as_deref() == Some(interceptor.name());
        let record = fitting.clone().find(of_interceptor).or_else(|| fitting.clone().next());
        let event = record.and_then(|record| Some((record.place(), record.entry.event.as_ref()?)));
        let (seq, event) = event.ok_or_else(|| format!("Record {id} has no event of {}.", interceptor.trigger()))?;
        return Ok((
            format!("{event:#}"),
            format!("the event of record {seq}, without what the audit does not keep"),
        ));
    }
    let sample = Submission::sample(
        interceptor.trigger(),
        &console.installation.environment,
        console.clock.now(),
    );
    Ok((sample.text(), format!("a sample of {}", interceptor.trigger())))
}

/// Whether htmx asks for a part of the page.
fn is_partial(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

/// Trials under way at once, of all visitors together.
const AT_ONCE: usize = 4;
const BUSY: &str = "Other trials are under way; try again when they have ended.";

/// How long all cases or a replay may take to begin; what is under way then is waited for.
const LONGEST: Duration = Duration::from_secs(60);
