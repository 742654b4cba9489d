//! What a request is recognised by and what follows from it, as data.
//!
//! A route is one `[[route]]` of a preset or of `proxy.toml`; both are written in the same language.

mod index;
mod pattern;
mod sign;
mod source;
mod spelling;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

pub use self::{
    index::Index,
    pattern::{Captures, Pattern},
    sign::{Mark, Sign},
    source::{Source, Sources},
    spelling::read_in_other_letters,
};
use crate::{event::Trigger, misconfigured::Misconfigured};

/// One recognised kind of request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Names the route in events, the audit and `explain`. A route of `proxy.toml` with the name of a preset's takes its place.
    pub name: String,
    /// Which way in or out it is, in a line for operators: `explain` and `coverage` print it.
    #[serde(default)]
    pub summary: Option<String>,
    /// The methods, compared exactly (RFC 9110 §9.1). Empty: every method.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The path, such as `/realms/{realm}/users`, or `discovery:token_endpoint`: the path of that endpoint.
    pub path: Pattern,
    /// What is done with the request.
    pub does: Action,
    /// The trigger of a `consult`. `tokens` finds its trigger by the grant.
    #[serde(default)]
    pub trigger: Option<Trigger>,
    /// The body encodings that are read; a request with another one is refused. Empty: the body is not read.
    #[serde(default)]
    pub bodies: Vec<BodyKind>,
    /// Whether the provider reads the fields of the form without regard to case. They are judged and forwarded in small letters.
    #[serde(default)]
    pub any_case: bool,
    /// The request is this one only if at least one sign is there. Empty: always.
    #[serde(default)]
    pub only_if: Vec<Sign>,
    /// A JSON pointer (RFC 6901) to an array in the body: one event for each element, which facts read by `item:`.
    #[serde(default)]
    pub each: Option<String>,
    /// Groups of the preset whose facts and rules count for this route as well.
    #[serde(default, rename = "use")]
    pub groups: Vec<String>,
    /// Parameters, in query and form, that may hold a re-signed token and are mapped back.
    #[serde(default)]
    pub restore: Vec<String>,
    /// Whether a native token of the upstream is taken in `Authorization`: one that it made for this endpoint alone and gave to
    /// no client, as for CIBA's callback.
    #[serde(default)]
    pub native_bearer: bool,
    /// For `tokens`: values of parameters with which the answer has something else than tokens, such as UMA's decisions. It
    /// passes as it is, unless it has a token after all.
    #[serde(default)]
    pub without_tokens: BTreeMap<String, Vec<String>>,
    /// Requests of this route that are refused by what they ask for.
    #[serde(default)]
    pub refuse: Vec<Rule>,
    /// Where the event's fields come from: `"user.email" = "form:email"`.
    #[serde(default)]
    pub facts: BTreeMap<String, Sources>,
    /// How a denial is spelled: `oauth`, `page`, or one of the preset's `[denial.NAME]`.
    #[serde(default = "oauth")]
    pub denial: String,
    /// The query parameters with which a browser opens the same path again: the way back from a page of ours. Without
    /// them it is the page that the browser says it came from, if it does.
    #[serde(default)]
    pub back: Vec<String>,
    /// The protocol that the route belongs to, where the operator can leave it unguarded as a whole.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// For `refuse`: the reason that the client is told.
    #[serde(default)]
    pub because: Option<String>,
}

/// What is done with a recognised request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Ask the interceptors of `trigger` before the request is forwarded.
    Consult,
    /// Forward, hold the tokens of the answer back, ask, re-sign (RFC 6749 §5.1).
    Tokens,
    /// Forward, and ask about a session of the provider's own in the answer before the client has it; `[sessions]` says how one is found.
    Session,
    /// Forward unless a rule refuses a parameter; looks into request objects too (RFC 9101).
    Authorize,
    /// Map `token` back, forward, and merge the added claims into the answer (RFC 7662).
    Introspect,
    /// Map the bearer token back; a signed answer is signed again (OIDC Core §5.3.2).
    Userinfo,
    /// Map the parameters of `restore` back and forward: revocation (RFC 7009), logout.
    Restore,
    /// Forward and correct what discovery says of keys and algorithms (RFC 8414).
    Discovery,
    /// Answer with Tollgate's own keys (RFC 7517).
    Jwks,
    /// Forward and put Tollgate's public key in place of the upstream's in the member `public_key`.
    PublicKey,
    /// Refuse with `because`.
    Refuse,
    /// Stream through: an operator's way to switch a preset's route off.
    Pass,
}

/// A protocol beside OpenID Connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// SAML 2.0: `[upstream] saml` says what becomes of it.
    Saml,
}

/// A body encoding that Tollgate reads as the upstream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data` (RFC 7578), text fields only.
    Multipart,
    /// `application/json` or a `+json` type.
    Json,
    /// No body at all.
    Empty,
}

/// Facts and rules that several routes share, one `[group.NAME]` of a preset.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Added to the route's own facts, which go first.
    #[serde(default)]
    pub facts: BTreeMap<String, Sources>,
    /// Added to the route's own rules.
    #[serde(default)]
    pub refuse: Vec<Rule>,
}

/// A parameter whose value makes Tollgate refuse the request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The parameter, in query, form or request object.
    pub parameter: String,
    /// Refuse every value but these. `*` in one stands for any text.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Refuse just these.
    #[serde(default, rename = "in")]
    pub among: Vec<String>,
    /// The OAuth error code (RFC 6749 §5.2), `invalid_request` if left out.
    #[serde(default = "invalid_request")]
    pub error: String,
    /// The reason that the client is told.
    pub because: String,
}

