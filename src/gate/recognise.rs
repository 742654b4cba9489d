//! From a request's head, and its body where that decides, to the route it is.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use sync_wrapper::SyncWrapper;

use super::{Gate, overload::Place};
use crate::{
    body::{self, Body, Unread},
    exchange::Exchange,
    form::Form,
    json,
    preset::{Candidate, Fit, Preset, Seen},
    refusal::Refusal,
    route::{self, Action, BodyKind, Captures, Route, Rule, Source},
};

/// The largest body of a recognised request, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// A request's body, as far as it was read.
pub(super) enum Content {
    /// Not looked at: it streams.
    Unread(SyncWrapper<Body>),
    /// There is none.
    Empty,
    /// A form, whichever way it was encoded.
    Form(Form),
    /// A JSON document.
    Json(Value),
}

/// A request that a route was found for.
pub(super) struct Recognised {
    /// The route.
    pub(super) route: Arc<Route>,
    /// The preset that it is from.
    pub(super) preset: Arc<Preset>,
    /// What the path's `{name}`s took.
    pub(super) captures: Captures,
    /// The query, read strictly.
    pub(super) query: Form,
    /// The body, read strictly where the route lists encodings.
    pub(super) content: Content,
}

/// What became of looking for a route.
pub(super) enum Recognition {
    /// One was found.
    Found(Recognised),
    /// None fits: the request streams through.
    None(Content),
}

impl Recognised {
    /// The body as a form; empty where it is another thing.
    pub(super) fn form(&self) -> Option<&Form> {
        match &self.content {
            Content::Form(form) => Some(form),
            _ => None,
        }
    }

    /// Where a browser finds this page again, if the route says how.
    pub(super) fn opened_again(&self, path: &str) -> Option<String> {
        let mut query = Form::default();
        for name in &self.route.back {
            query.set(name, self.query.get(name)?);
        }
        (!query.is_empty()).then(|| format!("{path}?{}", query.to_urlencoded()))
    }

    /// Every parameter with its name, the query first.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().chain(self.form().into_iter().flat_map(Form::iter))
    }
}

impl Gate {
    /// Finds the route of a request. Reads the body only where a candidate lists encodings.
    ///
    /// # Errors
    /// What could be read in two ways is refused: another content type, a content encoding, a parameter that occurs twice.
    pub(super) async fn recognise(
        &self,
        exchange: &Exchange,
        body: Body,
        place: &mut Place<'_>,
    ) -> Result<Recognition, Refusal> {
        let preset = self.preset().await?;
        let candidates = preset.candidates(exchange.method.as_str(), exchange.target.path());
        if candidates.is_empty() {
            return Ok(Recognition::None(unread(body)));
        }
        let kinds: Vec<BodyKind> = candidates.iter().flat_map(|c| c.route.bodies.iter().copied()).collect();
        let content = if kinds.is_empty() {
            unread(body)
        } else {
            read(exchange, body, &kinds, place).await?
        };
        let query = Form::query(exchange.target.query().unwrap_or_default()).map_err(unreadable)?;

        refuse_other_letters(&candidates, &content)?;
        let mut found = None;
        for candidate in candidates {
            if self.has_a_sign(&preset, &candidate, &query, &content).await {
                found = Some(candidate);
                break;
            }
        }
        let Some(Candidate { route, captures }) = found else {
            return Ok(Recognition::None(content));
        };
        let content = match content {
            Content::Form(form) if route.any_case => Content::Form(form.with_small_names()),
            other => other,
        };
        let recognised = Recognised {
            route,
            preset,
            captures,
            query,
            content,
        };
        if recognised.route.does != Action::Pass {
            refuse_doubles(&recognised)?;
            refuse_controls(&recognised)?;
            refuse_by_rule(&recognised.route.refuse, recognised.parameters())?;
        }
        Ok(Recognition::Found(recognised))
    }

    async fn has_a_sign(&self, preset: &Preset, candidate: &Candidate, query: &Form, content: &Content) -> bool {
        let (form, json) = match content {
            Content::Form(form) => (Some(form), None),
            Content::Json(document) => (None, Some(document)),
            Content::Unread(_) | Content::Empty => (None, None),
        };
        let seen = Seen {
            query: Some(query),
            form,
            json,
        };
        let names = match candidate.fit(&seen) {
            Fit::Always | Fit::Seen(_) => return true,
            Fit::Not => return false,
            Fit::Learned(names) => names,
        };
        for name in names {
            let parameters = query.iter().chain(form.into_iter().flat_map(Form::iter));
            if self
                .carries_learned(preset, name, &candidate.captures, parameters)
                .await
            {
                return true;
            }
        }
        false
    }
}

fn unread(body: Body) -> Content {
    Content::Unread(SyncWrapper::new(body))
}

/// Refuses what one of the rules names.
pub(super) fn refuse_by_rule<'a>(
    rules: &[Rule],
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Refusal> {
    for (name, value) in parameters {
        if let Some(rule) = rules.iter().find(|rule| rule.parameter == name && rule.refuses(value)) {
            return Err(Refusal::rule(&rule.error, &rule.because));
        }
    }
    Ok(())
}

