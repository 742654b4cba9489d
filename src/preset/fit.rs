//! Whether a request is a route's.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    form::Form,
    route::{Captures, Mark, Route, Sign},
};

/// A route that fits a request's method and path, and what the path's `{name}`s took.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The route.
    pub route: Arc<Route>,
    /// The captures.
    pub captures: Captures,
}

/// Whether a candidate is the route of a request, as far as the request itself says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit<'r> {
    /// It is: method and path decide.
    Always,
    /// It is, by this sign.
    Seen(&'r Sign),
    /// It is if the request carries one of these values, which only the upstream knows (`[learn.NAME]`).
    Learned(Vec<&'r str>),
    /// It is not.
    Not,
}

impl Candidate {
    /// Looks for the route's signs.
    pub fn fit(&self, seen: &Seen<'_>) -> Fit<'_> {
        let signs = &self.route.only_if;
        if signs.is_empty() {
            return Fit::Always;
        }
        let small = self
            .route
            .any_case
            .then(|| seen.form.cloned().map(Form::with_small_names));
        let seen = &Seen {
            form: small.as_ref().map_or(seen.form, Option::as_ref),
            ..*seen
        };
        if let Some(sign) = signs.iter().find(|sign| seen.has(sign, &self.captures)) {
            return Fit::Seen(sign);
        }
        let learned = signs.iter().filter_map(|sign| match sign {
            Sign::Learned(name) => Some(name.as_str()),
            _ => None,
        });
        let learned: Vec<_> = learned.collect();
        if learned.is_empty() {
            Fit::Not
        } else {
            Fit::Learned(learned)
        }
    }
}

/// Where signs are looked for. A place that a request does not have is empty.
#[derive(Clone, Copy, Default)]
pub struct Seen<'a> {
    /// The query.
    pub query: Option<&'a Form>,
    /// The body as a form.
    pub form: Option<&'a Form>,
    /// The body as JSON.
    pub json: Option<&'a Value>,
}

impl Seen<'_> {
    /// Whether a sign is there. A value that has to be learned is not looked for.
    fn has(&self, sign: &Sign, captures: &Captures) -> bool {
        let in_form = |form: Option<&Form>, mark: &Mark| {
            let value = form.and_then(|form| form.get(&mark.name));
            value.is_some_and(|value| mark.takes(value))
        };
        match sign {
            Sign::Form(marks) => marks.iter().all(|mark| in_form(self.form, mark)),
            Sign::Query(mark) => in_form(self.query, mark),
            Sign::Path(mark) => captures.get(&mark.name).is_some_and(|value| mark.takes(value)),
            Sign::Json(mark) => match self.json.and_then(|document| document.pointer(&mark.name)) {
                None | Some(Value::Null) => false,
                Some(Value::String(text)) => mark.takes(text),
                Some(other) => mark.value.is_none() || mark.takes(&other.to_string()),
            },
            Sign::Learned(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sign_is_a_name_or_a_name_with_its_value() {
        let mut form = Form::default();
        form.set("method", "password");
        form.set("traits.email", "ada@example.org");
        let document = json!({"component": "stage-prompt", "user": {"email": null}, "n": 1, "list": []});
        let captures: Captures = [("flow", "default-enrollment-flow")].into_iter().collect();
        let seen = Seen {
            query: None,
            form: Some(&form),
            json: Some(&document),
        };
        for (text, there) in [
            ("form:method", true),
            ("form:method=password", true),
            ("form:method=profile", false),
            ("form:method=password+traits.email", true),
            ("form:method=password+traits.name", false),
            ("query:method", false),
            ("path:flow=*enrollment*", true),
            ("path:flow=enrollment", false),
            ("path:other", false),
            ("json:/component=stage-*", true),
            ("json:/component=other", false),
            ("json:/user", true),
            ("json:/user/email", false),
            ("json:/n=1", true),
            ("json:/list", true),
            ("learned:registration", false),
        ] {
            assert_eq!(seen.has(&text.parse().unwrap(), &captures), there, "{text}");
        }
    }
}
