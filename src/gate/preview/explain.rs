//! What would become of a request, as far as it says itself: for `tollgate explain` and the dashboard. Asks nobody.

use http::{Method, Uri};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    event::{Context, Event, TokenClaims, Trigger},
    exchange::Target,
    facts::{self, Materials},
    form::Form,
    preset::{Candidate, Fit, Preset, Seen},
    route::{self, Action, BodyKind, Route, Sign},
};

/// A request that somebody asks about.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Its method.
    pub method: Method,
    /// Its URL, or its path and query.
    pub url: Uri,
    /// The fields of its form.
    pub form: Form,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, where that is JSON.
    pub json: Option<Value>,
    /// The claims of its bearer token.
    pub caller: Option<Map<String, Value>>,
    /// The claims of the tokens that it is answered with.
    pub claims: Option<TokenClaims>,
}

/// What would become of it.
#[derive(Clone, Debug)]
pub enum Explanation {
    /// Refused with 400, before anything is looked at: the request target could be read in two ways.
    Unreadable(String),
    /// Refused with 400 where a route is found for it: its query could be read in two ways.
    UnreadableQuery(String),
    /// Nothing can be said: the preset's paths come from the upstream's discovery document, which is not at hand.
    Undecided,
    /// It asks for a WebSocket, which is let through on the paths that the preset lists.
    WebSocket {
        /// Whether its path is one of them.
        listed: bool,
    },
    /// As far as routes go.
    Routed {
        /// Routes that it would be, did it carry what only the upstream knows: each with the name of that value.
        perhaps: Vec<(String, String)>,
        /// The route that it is; `None` where it streams through unchanged.
        found: Option<Box<Found>>,
    },
}

/// The route that a request is.
#[derive(Clone, Debug)]
pub struct Found {
    /// The route and what its path took.
    pub candidate: Candidate,
    /// The sign that was seen, for a route that needs one.
    pub sign: Option<Sign>,
    /// Why it is refused, where it is.
    pub refusal: Option<String>,
    /// What is asked about.
    pub consults: Vec<Asking>,
}

/// An event that interceptors are asked about.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The event, as far as the request alone says.
    pub event: Event,
    /// By what that is the trigger; empty where the route says so.
    pub by: String,
}

impl Question {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Chooses a route as the gate does, and says what follows. `environment` is the operator's name of the installation.
pub fn explain(preset: &Preset, environment: &str, asked: &Question) -> Explanation {
    let target = match Target::read(&asked.url) {
        Ok(target) => target,
        Err(unreadable) => return Explanation::Unreadable(unreadable.to_string()),
    };
    let query = match Form::query(target.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(unreadable) => return Explanation::UnreadableQuery(unreadable.to_string()),
    };
    let candidates = preset.candidates(asked.method.as_str(), target.path());
    if candidates.is_empty() && preset.needs_discovery() {
        return Explanation::Undecided;
    }
    let upgrade = asked.header("upgrade");
    if upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        let mut paths = preset.websockets.iter();
        return Explanation::WebSocket {
            listed: paths.any(|pattern| pattern.captures(target.path()).is_some()),
        };
    }
    let mut perhaps = Vec::new();
    for candidate in candidates {
        let seen = Seen {
            query: Some(&query),
            form: Some(&asked.form),
            json: asked.json.as_ref(),
        };
        let sign = match candidate.fit(&seen) {
            Fit::Always => None,
            Fit::Seen(sign) => Some(sign.clone()),
            Fit::Learned(names) => {
                let names = names.into_iter().map(str::to_owned);
                perhaps.extend(names.map(|name| (candidate.route.name.clone(), name)));
                continue;
            }
            Fit::Not => continue,
        };
        let read_so;
        let asked = if candidate.route.any_case {
            read_so = Question {
                form: asked.form.clone().with_small_names(),
                ..asked.clone()
            };
            &read_so
        } else {
            asked
        };
        let found = found(preset, environment, asked, &query, candidate, sign);
        return Explanation::Routed {
            perhaps,
            found: Some(Box::new(found)),
        };
    }
    Explanation::Routed { perhaps, found: None }
}