/// What a client is told whose body could not be read.
pub(super) fn unread_body(why: &Unread) -> Refusal {
    let status = match why {
        Unread::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Unread::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
        Unread::Broken(_) => StatusCode::BAD_REQUEST,
        Unread::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::client(status, why.to_string())
}

/// Reads a body in one of these encodings.
///
/// # Errors
/// Another one, or one that could be read in two ways.
pub(super) async fn read(
    exchange: &Exchange,
    body: Body,
    kinds: &[BodyKind],
    place: &mut Place<'_>,
) -> Result<Content, Refusal> {
    let whole = body::read_admitted(body, BODY_LIMIT, |bytes| place.room_for(bytes)).await;
    let bytes = whole.map_err(|e| match e {
        Unread::NoRoom => place.without_room(),
        e => unread_body(&e),
    })?;
    let may = |kind| kinds.contains(&kind);
    if bytes.is_empty() && (may(BodyKind::Empty) || matches!(exchange.method, Method::GET | Method::HEAD)) {
        return Ok(Content::Empty);
    }
    let content_type = exchange.content().map_err(|e| Refusal::client(e.status, e.reason))?;
    let (essence, header) = content_type
        .as_ref()
        .map_or(("", ""), |c| (c.essence.as_str(), c.value.as_str()));
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    match essence {
        "application/x-www-form-urlencoded" if may(BodyKind::Form) => {
            Form::urlencoded(&bytes).map(Content::Form).map_err(unreadable)
        }
        "multipart/form-data" if may(BodyKind::Multipart) => {
            Form::multipart(&bytes, header).map(Content::Form).map_err(unreadable)
        }
        _ if is_json && may(BodyKind::Json) => json::parse(&bytes).map(Content::Json).map_err(|e| {
            Refusal::client(
                StatusCode::BAD_REQUEST,
                format!("the body is not the JSON that this proxy reads: {e}"),
            )
        }),
        _ => Err(Refusal::client(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "this request takes {}",
                kinds.iter().copied().map(media_type).collect::<Vec<_>>().join(" or ")
            ),
        )),
    }
}

fn unreadable(misread: crate::form::Misread) -> Refusal {
    Refusal::client(StatusCode::BAD_REQUEST, misread.to_string())
}

fn media_type(kind: BodyKind) -> &'static str {
    match kind {
        BodyKind::Form => "application/x-www-form-urlencoded",
        BodyKind::Multipart => "multipart/form-data",
        BodyKind::Json => "application/json",
        BodyKind::Empty => "no body",
    }
}

/// Whoever matches the names of members without regard to case reads more than we do, and may find another route in it.
fn refuse_other_letters(candidates: &[Candidate], content: &Content) -> Result<(), Refusal> {
    let Content::Json(document) = content else {
        return Ok(());
    };
    let routes = candidates.iter().map(|candidate| &*candidate.route);
    match route::read_in_other_letters(routes, document) {
        Some(name) => Err(Refusal::client(
            StatusCode::BAD_REQUEST,
            format!("a member of the JSON is `{name}` in other letters; write it as `{name}`, once"),
        )),
        None => Ok(()),
    }
}

/// A parameter that occurs twice, or in query and form, is read differently by different servers. A browser form may repeat
/// fields (a choice of several); there only those that the event or the recognition reads are refused.
fn refuse_doubles(recognised: &Recognised) -> Result<(), Refusal> {
    let route = &recognised.route;
    let mut seen = Vec::new();
    for (name, _) in recognised.parameters() {
        if seen.contains(&name) && (route.does != Action::Consult || reads(recognised, name)) {
            return Err(Refusal::client(
                StatusCode::BAD_REQUEST,
                format!("the parameter `{name}` occurs more than once"),
            ));
        }
        seen.push(name);
    }
    Ok(())
}

/// Some providers take control characters out of a form's values before they look at them, so `client_\ncredentials` is no
/// unknown grant there; others take spaces off. OAuth's parameters have none (RFC 6749 appendix A). What somebody types into a browser's
/// form may have several lines, save what is told by its name.
fn refuse_controls(recognised: &Recognised) -> Result<(), Refusal> {
    for (name, value) in recognised.parameters() {
        let is_grant = name == "grant_type" && recognised.route.does == Action::Tokens;
        let odd = |c: char| c.is_ascii_control() || is_grant && !c.is_ascii_graphic();
        let is_told = || told(recognised).any(|known| known == name);
        let counts = recognised.route.does != Action::Consult || is_told() || decides(recognised, name);
        if counts && value.chars().any(odd) {
            return Err(Refusal::client(
                StatusCode::BAD_REQUEST,
                format!("the parameter `{name}` has a control character, or a space where none belongs"),
            ));
        }
    }
    Ok(())
}

/// The parameters that the event is made of; one that ends in `*` stands for all with its beginning.
fn told(recognised: &Recognised) -> impl Iterator<Item = &str> {
    let sources = recognised.route.facts.values().flat_map(|sources| &sources.0);
    sources.filter_map(|source| match source {
        Source::Form(name) | Source::Query(name) => Some(name.as_str()),
        _ => None,
    })
}

/// Whether the route is recognised by this parameter.
fn decides(recognised: &Recognised, parameter: &str) -> bool {
    let mut signs = recognised.route.only_if.iter();
    let in_signs = signs.any(|sign| sign.reads_parameter(parameter));
    let mut learned = recognised.preset.learn.values();
    in_signs || learned.any(|learn| learn.parameter == parameter)
}

fn reads(recognised: &Recognised, parameter: &str) -> bool {
    let mut told = told(recognised);
    let is_told = told.any(|name| match name.strip_suffix('*') {
        Some(prefix) => parameter.starts_with(prefix),
        None => name == parameter,
    });
    is_told || decides(recognised, parameter)
}

/// Whether a header names a media type.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(http::header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            range
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case(media_type)
        })
}
