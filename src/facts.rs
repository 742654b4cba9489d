//! A route's facts: the fields of the event, taken from the places that the route names.

mod email;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use self::email::Ambiguous;

use crate::{
    event::{Context, TokenClaims},
    form::Form,
    route::{Captures, Route, Source, Sources},
};

/// What facts can be taken from. A place that a request does not have is empty.
#[derive(Clone, Copy, Default)]
pub struct Materials<'a> {
    /// The body as a form.
    pub form: Option<&'a Form>,
    /// The query.
    pub query: Option<&'a Form>,
    /// The captures of the path.
    pub captures: Option<&'a Captures>,
    /// The body as JSON.
    pub json: Option<&'a Value>,
    /// The element of the route's `each` that this event is about.
    pub item: Option<&'a Value>,
    /// The verified claims of the answer's tokens.
    pub claims: Option<&'a TokenClaims>,
    /// The verified claims of the request's bearer token.
    pub caller: Option<&'a Map<String, Value>>,
    /// Form fields that the operator lists as attributes of a signup.
    pub signup_attributes: &'a [String],
}

/// Puts the facts of a route into an event's context and data. What is not there stays absent.
pub fn gather(route: &Route, materials: &Materials<'_>, context: &mut Context) -> Map<String, Value> {
    gather_all(&route.facts, materials, context)
}

/// The same for facts that stand elsewhere than in a route.
pub fn gather_all(
    facts: &BTreeMap<String, Sources>,
    materials: &Materials<'_>,
    context: &mut Context,
) -> Map<String, Value> {
    let mut data = Map::new();
    for (target, sources) in facts {
        let Some(value) = materials.value(sources) else {
            continue;
        };
        match target.split_once('.') {
            Some(("context", field)) => set_context(context, field, &value),
            Some((object, field)) => put(&mut data, object, field, value),
            None => _ = data.insert(target.clone(), value),
        }
    }
    for name in materials.signup_attributes {
        if let Some(value) = materials.form.and_then(|form| form.get(name)) {
            let attributes = object(object(&mut data, "user"), "attributes");
            attributes.insert(name.clone(), value.into());
        }
    }
    if let Some(user) = data.get_mut("user").and_then(Value::as_object_mut) {
        // An ambiguous address is left as it is; who makes an account of it asks `check_email`.
        _ = email::describe(user);
    }
    let text = |object: &str, field: &str| Some(data.get(object)?.get(field)?.as_str()?.to_owned());
    context.user_id = text("user", "id").or(context.user_id.take());
    context.user_email = text("user", "email").or(context.user_email.take());
    context.organization_id = text("organization", "id").or(context.organization_id.take());
    data
}

/// Refuses a user whose e-mail address two readers could read in two ways.
///
/// # Errors
/// More than one `@`.
pub fn check_email(data: &Map<String, Value>) -> Result<(), Ambiguous> {
    let Some(user) = data.get("user").and_then(Value::as_object) else {
        return Ok(());
    };
    email::describe(&mut user.clone())
}

fn set_context(context: &mut Context, field: &str, value: &Value) {
    let Some(text) = value.as_str() else { return };
    let place = match field {
        "realm" => &mut context.realm,
        "tenant" => &mut context.tenant,
        "client_id" => &mut context.client_id,
        "organization_id" => &mut context.organization_id,
        _ => return,
    };
    *place = Some(text.to_owned());
}

fn put(data: &mut Map<String, Value>, object_name: &str, field: &str, value: Value) {
    object(data, object_name).insert(field.to_owned(), value);
}

/// The member of that name as an object; whatever else stood there is replaced.
fn object<'a>(members: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made an object above")
}

impl Materials<'_> {
    fn value(&self, sources: &Sources) -> Option<Value> {
        if let [source] = sources.0.as_slice() {
            return self.one(source);
        }
        let texts: Vec<String> = sources
            .0
            .iter()
            .filter_map(|source| self.one(source)?.as_str().map(str::to_owned))
            .filter(|text| !text.is_empty())
            .collect();
        (!texts.is_empty()).then(|| Value::String(texts.join(" ")))
    }

    fn one(&self, source: &Source) -> Option<Value> {
        let text = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(Value::from);
        let found = match source {
            Source::Form(name) => match name.strip_suffix('*') {
                Some(prefix) => return self.prefixed(prefix),
                None => return text(self.form?.get(name)),
            },
            Source::Query(name) => return text(self.query?.get(name)),
            Source::Path(name) => return text(self.captures?.get(name)),
            Source::Json(pointer) => self.json?.pointer(pointer).cloned(),
            Source::Item(pointer) => self.item?.pointer(pointer).cloned(),
            Source::Caller(pointer) => within(self.caller?, pointer),
            Source::Claim(pointer) => {
                let claims = self.claims?;
                within(&claims.id_token, pointer).or_else(|| within(&claims.access_token, pointer))
            }
        };
        found.filter(|value| !value.is_null() && value != "")
    }

    /// The form fields with a prefix, without it, as an object.
    fn prefixed(&self, prefix: &str) -> Option<Value> {
        let fields: Map<String, Value> = self
            .form?
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.into())))
            .collect();
        (!fields.is_empty()).then_some(Value::Object(fields))
    }
}

/// A JSON pointer into an object's members.
fn within(members: &Map<String, Value>, pointer: &str) -> Option<Value> {
    let path = pointer.strip_prefix('/')?;
    let (first, rest) = path
        .split_once('/')
        .map_or((path, ""), |(first, _)| (first, path.get(first.len()..).unwrap_or("")));
    members
        .get(&first.replace("~1", "/").replace("~0", "~"))?
        .pointer(rest)
        .cloned()
}