/// What is done by an action, in a clause.
pub fn deed(action: Action) -> &'static str {
    match action {
        Action::Consult => "the interceptors are asked before it is forwarded",
        Action::Tokens => {
            "it is forwarded; the tokens of the answer are held back until the interceptors were asked, then signed again"
        }
        Action::Session => {
            "it is forwarded; a session in the answer is held back until the interceptors were asked, and passes as it is"
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

/// How a denial looks to the client, in a clause; `status` is that of OAuth errors.
pub fn denial(route: &Route, status: u16) -> String {
    match route.denial.as_str() {
        "oauth" => format!("an OAuth error `access_denied` with status {status}"),
        "page" => "a page for browsers with the message".to_owned(),
        other => format!("the upstream's own error shape, `{other}`"),
    }
}

fn found(
    preset: &Preset,
    environment: &str,
    asked: &Question,
    query: &Form,
    candidate: Candidate,
    sign: Option<Sign>,
) -> Found {
    let refusal = refusal(&candidate.route, asked, query);
    let parameter = |name: &str| asked.form.get(name).or_else(|| query.get(name));
    let consults = match refusal {
        Some(_) => Vec::new(),
        None => triggers(preset, &candidate.route, parameter("grant_type"))
            .into_iter()
            .flat_map(|(trigger, by)| {
                let events = events(environment, trigger, &candidate, asked, query);
                events.into_iter().map(move |event| Asking { event, by: by.clone() })
            })
            .collect(),
    };
    Found {
        candidate,
        sign,
        refusal,
        consults,
    }
}

fn refusal(route: &Route, asked: &Question, query: &Form) -> Option<String> {
    if route.does == Action::Refuse {
        return route.because.clone();
    }
    let this = [route].into_iter();
    if let Some(name) = asked
        .json
        .as_ref()
        .and_then(|json| route::read_in_other_letters(this, json))
    {
        return Some(format!("a member of the JSON is `{name}` in other letters"));
    }
    for (name, value) in query.iter().chain(asked.form.iter()) {
        let mut rules = route.refuse.iter();
        if let Some(rule) = rules.find(|rule| rule.parameter == name && rule.refuses(value)) {
            return Some(format!("{} ({})", rule.because, rule.error));
        }
    }
    let content_type = match asked.header("content-type") {
        Some(header) => header.split(';').next()?.trim().to_ascii_lowercase(),
        None if asked.json.is_some() => "application/json".to_owned(),
        None => return None,
    };
    let kind = match content_type.as_str() {
        "application/x-www-form-urlencoded" => Some(BodyKind::Form),
        "multipart/form-data" => Some(BodyKind::Multipart),
        "application/json" => Some(BodyKind::Json),
        json if json.starts_with("application/") && json.ends_with("+json") => Some(BodyKind::Json),
        _ => None,
    };
    let taken = route.bodies.is_empty() || kind.is_some_and(|kind| route.bodies.contains(&kind));
    (!taken).then(|| format!("this request does not take a body of type {content_type}"))
}

/// The triggers of a request, each with what decides it.
fn triggers(preset: &Preset, route: &Route, grant: Option<&str>) -> Vec<(Trigger, String)> {
    let triggers = match route.does {
        Action::Consult => route.trigger.into_iter().collect(),
        Action::Tokens => preset.triggers_of(grant),
        Action::Session => vec![Trigger::PreSessionCreation],
        _ => Vec::new(),
    };
    let by = |trigger| match (route.does, grant) {
        (Action::Tokens, Some(grant))
            if trigger == Trigger::PreM2mTokenCreation && !preset.is_for_client(grant, false) =>
        {
            ", where the verified subject is the client".to_owned()
        }
        (Action::Tokens, Some(grant)) => format!(", by the grant `{}`", grant.escape_debug()),
        (Action::Tokens, None) if trigger == Trigger::PreM2mTokenCreation => {
            format!(", for the grant {}", preset.machine_grants.join(" or "))
        }
        (Action::Tokens, None) => ", for any other grant; the field `grant_type` decides it".to_owned(),
        _ => String::new(),
    };
    triggers.into_iter().map(|trigger| (trigger, by(trigger))).collect()
}

/// One event; of a route with `each`, one for every element, as far as the body is known.
fn events(environment: &str, trigger: Trigger, candidate: &Candidate, asked: &Question, query: &Form) -> Vec<Event> {
    let items = candidate.route.each.as_ref().zip(asked.json.as_ref());
    let Some((pointer, document)) = items else {
        return vec![event(environment, trigger, candidate, asked, query, None)];
    };
    let items = document
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    items
        .map(|item| event(environment, trigger, candidate, asked, query, Some(item)))
        .collect()
}

fn event(
    environment: &str,
    trigger: Trigger,
    candidate: &Candidate,
    asked: &Question,
    query: &Form,
    item: Option<&Value>,
) -> Event {
    let parameter = |name: &str| asked.form.get(name).or_else(|| query.get(name)).map(str::to_owned);
    let mut context = Context {
        environment_id: environment.to_owned(),
        client_id: parameter("client_id"),
        grant_type: parameter("grant_type"),
        realm: candidate.captures.get("realm").map(str::to_owned),
        operation: Some(candidate.route.name.clone()),
        triggered_at: Timestamp::now(),
        dry_run: true,
        ..Context::default()
    };
    let materials = Materials {
        form: Some(&asked.form),
        query: Some(query),
        captures: Some(&candidate.captures),
        json: asked.json.as_ref(),
        item,
        claims: asked.claims.as_ref(),
        caller: asked.caller.as_ref(),
        ..Materials::default()
    };
    let data = facts::gather(&candidate.route, &materials, &mut context);
    let is_known = !trigger.adds_claims() || (asked.claims.is_some() && trigger == Trigger::PreSessionCreation);
    Event {
        trigger,
        context,
        data: if is_known { data } else { Map::new() },
    }
}
