//! What is recognised, and a box to ask what would become of a request.

use askama::Template;
use axum::{
    Extension, Form, Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use serde::Deserialize;

use super::{
    access::Visitor,
    behind::Behind,
    console::{Console, Shared},
    escape::filters,
    frame::{Frame, Section, show},
};
use crate::{
    form,
    gate::preview::{Explanation, Found, Question, deed, denial},
    interceptor::Interceptor,
    route::{Action, Route},
};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/routes", get(page).post(explained))
}

#[derive(Template)]
#[template(path = "routes.html")]
struct Page {
    frame: Frame,
    /// The names of the upstreams, where there are several.
    upstreams: Vec<String>,
    preset: String,
    known: bool,
    own: usize,
    routes: Vec<Line>,
    asked: Asked,
    lines: Vec<Step>,
}

/// A route.
struct Line {
    name: String,
    summary: String,
    methods: String,
    path: String,
    trigger: String,
    deed: &'static str,
    signs: String,
    own: bool,
}

/// What somebody typed in.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    upstream: String,
    method: String,
    url: String,
    form: String,
    headers: String,
}

/// One line of the answer.
struct Step {
    icon: &'static str,
    word: String,
    text: String,
}

/// Whose routes are shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Chosen {
    upstream: String,
}

async fn page(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(chosen): Query<Chosen>,
) -> Response {
    let asked = Asked {
        upstream: chosen.upstream,
        method: "POST".into(),
        ..Asked::default()
    };
    answer(&console, &visitor, asked, Vec::new()).await
}

async fn explained(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Form(mut asked): Form<Asked>,
) -> Response {
    let lines = match question(&asked) {
        Ok(question) => match of_host(&console, &question, &asked.upstream) {
            Ok(behind) => {
                behind.label().clone_into(&mut asked.upstream);
                steps(behind, &question).await
            }
            Err(nobody) => vec![nobody],
        },
        Err(why) => vec![Step::new("fail", "cannot be read", why)],
    };
    answer(&console, &visitor, asked, lines).await
}

async fn answer(console: &Console, visitor: &Visitor, asked: Asked, lines: Vec<Step>) -> Response {
    let behind = console.upstream(&asked.upstream);
    let preset = behind.gate.preset().await;
    let own = &behind.own_routes;
    let routes = preset.iter().flat_map(|preset| &preset.routes);
    let routes: Vec<_> = routes.map(|route| Line::of(route, own.contains(&route.name))).collect();
    show(&Page {
        frame: Frame::new(console, visitor, Section::Routes, "Routes"),
        upstreams: match console.has_several() {
            true => console.upstreams().map(|behind| behind.label().to_owned()).collect(),
            false => Vec::new(),
        },
        preset: behind.preset.clone(),
        known: preset.is_some(),
        own: own.len(),
        routes,
        asked: Asked {
            upstream: behind.label().to_owned(),
            ..asked
        },
        lines,
    })
}

impl Line {
    fn of(route: &Route, own: bool) -> Self {
        Self {
            name: route.name.clone(),
            summary: route.summary.clone().unwrap_or_default(),
            methods: if route.methods.is_empty() {
                "any".into()
            } else {
                route.methods.join(" ")
            },
            path: route.path.as_str().to_owned(),
            trigger: route.trigger.map(|trigger| trigger.to_string()).unwrap_or_default(),
            deed: deed(route.does),
            signs: route
                .only_if
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" or "),
            own,
        }
    }
}

impl Step {
    fn new(icon: &'static str, word: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            icon,
            word: word.into(),
            text: text.into(),
        }
    }
}

fn question(asked: &Asked) -> Result<Question, String> {
    let mut fields = form::Form::default();
    for line in asked.form.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once('=').ok_or(format!("the field `{line}` has no `=`"))?;
        fields.set(name.trim(), value);
    }
    let mut headers = Vec::new();
    for line in asked.headers.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').ok_or(format!("the header `{line}` has no `:`"))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(Question {
        method: asked
            .method
            .trim()
            .parse()
            .map_err(|_| "this is no method; write one such as POST")?,
        url: asked
            .url
            .trim()
            .parse()
            .map_err(|_| "this is no URL; write a path such as /token, or all of it")?,
        form: fields,
        headers,
        ..Question::default()
    })
}

