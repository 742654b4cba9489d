//! `tollgate explain`: what would become of a request, without sending it anywhere.

mod asked;

use std::io::Write;

use clap::Args;
use http::{Method, Uri};
use jiff::Timestamp;
use serde_json::Map;

use super::{
    outcome::{Outcome, Stop},
    paint::Paint,
};
use crate::{
    config::Config,
    event::{Context, Event, Trigger},
    exchange::Target,
    facts::{self, Materials},
    form::Form,
    preset::{Candidate, Preset},
    route::{Action, BodyKind, Route, Sign},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The request's method, such as POST
    method: Method,
    /// Its URL, or its path and query
    url: Uri,
    /// A field of its form, as often as needed
    #[arg(long, value_name = "NAME=VALUE", value_parser = field)]
    form: Vec<(String, String)>,
    /// One of its headers, as often as needed
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
}

/// What is known of the request.
struct Request<'a> {
    arguments: &'a Arguments,
    form: Form,
    query: Form,
}

/// Prints which route it is and who would be asked. The answer is no where the request would be refused.
pub(super) fn run(config: &Config, arguments: &Arguments, out: &mut impl Write) -> Result<Outcome, Stop> {
    let paint = Paint::for_stdout();
    writeln!(
        out,
        "{}",
        paint.bold(&format!("{} {}", arguments.method, arguments.url))
    )?;
    let target = match Target::read(&arguments.url) {
        Ok(target) => target,
        Err(unreadable) => {
            writeln!(out, "refused       400, before anything is asked: {unreadable}")?;
            return Ok(Outcome::No);
        }
    };
    let mut form = Form::default();
    arguments.form.iter().for_each(|(name, value)| form.set(name, value));
    let query = match Form::query(target.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(unreadable) => {
            writeln!(out, "refused       400, if it is recognised: {unreadable}")?;
            return Ok(Outcome::No);
        }
    };
    let request = Request { arguments, form, query };

    let preset = config.preset().map_err(|wrong| config.errors([&wrong]))?;
    let base: Option<Uri> = config.upstream.url.parse().ok();
    let preset = preset.below(base.as_ref().map_or("", |uri| uri.path().trim_end_matches('/')));
    let candidates = preset.candidates(arguments.method.as_str(), target.path());
    if candidates.is_empty() && preset.needs_discovery() {
        writeln!(
            out,
            "undecided     the paths of the preset `{}` come from the upstream's discovery document; only those of \
             `[[route]]` are known here",
            preset.name
        )?;
        return Ok(Outcome::Well);
    }
    let is_websocket = request
        .header("upgrade")
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if is_websocket {
        let listed = preset
            .websockets
            .iter()
            .any(|pattern| pattern.captures(target.path()).is_some());
        let word = if listed { "passes" } else { "refused" };
        writeln!(
            out,
            "{word:<13} a WebSocket; the preset `{}` lists its path: {listed}",
            preset.name
        )?;
        return Ok(listed.into());
    }
    for candidate in candidates {
        match request.carries_sign(&candidate.route) {
            Sighting::Seen(sign) => return describe(config, &preset, &candidate, &request, &sign, out),
            Sighting::Unknown(sign) => writeln!(
                out,
                "perhaps       `{}`, if the request {sign}: Tollgate learns that from the upstream while it runs",
                candidate.route.name
            )?,
            Sighting::None => {}
        }
    }
    writeln!(
        out,
        "passes        no route fits: it streams through unchanged, and tokens in it are mapped back"
    )?;
    Ok(Outcome::Well)
}

/// Whether a request has one of the signs that its route needs.
enum Sighting {
    Seen(String),
    Unknown(String),
    None,
}

impl Request<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.arguments
            .header
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.form.get(name).or_else(|| self.query.get(name))
    }

    fn carries_sign(&self, route: &Route) -> Sighting {
        if route.only_if.is_empty() {
            return Sighting::Seen(String::new());
        }
        let mut unknown = Sighting::None;
        for sign in &route.only_if {
            match sign {
                Sign::Form(fields) if fields.iter().all(|field| self.form.get(field).is_some()) => {
                    return Sighting::Seen(format!(", and the form has `{}`", fields.join("` and `")));
                }
                Sign::Query(name) if self.query.get(name).is_some() => {
                    return Sighting::Seen(format!(", and the query has `{name}`"));
                }
                Sign::Learned(name) => unknown = Sighting::Unknown(format!("carries the value `{name}`")),
                Sign::Form(_) | Sign::Query(_) => {}
            }
        }
        unknown
    }

    fn refusal(&self, route: &Route) -> Option<String> {
        if route.does == Action::Refuse {
            return route.because.clone();
        }
        let parameters = self.query.iter().chain(self.form.iter());
        for (name, value) in parameters {
            if let Some(rule) = route
                .refuse
                .iter()
                .find(|rule| rule.parameter == name && rule.refuses(value))
            {
                return Some(format!("{} ({})", rule.because, rule.error));
            }
        }
        let content_type = self
            .header("content-type")?
            .split(';')
            .next()?
            .trim()
            .to_ascii_lowercase();
        let kind = match content_type.as_str() {
            "application/x-www-form-urlencoded" => Some(BodyKind::Form),
            "multipart/form-data" => Some(BodyKind::Multipart),
            "application/json" => Some(BodyKind::Json),
            json if json.ends_with("+json") => Some(BodyKind::Json),
            _ => None,
        };
        let taken = route.bodies.is_empty() || kind.is_some_and(|kind| route.bodies.contains(&kind));
        (!taken).then(|| format!("this request does not take a body of type {content_type}"))
    }
}