impl Route {
    /// Whether the route can be taken for this method.
    pub fn takes(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|m| m == method)
    }

    /// Whether a request with these parameters asks a token endpoint for something else than tokens.
    pub fn asks_for_no_token<'a>(&self, mut parameters: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
        parameters.any(|(name, value)| {
            let values = self.without_tokens.get(name);
            values.is_some_and(|values| values.iter().any(|known| known == value))
        })
    }

    /// Takes the facts and rules of a group in; the route's own facts win.
    pub fn join(&mut self, group: &Group) {
        for (target, sources) in &group.facts {
            self.facts.entry(target.clone()).or_insert_with(|| sources.clone());
        }
        self.refuse.extend(group.refuse.iter().cloned());
    }

    /// Finds what cannot work: a consult without a trigger, a refusal without a reason, a fact with nowhere to come from.
    pub fn check(&self) -> Result<(), Misconfigured> {
        if self.does == Action::Consult && self.trigger.is_none() {
            return Err(Misconfigured::new(
                "trigger",
                format!("the route `{}` consults and names no trigger", self.name),
            )
            .hint("add `trigger = \"PRE_SIGNUP\"` or `\"PRE_USER_INVITATION\"`"));
        }
        if self.does == Action::Consult && self.trigger.is_some_and(Trigger::adds_claims) {
            return Err(
                Misconfigured::new("trigger", "a token trigger belongs to `does = \"tokens\"`")
                    .hint("write `does = \"tokens\"` and leave `trigger` out: the grant decides it"),
            );
        }
        if self.does == Action::Refuse && self.because.is_none() {
            return Err(Misconfigured::new(
                "because",
                format!("the route `{}` refuses and gives no reason", self.name),
            )
            .hint("add `because = \"…\"`: the client is told this"));
        }
        let needs_body = self.each.is_some()
            || self.facts.values().any(Sources::read_body)
            || self.only_if.iter().any(Sign::reads_body);
        if needs_body && self.bodies.is_empty() {
            return Err(Misconfigured::new(
                "bodies",
                format!("the route `{}` looks into the body and lists no encoding", self.name),
            )
            .hint("add `bodies = [\"form\"]`, `[\"json\"]` or the like"));
        }
        Ok(())
    }
}

impl Rule {
    /// Whether this value is refused.
    pub fn refuses(&self, value: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|pattern| glob(pattern, value));
        (!self.unless.is_empty() && !listed(&self.unless)) || listed(&self.among)
    }
}

/// Puts `message` in place of `{message}` in every text of a denial's body.
pub fn fill(template: &Value, message: &str) -> Value {
    match template {
        Value::String(text) => Value::String(text.replace("{message}", message)),
        Value::Array(items) => items.iter().map(|item| fill(item, message)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), fill(value, message)))
            .collect(),
        other => other.clone(),
    }
}

/// Whether `value` fits `pattern`, in which `*` stands for any characters, also none. Takes each piece between two `*` at
/// its first occurrence, so that no pattern takes more than linear time per piece.
pub(crate) fn glob(pattern: &str, value: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == value;
    };
    let Some(mut value) = value.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        let Some((_, after)) = value.split_once(piece) else {
            return false;
        };
        value = after;
    }
    value.ends_with(last)
}

fn oauth() -> String {
    "oauth".into()
}

fn invalid_request() -> String {
    "invalid_request".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(does: &str, more: &str) -> Route {
        let text = format!("name = \"r\"\npath = \"/x\"\ndoes = \"{does}\"\n{more}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_route_that_looks_into_the_body_lists_its_encodings() {
        for looks in [
            "only_if = [\"form:email\"]",
            "only_if = [\"query:step\", \"json:/users\"]",
            "each = \"/users\"",
            "facts = { \"user.email\" = [\"form:email\"] }",
        ] {
            let found = route("pass", looks).check().unwrap_err();
            assert_eq!(found.key, "bodies", "{looks}");
            let listed = route("pass", &format!("bodies = [\"form\"]\n{looks}"));
            assert!(listed.check().is_ok(), "{looks}");
        }
        let elsewhere = "only_if = [\"query:step\"]\nfacts = { \"context.realm\" = [\"path:realm\"] }";
        assert!(route("pass", elsewhere).check().is_ok());
    }

    #[test]
    fn a_route_that_consults_names_a_trigger_that_is_no_tokens() {
        let check = |does, trigger| route(does, trigger).check();
        let (signup, session) = ("trigger = \"PRE_SIGNUP\"", "trigger = \"PRE_SESSION_CREATION\"");
        assert!(check("consult", signup).is_ok());
        assert_eq!(check("consult", "").unwrap_err().key, "trigger");
        assert_eq!(check("consult", session).unwrap_err().key, "trigger");
        assert!(check("session", session).is_ok());
    }

    #[test]
    fn a_request_for_something_else_than_tokens_is_told_by_the_value() {
        let route = route("tokens", "without_tokens = { response_mode = [\"decision\"] }");
        for (parameter, is_one) in [
            (("response_mode", "decision"), true),
            (("response_mode", "permissions"), false),
            (("grant_type", "decision"), false),
        ] {
            assert_eq!(
                route.asks_for_no_token([parameter].into_iter()),
                is_one,
                "{parameter:?}"
            );
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, fitting, other) in [
            ("web-*", "web-app", "mobile-web-app"),
            ("*", "", "-"),
            ("*-app", "web-app", "web-app2"),
            ("a*b*c", "a.b.b.c", "a.c.b"),
            ("*b*", "abc", "aac"),
            ("a**c", "ac", "ab"),
            ("web", "web", "web2"),
            ("aba*aba", "abaaba", "aba"),
        ] {
            assert!(glob(pattern, fitting), "{pattern} {fitting}");
            assert!(pattern == "*" || !glob(pattern, other), "{pattern} {other}");
        }
    }
}
