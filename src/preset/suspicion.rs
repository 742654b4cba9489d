//! Whether a request that no route fits looks like one that should have a route, by the names in it. Never looks at what a person typed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{form::Form, route::BodyKind};

/// What is known of a request and its answer: names, never values.
#[derive(Clone, Debug, Default)]
pub struct Traits {
    /// The method.
    pub method: String,
    /// The path, its segments that are somebody's replaced by `{id}`.
    pub path: String,
    /// How the body is encoded.
    pub body: Option<BodyKind>,
    /// Where fields are: `form:email`, `json:/user/email`. Odd names are left out.
    pub fields: Vec<String>,
    /// Whether the answer hands out a token.
    pub has_token: bool,
}

impl Traits {
    /// Those of a request. `path` is the canonical one.
    pub fn of(method: &str, path: &str, body: Option<BodyKind>, form: &Form, json: Option<&Value>) -> Self {
        let mut fields: Vec<String> = form.iter().map(|(name, _)| format!("form:{name}")).collect();
        if let Some(document) = json {
            places(document, "json:", &mut fields);
        }
        fields.retain(|place| is_plain(place));
        Self {
            method: method.to_owned(),
            path: impersonal(path),
            body,
            fields,
            has_token: false,
        }
    }
}

/// What a request looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Looks {
    /// A person opens an account.
    Signup,
    /// Somebody makes or invites an account for somebody else.
    Invitation,
    /// Tokens are handed out.
    Tokens,
}

impl Looks {
    /// What it looks like, if it does.
    pub fn of(traits: &Traits) -> Option<Self> {
        if traits.has_token || traits.has("granttype") {
            return Some(Self::Tokens);
        }
        if !matches!(traits.method.as_str(), "POST" | "PUT" | "PATCH") {
            return None;
        }
        let names_a_person = traits.has("email") || traits.has("mail") || traits.has("username") || traits.has("login");
        if traits.path_has(&INVITATION) {
            return Some(Self::Invitation);
        }
        if traits.path_has(&SIGNUP) && (names_a_person || traits.fields.is_empty()) {
            return Some(Self::Signup);
        }
        let passwords = traits
            .fields
            .iter()
            .filter(|place| last(place).contains("password"))
            .count();
        let has_a_name = ["firstname", "lastname", "givenname", "familyname", "name"]
            .iter()
            .any(|name| traits.has(name));
        if names_a_person && (passwords > 1 || (passwords == 1 && has_a_name)) {
            return Some(Self::Signup);
        }
        (traits.path_has(&ACCOUNTS) && names_a_person && traits.body == Some(BodyKind::Json))
            .then_some(Self::Invitation)
    }

    /// What it looks like, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signup => "a signup",
            Self::Invitation => "an invitation, or an account made for somebody else",
            Self::Tokens => "tokens",
        }
    }

    /// A `[[route]]` for it, to be looked at by whoever knows the provider.
    pub fn route(self, traits: &Traits) -> String {
        let name = name(self, &traits.path);
        let mut lines = vec![
            "[[route]]".to_owned(),
            format!("name = \"{name}\""),
            format!("methods = [\"{}\"]", traits.method),
            format!("path = \"{}\"", traits.path),
        ];
        match self {
            Self::Signup => lines.extend(["does = \"consult\"".into(), "trigger = \"PRE_SIGNUP\"".into()]),
            Self::Invitation => lines.extend(["does = \"consult\"".into(), "trigger = \"PRE_USER_INVITATION\"".into()]),
            Self::Tokens => lines.push("does = \"tokens\"".into()),
        }
        let kind = match traits.body {
            Some(BodyKind::Form) => "form",
            Some(BodyKind::Multipart) => "multipart",
            Some(BodyKind::Json) => "json",
            Some(BodyKind::Empty) | None => "empty",
        };
        lines.push(format!("bodies = [\"{kind}\"]"));
        let facts: Vec<_> = match self {
            Self::Tokens => TOKEN_FACTS
                .iter()
                .map(|(to, from)| format!("\"{to}\" = \"{from}\""))
                .collect(),
            Self::Signup | Self::Invitation => traits.facts(),
        };
        if self == Self::Signup && kind != "json" {
            lines.push("denial = \"page\"".into());
        }
        if !facts.is_empty() {
            lines.push("[route.facts]".into());
            lines.extend(facts);
        }
        lines.join("\n")
    }
}