fn describe(
    config: &Config,
    preset: &Preset,
    candidate: &Candidate,
    request: &Request<'_>,
    sign: &str,
    out: &mut impl Write,
) -> Result<Outcome, Stop> {
    let route = &candidate.route;
    let own = config.routes.iter().any(|known| known.name == route.name);
    let from = if own {
        format!("`[[route]]` in {}", config.file())
    } else {
        format!("preset `{}`", preset.name)
    };
    writeln!(
        out,
        "route         `{}` of {from}: the path is `{}`{sign}",
        route.name,
        route.path.as_str()
    )?;
    if let Some(summary) = &route.summary {
        writeln!(out, "what it is    {summary}")?;
    }
    if let Some(reason) = request.refusal(route) {
        writeln!(out, "refused       {reason}")?;
        return Ok(Outcome::No);
    }
    writeln!(out, "what happens  {}", deed(route.does))?;
    let grant = request.parameter("grant_type");
    let triggers = match (route.does, grant) {
        (Action::Consult, _) => route.trigger.into_iter().collect(),
        (Action::Tokens, grant) => preset.triggers_of(grant),
        _ => return Ok(Outcome::Well),
    };
    for trigger in triggers {
        let by = match (route.does, grant) {
            (Action::Tokens, Some(grant))
                if trigger == Trigger::PreM2mTokenCreation && !preset.is_for_client(grant, false) =>
            {
                ", where the verified subject is the client".to_owned()
            }
            (Action::Tokens, Some(grant)) => format!(", by the grant `{}`", grant.escape_debug()),
            (Action::Tokens, None) if trigger == Trigger::PreM2mTokenCreation => {
                format!(", for the grant {}", preset.machine_grants.join(" or "))
            }
            (Action::Tokens, None) => ", for any other grant; `--form grant_type=…` decides it".to_owned(),
            _ => String::new(),
        };
        writeln!(out, "trigger       {trigger}{by}")?;
        asked::list(config, &event(config, trigger, candidate, request), out)?;
    }
    let denial = match route.denial.as_str() {
        "oauth" => format!("an OAuth error `access_denied` with status {}", config.denial.status),
        "page" => "a page for browsers with the message".to_owned(),
        other => format!("the upstream's own error shape, `{other}`"),
    };
    writeln!(out, "a denial is   {denial}")?;
    Ok(Outcome::Well)
}

/// The event, as far as the request alone says.
fn event(config: &Config, trigger: Trigger, candidate: &Candidate, request: &Request<'_>) -> Event {
    let mut context = Context {
        environment_id: config.environment.clone(),
        client_id: request.parameter("client_id").map(str::to_owned),
        grant_type: request.parameter("grant_type").map(str::to_owned),
        realm: candidate.captures.get("realm").map(str::to_owned),
        operation: Some(candidate.route.name.clone()),
        triggered_at: Timestamp::now(),
        dry_run: true,
        ..Context::default()
    };
    let materials = Materials {
        form: Some(&request.form),
        query: Some(&request.query),
        captures: Some(&candidate.captures),
        ..Materials::default()
    };
    let data = facts::gather(&candidate.route, &materials, &mut context);
    Event {
        trigger,
        context,
        data: if trigger.adds_claims() { Map::new() } else { data },
    }
}

fn deed(action: Action) -> &'static str {
    match action {
        Action::Consult => "the interceptors are asked before it is forwarded",
        Action::Tokens => {
            "it is forwarded; the tokens of the answer are held back until the interceptors were asked, then signed again"
        }
        Action::Authorize => "it is forwarded, unless a rule refuses its response type or mode",
        Action::Introspect => "the token is mapped back, and the added claims are merged into the answer",
        Action::Userinfo => "the bearer token is mapped back",
        Action::Restore => "tokens in its parameters are mapped back, then it is forwarded",
        Action::Discovery => "it is forwarded, and what the answer says of keys and algorithms is corrected",
        Action::Jwks => "it is answered with Tollgate's own keys",
        Action::PublicKey => "it is forwarded, and Tollgate's public key takes the place of the upstream's",
        Action::Refuse => "it is refused",
        Action::Pass => "it streams through unchanged",
    }
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write a field as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write a header as `NAME: VALUE`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
