//! Sessions of a provider's own, beside OpenID Connect, as far as they are to be found and asked about.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, header::SET_COOKIE};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{Call, Preset};
use crate::route::{self, Action, Pattern, Sources};

/// How an answer shows that a session was made, and whose. It is looked for in every answer to a path that has a route with
/// `does = "session"`, whichever request led to it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// The cookies that are sessions, by their names; `*` in one stands for any text.
    pub cookies: Vec<String>,
    /// The members of a JSON answer that are sessions, wherever in it they are.
    pub members: Vec<String>,
    /// Where an answer may have the session itself, as a JSON pointer.
    pub at: String,
    /// Where in a session the id of its user is, as a JSON pointer. By it a session is told from other documents.
    pub user: String,
    /// Asked, with what was found, where the answer does not have the session itself. 401 and 403 mean that it is none yet.
    pub who: Pattern,
    /// The header in which `who` takes what was found in a member.
    #[serde(deserialize_with = "header")]
    pub header: HeaderName,
    /// Ends a session after a DENY, where `{token}` was found in a member.
    pub end: Option<Call>,
    /// Where an event's facts are in a session, as `json:` sources.
    pub facts: BTreeMap<String, Sources>,
}

impl Preset {
    /// How sessions are found in the answers to this path, if they are looked for there.
    pub fn sessions_of(&self, path: &str) -> Option<&Sessions> {
        let mut rows = self.routes.near(path);
        let looked_for = rows.any(|row| row.does == Action::Session && row.path.captures(path).is_some());
        self.sessions.as_ref().filter(|_| looked_for)
    }
}

impl Sessions {
    /// The cookies of an answer that are sessions, as a client would send them back. One that is taken away is none.
    pub fn cookies(&self, headers: &HeaderMap) -> Vec<String> {
        let lines = headers.get_all(SET_COOKIE).iter().map(HeaderValue::as_bytes);
        let pairs = lines.map(|line| String::from_utf8_lossy(line.split(|byte| *byte == b';').next().unwrap_or(line)));
        pairs
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let (name, value) = (name.trim(), value.trim());
                let is_one = self.cookies.iter().any(|pattern| route::glob(pattern, name));
                (is_one && !value.trim_matches('"').is_empty()).then(|| format!("{name}={value}"))
            })
            .collect()
    }

    /// The first member of a document that is a session.
    pub fn member<'d>(&self, document: &'d Value) -> Option<&'d str> {
        match document {
            Value::Object(members) => {
                let listed = |name: &String| self.members.contains(name);
                let here = members.iter().find_map(|(name, value)| {
                    let text = value.as_str().filter(|text| !text.is_empty())?;
                    listed(name).then_some(text)
                });
                here.or_else(|| members.values().find_map(|value| self.member(value)))
            }
            Value::Array(items) => items.iter().find_map(|item| self.member(item)),
            _ => None,
        }
    }

    /// The session that a document has.
    pub fn within<'d>(&self, document: &'d Value) -> Option<&'d Value> {
        document.pointer(&self.at).filter(|session| self.is_one(session))
    }

    /// Whether a document is a session.
    pub fn is_one(&self, document: &Value) -> bool {
        document.pointer(&self.user).is_some_and(Value::is_string)
    }

    /// Every path, to be put below a base.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut Pattern> {
        std::iter::once(&mut self.who).chain(self.end.as_mut().map(|call| &mut call.path))
    }
}

fn header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderName, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse()
        .map_err(|_| de::Error::custom(format!("`{}` is no name of a header", name.escape_debug())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sessions() -> Sessions {
        toml::from_str(
            "cookies = [\"session\", \"own_*\"]\nmembers = [\"session_token\"]\nat = \"/session\"\nuser = \"/person/id\"\nwho = \"/who\"\nheader = \"X-Session\"\nfacts = {}",
        )
        .unwrap()
    }

    #[test]
    fn a_cookie_is_a_session_by_its_name_unless_it_is_taken_away() {
        let mut headers = HeaderMap::new();
        for line in [
            "session=abc; Path=/; HttpOnly",
            " own_7 = \"x=y\" ;Secure",
            "csrf=abc",
            "session=; Max-Age=0",
            "own_8=\"\"",
            "session",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(sessions().cookies(&headers), ["session=abc", "own_7=\"x=y\""]);
    }

    #[test]
    fn a_member_is_a_session_wherever_it_is() {
        let sessions = sessions();
        assert_eq!(
            sessions.member(&json!({"then": [1, {"session_token": "t"}]})),
            Some("t")
        );
        assert_eq!(
            sessions.member(&json!({"session_token": "", "a": {"session_token": null}})),
            None
        );
        assert_eq!(sessions.member(&json!("session_token")), None);
    }

    #[test]
    fn a_document_without_a_user_is_no_session() {
        let sessions = sessions();
        let session = json!({"id": "s", "person": {"id": "p"}});
        assert_eq!(
            sessions.within(&json!({"session": session, "person": {"id": "q"}})),
            Some(&session)
        );
        assert_eq!(sessions.within(&session), None);
        assert_eq!(sessions.within(&json!({"session": {"id": "s"}, "ui": {}})), None);
    }

    #[test]
    fn a_header_that_is_none_is_told() {
        let text =
            "cookies = []\nmembers = []\nat = \"\"\nuser = \"/id\"\nwho = \"/who\"\nheader = \"X Session\"\nfacts = {}";
        let wrong = toml::from_str::<Sessions>(text).unwrap_err();
        assert!(
            wrong.message().contains("`X Session` is no name of a header"),
            "{wrong}"
        );
    }
}
