//! What is around every page, and how a page becomes an answer.

use askama::Template;
use axum::{
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use jiff::Timestamp;

use super::{
    access::{Role, Visitor},
    console::Console,
};

/// The parts of the product, as they stand in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Interceptors,
    Log,
    Routes,
    Keys,
    /// Pages that belong to none.
    Other,
}

/// What is around a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) section: Section,
    pub(super) environment: String,
    pub(super) revision: String,
    pub(super) visitor: Visitor,
}

impl Frame {
    pub(super) fn new(console: &Console, visitor: &Visitor, section: Section, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            section,
            environment: console.installation.environment.clone(),
            revision: console.installation.revision.clone(),
            visitor: visitor.clone(),
        }
    }

    /// For the navigation: whether this is the section of the page.
    pub(super) fn is(&self, section: &str) -> bool {
        section
            == match self.section {
                Section::Overview => "overview",
                Section::Interceptors => "interceptors",
                Section::Log => "log",
                Section::Routes => "routes",
                Section::Keys => "keys",
                Section::Other => "",
            }
    }

    /// Whether somebody is logged in, or need not be.
    pub(super) fn is_known(&self) -> bool {
        self.visitor.role != Role::Nobody
    }

    /// The version of the program, which also names that of the assets.
    pub(super) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// A page as an answer.
pub(super) fn show(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the dashboard cannot be shown: {error}");
            let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            (StatusCode::INTERNAL_SERVER_ERROR, text, "This page cannot be shown.").into_response()
        }
    }
}

/// A time as people read it, in UTC.
pub(super) fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time to the millisecond, as machines read it.
pub(super) fn machine(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// How long something takes or is ago, in the largest unit that says enough: `42 s`, `17 min`, `3 h`, `12 d`.
pub(super) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}