impl Traits {
    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|place| last(place) == name)
    }

    fn path_has(&self, words: &[&str]) -> bool {
        let path = self.path.to_ascii_lowercase();
        words.iter().any(|word| path.contains(word))
    }

    /// The facts that the fields' names tell.
    fn facts(&self) -> Vec<String> {
        let mut told = BTreeSet::new();
        let place_of = |place: &String| {
            let fact = FACTS.iter().find(|(_, names)| names.contains(&last(place).as_str()))?;
            Some((fact.0, place.clone()))
        };
        let mut facts: Vec<_> = self
            .fields
            .iter()
            .filter_map(place_of)
            .filter(|(fact, _)| told.insert(*fact))
            .collect();
        facts.extend(
            self.path
                .contains("{id}")
                .then(|| ("organization.id", "path:id".to_owned())),
        );
        facts
            .into_iter()
            .map(|(fact, place)| format!("\"{fact}\" = \"{place}\""))
            .collect()
    }
}

/// The name of a field without what stands around it: `form:user[e-mail]` and `json:/user/email` are `email`.
fn last(place: &str) -> String {
    let name = place.rsplit(['/', '.', ':', '[']).next().unwrap_or_default();
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase()
}

fn name(looks: Looks, path: &str) -> String {
    let kind = match looks {
        Looks::Signup => "signup",
        Looks::Invitation => "invite",
        Looks::Tokens => "token",
    };
    let last = path
        .rsplit('/')
        .find(|part| !part.is_empty() && !part.starts_with('{'))
        .unwrap_or_default();
    let last: String = last
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    format!("own-{kind}-{last}")
}

/// Where the members of a document are, that are no objects themselves.
fn places(document: &Value, at: &str, into: &mut Vec<String>) {
    let Value::Object(members) = document else { return };
    for (name, value) in members {
        let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(_) => places(value, &place, into),
            _ => into.push(place),
        }
    }
}