/// The upstream whose host the URL names; where it names none, the one that was chosen.
fn of_host<'c>(console: &'c Console, question: &Question, chosen: &str) -> Result<&'c Behind, Step> {
    let host = question.url.authority().map(|host| host.as_str().to_ascii_lowercase());
    let Some(host) = host.filter(|_| console.has_several()) else {
        return Ok(console.upstream(chosen));
    };
    let mut all = console.upstreams();
    all.find(|behind| behind.hosts.contains(&host)).ok_or_else(|| {
        let text = format!("no upstream has the host `{}`", host.escape_debug());
        Step::new("stop", "refused with 421", text)
    })
}

async fn steps(behind: &Behind, question: &Question) -> Vec<Step> {
    let one = |icon, word: &str, text: String| vec![Step::new(icon, word, text)];
    let (perhaps, found) = match behind.gate.explain(question).await {
        None | Some(Explanation::Undecided) => {
            let text =
                "the preset's paths come from the provider's discovery document, which cannot be fetched at the moment";
            return one("info", "undecided", text.into());
        }
        Some(Explanation::Unreadable(why)) => return one("stop", "refused with 400", why),
        Some(Explanation::UnreadableQuery(why)) => {
            return one("stop", "refused with 400", format!("{why}, if a route is found for it"));
        }
        Some(Explanation::WebSocket { listed: true }) => {
            return one("ok", "passes", "the preset lists this path for WebSockets".into());
        }
        Some(Explanation::WebSocket { listed: false }) => {
            return one(
                "stop",
                "refused",
                "the preset does not list this path for WebSockets".into(),
            );
        }
        Some(Explanation::Routed { perhaps, found }) => (perhaps, found),
    };
    let mut steps: Vec<_> = perhaps
        .into_iter()
        .map(|(route, name)| {
            let text = format!(
                "the route `{route}`, if it carries the value `{name}`, which Tollgate learns from the provider"
            );
            Step::new("info", "perhaps", text)
        })
        .collect();
    match found {
        None => steps.push(Step::new(
            "ok",
            "passes",
            "no route fits: it streams through unchanged, and tokens in it are mapped back",
        )),
        Some(found) => describe(behind, &found, &mut steps),
    }
    steps
}

fn describe(behind: &Behind, found: &Found, steps: &mut Vec<Step>) {
    let route = &found.candidate.route;
    let sign = found
        .sign
        .as_ref()
        .map(|sign| format!(", and {sign}"))
        .unwrap_or_default();
    let path = route.path.as_str();
    steps.push(Step::new(
        "info",
        "route",
        format!("`{}`: the path is `{path}`{sign}", route.name),
    ));
    if let Some(summary) = &route.summary {
        steps.push(Step::new("info", "what it is", summary.clone()));
    }
    if let Some(reason) = &found.refusal {
        steps.push(Step::new("stop", "refused", reason.clone()));
        return;
    }
    steps.push(Step::new("ok", "what happens", deed(route.does)));
    for asking in &found.consults {
        let trigger = asking.event.trigger;
        steps.push(Step::new("info", "trigger", format!("{trigger}{}", asking.by)));
        let before = steps.len();
        let all = behind.gate.interceptors().iter();
        for interceptor in all.filter(|interceptor| interceptor.trigger() == trigger) {
            steps.push(fate(interceptor, &asking.event));
        }
        if steps.len() == before {
            steps.push(Step::new("off", "nobody is asked", "no interceptor has this trigger"));
        }
    }
    if matches!(route.does, Action::Consult | Action::Tokens | Action::Session) {
        steps.push(Step::new("stop", "a denial is", denial(route, behind.gate.denied())));
    }
}

fn fate(interceptor: &Interceptor, event: &crate::event::Event) -> Step {
    let (icon, word) = match (interceptor.settings().enabled, interceptor.fits(event)) {
        (false, _) => ("off", "not enabled"),
        (true, true) => ("ok", "asked"),
        (true, false) => ("off", "not asked: its conditions do not fit"),
    };
    Step::new(icon, word, interceptor.name())
}
