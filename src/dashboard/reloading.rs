//! The configuration that runs: loading it again, and what came of it.

use askama::Template;
use axum::{Extension, Json, Router, extract::State, response::Response, routing::get};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    access::Visitor,
    console::{Console, Shared},
    frame::{Frame, Section, moment, show},
};

/// The way to whoever loads the configuration again. Cheap to clone.
#[derive(Clone)]
pub struct Reloading {
    asks: mpsc::Sender<oneshot::Sender<Attempt>>,
    standing: watch::Receiver<Standing>,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The configuration on the disk runs now.
    Applied,
    /// It was the one that runs already.
    Unchanged,
    /// It is wrong or needs a restart, and why. The one before runs on.
    Refused(String),
}

/// Which configuration runs, and whether another one should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The revision that runs.
    pub revision: String,
    /// Since when.
    pub since: Timestamp,
    /// Why the one on the disk does not.
    pub refused: Option<Refused>,
}

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When it was tried.
    pub at: Timestamp,
    /// What is wrong: file, line, how to mend it.
    pub why: String,
}

impl Reloading {
    /// The way, and its other end: who asks, and where to say how things stand.
    pub fn new(standing: Standing) -> (Self, mpsc::Receiver<oneshot::Sender<Attempt>>, watch::Sender<Standing>) {
        let (asks, asked) = mpsc::channel(1);
        let (said, standing) = watch::channel(standing);
        (Self { asks, standing }, asked, said)
    }

    /// Loads the configuration again, and waits for what comes of it.
    pub async fn ask(&self) -> Attempt {
        let (reply, attempt) = oneshot::channel();
        // Both fail only when the process ends.
        let ending = || Attempt::Refused("the process is about to end".to_owned());
        match self.asks.send(reply).await {
            Ok(()) => attempt.await.unwrap_or_else(|_| ending()),
            Err(_) => ending(),
        }
    }

    /// How things stand.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/configuration", get(page).post(reload))
        .route("/configuration.json", get(description))
}

#[derive(Template)]
#[template(path = "configuration.html")]
struct Page {
    frame: Frame,
    file: String,
    revision: String,
    since: String,
    /// When, and what is wrong, line by line.
    refused: Option<(String, Vec<String>)>,
    /// What came of the button, with its icon.
    result: Option<(&'static str, &'static str)>,
}

async fn page(State(console): State<Shared>, Extension(visitor): Extension<Visitor>) -> Response {
    answer(&console, &visitor, None)
}

async fn reload(State(console): State<Shared>, Extension(visitor): Extension<Visitor>) -> Response {
    tracing::info!(operator = %visitor.name, "somebody loads the configuration again on the dashboard");
    let attempt = console.reloading.ask().await;
    answer(&console, &visitor, Some(&attempt))
}

/// What `tollgate diff` compares with.
async fn description(State(console): State<Shared>) -> Json<Value> {
    Json(console.installation.description.clone())
}

fn answer(console: &Console, visitor: &Visitor, attempt: Option<&Attempt>) -> Response {
    let Standing {
        revision,
        since,
        refused,
    } = console.reloading.standing();
    let mut frame = Frame::new(console, visitor, Section::Other, "Configuration");
    frame.revision.clone_from(&revision);
    show(&Page {
        frame,
        file: console.installation.file.clone(),
        revision,
        since: moment(since),
        refused: refused.map(|refused| {
            let lines = refused.why.lines().map(str::to_owned);
            (moment(refused.at), lines.collect())
        }),
        result: attempt.map(|attempt| match attempt {
            Attempt::Applied => (
                "ok",
                "The new configuration runs. Requests that were under way finish under the one before.",
            ),
            Attempt::Unchanged => ("info", "Nothing has changed: this configuration runs already."),
            Attempt::Refused(_) => ("fail", "The configuration was refused, and the one before runs on."),
        }),
    })
}