/// A path without what is somebody's: numbers, long identifiers, addresses.
fn impersonal(path: &str) -> String {
    let mut count = 0;
    let parts = path.split('/').map(|part| {
        let digits = part.chars().filter(char::is_ascii_digit).count();
        let is_version = part
            .strip_prefix('v')
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
        let is_number = digits > 0 && digits == part.len();
        if is_version || !(digits >= 3 || is_number || !is_plain(part)) {
            return part.to_owned();
        }
        count += 1;
        match count {
            1 => "{id}".to_owned(),
            more => format!("{{id{more}}}"),
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Whether a text can stand in a route as it is.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.~:/+[]".contains(c);
    text.chars().all(plain)
}

const SIGNUP: [&str; 8] = [
    "signup",
    "sign-up",
    "sign_up",
    "register",
    "registration",
    "enroll",
    "join",
    "create-account",
];
const INVITATION: [&str; 1] = ["invit"];
const ACCOUNTS: [&str; 4] = ["user", "member", "account", "identit"];

/// A fact, and the names of fields that tell it.
const FACTS: [(&str, &[&str]); 6] = [
    ("user.email", &["email", "mail", "emailaddress"]),
    ("user.username", &["username", "login", "loginname", "nickname"]),
    ("user.given_name", &["firstname", "givenname"]),
    ("user.family_name", &["lastname", "familyname", "surname"]),
    ("user.name", &["name", "fullname", "displayname"]),
    (
        "organization.id",
        &["organization", "organizationid", "orgid", "tenant", "tenantid"],
    ),
];
const TOKEN_FACTS: [(&str, &str); 3] = [
    ("user.id", "claim:/sub"),
    ("user.email", "claim:/email"),
    ("user.name", "claim:/name"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Route;

    fn traits(method: &str, path: &str, body: BodyKind, fields: &[&str]) -> Traits {
        Traits {
            method: method.into(),
            path: path.into(),
            body: Some(body),
            fields: fields.iter().map(|f| (*f).to_owned()).collect(),
            has_token: false,
        }
    }

    #[test]
    fn what_looks_like_something_is_told_by_names() {
        let (form, json) = (BodyKind::Form, BodyKind::Json);
        for (traits, looks) in [
            (
                traits("POST", "/signup", form, &["form:email", "form:password"]),
                Some(Looks::Signup),
            ),
            (
                traits(
                    "POST",
                    "/x",
                    form,
                    &["form:user[e-mail]", "form:password", "form:password2"],
                ),
                Some(Looks::Signup),
            ),
            (
                traits("POST", "/x", json, &["json:/email", "json:/password", "json:/name"]),
                Some(Looks::Signup),
            ),
            (
                traits("POST", "/login", form, &["form:username", "form:password"]),
                None,
            ),
            (traits("GET", "/signup", form, &["form:email"]), None),
            (
                traits("POST", "/api/teams/{id}/invites", json, &["json:/email"]),
                Some(Looks::Invitation),
            ),
            (
                traits("POST", "/api/users", json, &["json:/user/email"]),
                Some(Looks::Invitation),
            ),
            (traits("POST", "/api/users/search", json, &["json:/query"]), None),
            (traits("POST", "/t", form, &["form:grant_type"]), Some(Looks::Tokens)),
        ] {
            assert_eq!(Looks::of(&traits), looks, "{traits:?}");
        }
    }

    #[test]
    fn what_is_suggested_is_a_route_that_can_be_taken() {
        for (traits, looks) in [
            (
                traits("POST", "/signup", BodyKind::Form, &["form:email", "form:firstName"]),
                Looks::Signup,
            ),
            (
                traits("POST", "/api/teams/{id}/invites", BodyKind::Json, &["json:/email"]),
                Looks::Invitation,
            ),
            (
                traits("POST", "/login/token", BodyKind::Json, &["json:/password"]),
                Looks::Tokens,
            ),
        ] {
            let text = looks.route(&traits);
            let written: toml::Table = toml::from_str(&text).unwrap();
            let route: Route = written["route"][0]
                .clone()
                .try_into()
                .unwrap_or_else(|e| panic!("{e}\n{text}"));
            route.check().unwrap();
        }
        let text = Looks::Signup.route(&traits(
            "POST",
            "/signup",
            BodyKind::Form,
            &["form:email", "form:firstName"],
        ));
        assert!(text.contains("\"user.given_name\" = \"form:firstName\""), "{text}");
    }

    #[test]
    fn what_is_somebodys_is_left_out_of_a_path() {
        for (path, kept) in [
            ("/api/v2/users/42", "/api/v2/users/{id}"),
            (
                "/orgs/018f3c2e-77aa/members/ada@example.org",
                "/orgs/{id}/members/{id2}",
            ),
            ("/oauth2/token", "/oauth2/token"),
        ] {
            assert_eq!(impersonal(path), kept);
        }
    }

    #[test]
    fn odd_names_are_left_out() {
        let mut form = Form::default();
        form.set("email", "a");
        form.set("x\"\n[[route]]", "b");
        let json = serde_json::json!({"user": {"name": 1, "\u{1b}": 2}});
        let traits = Traits::of("POST", "/a/\"b", None, &form, Some(&json));
        assert_eq!(
            (traits.path.as_str(), traits.fields),
            ("/a/{id}", vec!["form:email".into(), "json:/user/name".into()])
        );
    }
}
