//! What an answer says. Strict: what is not exactly the contract is invalid, and never half taken.

mod claims;

pub(super) use claims::{Placing, name_findings};

use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::exchange::RawAnswer;
use crate::{
    event::Trigger,
    json,
    verdict::{Claims, Effect, Failure, FailureKind},
};

/// An answer that has been read. Its claims are not judged yet: that needs the upstream's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) effect: Effect,
    pub(super) message: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) claims: Claims,
    pub(super) organization_membership: Option<Value>,
    pub(super) annotations: Map<String, Value>,
    pub(super) warnings: Vec<String>,
}

/// Whether the endpoint is there, and what it answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// 204: ALLOW with nothing to add.
    NoContent,
    /// A JSON document follows.
    Json,
}

impl Head {
    /// Judges status, content type and encoding, before the body is read.
    pub(super) fn judge(status: StatusCode, headers: &HeaderMap) -> Result<Self, Failure> {
        if status == StatusCode::NO_CONTENT {
            return Ok(Self::NoContent);
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(down(format!("the endpoint answered {}", status.as_u16())));
        }
        if status.is_redirection() {
            return Err(invalid(format!(
                "the endpoint answered {}; redirects are not followed",
                status.as_u16()
            )));
        }
        if status != StatusCode::OK {
            return Err(invalid(format!(
                "the endpoint answered {}; only 200 and 204 are answers",
                status.as_u16()
            )));
        }
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        if !encodings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(invalid(
                "the answer has a Content-Encoding, though only `identity` was accepted",
            ));
        }
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        match (types.next(), types.next()) {
            (Some(value), None) if value.to_str().is_ok_and(is_json) => Ok(Self::Json),
            (None, _) => Err(invalid("the answer has no Content-Type; it must be application/json")),
            (Some(_), Some(_)) => Err(invalid("the answer has more than one Content-Type")),
            (Some(_), None) => Err(invalid("the answer's Content-Type is not application/json in UTF-8")),
        }
    }
}

/// Reads the body of an answer whose head was judged.
pub(super) fn document(body: &[u8]) -> Result<Value, Failure> {
    json::parse(body).map_err(|error| invalid(format!("the answer is not one JSON document: {error}")))
}

/// Reads a 200's body as a consult does, and tells what it decides at this trigger. Whether its claims fit the upstream's tokens
/// is not judged.
///
/// # Errors
/// Why it is no answer.
pub fn decision(answer: &RawAnswer, trigger: Trigger) -> Result<Effect, Failure> {
    Ok(Answer::read(&document(&answer.body)?, trigger)?.effect)
}

impl Answer {
    /// 204.
    pub(super) fn allow() -> Self {
        Self {
            effect: Effect::Allow,
            message: None,
            reason: None,
            claims: Claims::default(),
            organization_membership: None,
            annotations: Map::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads the members of the contract; others are left alone, since the contract may grow.
    pub(super) fn read(document: &Value, trigger: Trigger) -> Result<Self, Failure> {
        let Value::Object(members) = document else {
            return Err(invalid("the answer is not a JSON object"));
        };
        let effect = match members.get("decision") {
            Some(Value::String(text)) if text == "ALLOW" => Effect::Allow,
            Some(Value::String(text)) if text == "DENY" => Effect::Deny,
            Some(_) => return Err(invalid("`decision` is neither `ALLOW` nor `DENY`")),
            None => return Err(invalid("the answer has no `decision`")),
        };
        let response = Part::of(members, "response")?;
        let error = Part::of(members, "error")?;
        let mut answer = Self {
            effect,
            message: error.text("message")?,
            reason: None,
            claims: Claims {
                both: response.claims()?,
                access_token: response.part("access_token")?.claims()?,
                id_token: response.part("id_token")?.claims()?,
            },
            organization_membership: response.membership()?,
            annotations: response.object("annotations")?.cloned().unwrap_or_default(),
            warnings: response.texts("warnings")?,
        };
        // Both are read, so that a wrong type never hides behind the other.
        let reasons = (error.text("reason")?, response.text("reason")?);
        answer.reason = reasons.0.or(reasons.1);
        if answer.effect == Effect::Deny {
            answer.claims = Claims::default();
            answer.organization_membership = None;
        } else {
            answer.fits(trigger)?;
        }
        answer.shorten();
        Ok(answer)
    }

    /// What the trigger has no use for is a mistake of the endpoint, and nothing is dropped silently.
    pub(super) fn fits(&self, trigger: Trigger) -> Result<(), Failure> {
        let claims = [
            ("response.claims", &self.claims.both, trigger.adds_claims()),
            (
                "response.access_token.claims",
                &self.claims.access_token,
                trigger.adds_claims(),
            ),
            (
                "response.id_token.claims",
                &self.claims.id_token,
                trigger == Trigger::PreSessionCreation,
            ),
        ];
        for (member, claims, fits) in claims {
            if !fits && !claims.is_empty() {
                return Err(invalid(format!("`{member}` may not be set at {trigger}")));
            }
        }
        if self.organization_membership.is_some() && trigger != Trigger::PreSignup {
            return Err(invalid(format!(
                "`response.create_organization_membership` may not be set at {trigger}"
            )));
        }
        Ok(())
    }

    fn shorten(&mut self) {
        for (member, text) in [("error.message", &mut self.message), ("reason", &mut self.reason)] {
            let Some(text) = text else { continue };
            if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
                text.truncate(end);
                self.warnings
                    .push(format!("`{member}` was cut after {MAX_TEXT} characters"));
            }
        }
        if self.effect == Effect::Allow && self.message.take().is_some() {
            self.warnings
                .push("`error.message` came with ALLOW and is shown to nobody".into());
        }
    }
}

/// An object of the answer, which may be absent or null, and its path for messages.
struct Part<'a> {
    path: String,
    members: Option<&'a Map<String, Value>>,
}

impl<'a> Part<'a> {
    fn of(members: &'a Map<String, Value>, name: &str) -> Result<Self, Failure> {
        let root = Self {
            path: String::new(),
            members: Some(members),
        };
        root.part(name)
    }

    fn part(&self, name: &str) -> Result<Self, Failure> {
        Ok(Self {
            path: self.path_of(name),
            members: self.object(name)?,
        })
    }

    /// Unlike other members, `claims` may not be null: that is no object, and hides a bug.
    fn claims(&self) -> Result<Map<String, Value>, Failure> {
        match self.members.and_then(|members| members.get("claims")) {
            None => Ok(Map::new()),
            Some(Value::Object(claims)) => Ok(claims.clone()),
            Some(_) => Err(self.wrong("claims", "an object")),
        }
    }

    fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, Failure> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => Err(self.wrong(name, "an object")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Failure> {
        let Some(value) = self.member(name) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().into_iter().flatten();
        let texts: Option<Vec<_>> = items.map(|item| item.as_str().map(str::to_owned)).collect();
        match texts {
            Some(texts) if value.is_array() => Ok(texts),
            _ => Err(self.wrong(name, "an array of strings")),
        }
    }

    fn membership(&self) -> Result<Option<Value>, Failure> {
        let part = self.part("create_organization_membership")?;
        let Some(members) = part.members else {
            return Ok(None);
        };
        let ids = [part.text("organization_id")?, part.text("external_organization_id")?];
        if ids.iter().flatten().count() != 1 {
            return Err(invalid(format!(
                "`{}` must have either `organization_id` or `external_organization_id`",
                part.path
            )));
        }
        part.texts("roles")?;
        Ok(Some(Value::Object(members.clone())))
    }

    fn member(&self, name: &str) -> Option<&'a Value> {
        self.members?.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, expected: &str) -> Failure {
        invalid(format!("`{}` is not {expected}", self.path_of(name)))
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

/// The endpoint is there and wrong.
pub(super) fn invalid(detail: impl Into<String>) -> Failure {
    Failure {
        kind: FailureKind::Invalid,
        detail: detail.into(),
    }
}

/// The endpoint gave no verdict.
pub(super) fn down(detail: impl Into<String>) -> Failure {
    Failure {
        kind: FailureKind::Down,
        detail: detail.into(),
    }
}

/// `application/json`, and if a charset is named, UTF-8 (RFC 8259 §8.1 knows no other).
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

/// Characters of a text for a user or the log; more is cut.
const MAX_TEXT: usize = 1_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(document: Value, trigger: Trigger) -> Result<Answer, String> {
        Answer::read(&document, trigger).map_err(|failure| {
            assert_eq!(failure.kind, FailureKind::Invalid);
            failure.detail
        })
    }

    #[test]
    fn members_that_are_null_are_absent_but_claims_are_not() {
        let answer = read(
            json!({"decision": "ALLOW", "response": null, "error": null}),
            Trigger::PreSignup,
        );
        assert_eq!(answer, Ok(Answer::allow()));
        let null = json!({"decision": "ALLOW", "response": {"claims": null}});
        assert_eq!(
            read(null, Trigger::PreSessionCreation).unwrap_err(),
            "`response.claims` is not an object"
        );
    }

    #[test]
    fn members_that_the_contract_does_not_know_are_tolerated() {
        let answer = read(
            json!({"decision": "ALLOW", "extra": [1], "response": {"more": {}}}),
            Trigger::PreM2mTokenCreation,
        );
        assert_eq!(answer, Ok(Answer::allow()));
    }

    #[test]
    fn a_known_member_of_another_type_is_invalid_and_named() {
        for (document, member) in [
            (json!({"decision": "ALLOW", "response": []}), "`response`"),
            (json!({"decision": "DENY", "error": "no"}), "`error`"),
            (
                json!({"decision": "DENY", "error": {"message": ["no"]}}),
                "`error.message`",
            ),
            (json!({"decision": "DENY", "error": {"reason": 1}}), "`error.reason`"),
            (
                json!({"decision": "ALLOW", "response": {"reason": {}}}),
                "`response.reason`",
            ),
            (
                json!({"decision": "ALLOW", "response": {"warnings": "w"}}),
                "`response.warnings`",
            ),
            (
                json!({"decision": "ALLOW", "response": {"warnings": [1]}}),
                "`response.warnings`",
            ),
            (
                json!({"decision": "ALLOW", "response": {"annotations": []}}),
                "`response.annotations`",
            ),
            (
                json!({"decision": "ALLOW", "response": {"access_token": 1}}),
                "`response.access_token`",
            ),
            (
                json!({"decision": "ALLOW", "response": {"id_token": {"claims": []}}}),
                "`response.id_token.claims`",
            ),
        ] {
            let detail = read(document, Trigger::PreSessionCreation).unwrap_err();
            assert!(detail.starts_with(member), "{detail}");
        }
    }

    #[test]
    fn what_a_trigger_cannot_use_is_invalid_rather_than_dropped() {
        let claims = json!({"decision": "ALLOW", "response": {"claims": {"plan": "gold"}}});
        for trigger in [Trigger::PreSignup, Trigger::PreUserInvitation] {
            assert!(read(claims.clone(), trigger).unwrap_err().contains("`response.claims`"));
        }
        let id_token = json!({"decision": "ALLOW", "response": {"id_token": {"claims": {"plan": "gold"}}}});
        assert!(read(id_token, Trigger::PreM2mTokenCreation).is_err());
        let membership = json!({"decision": "ALLOW",
            "response": {"create_organization_membership": {"organization_id": "org_1", "roles": ["member"]}}});
        assert!(
            read(membership.clone(), Trigger::PreSignup)
                .unwrap()
                .organization_membership
                .is_some()
        );
        assert!(read(membership, Trigger::PreSessionCreation).is_err());
    }

    #[test]
    fn a_membership_names_one_organization() {
        for members in [
            json!({}),
            json!({"organization_id": "a", "external_organization_id": "b"}),
            json!({"organization_id": 1}),
        ] {
            let document = json!({"decision": "ALLOW", "response": {"create_organization_membership": members}});
            assert!(read(document, Trigger::PreSignup).is_err());
        }
    }

    #[test]
    fn long_texts_are_cut_with_a_warning() {
        let document = json!({"decision": "DENY", "error": {"message": "é".repeat(2_000)}});
        let answer = read(document, Trigger::PreSignup).unwrap();
        assert_eq!(answer.message.unwrap().chars().count(), MAX_TEXT);
        assert_eq!(answer.warnings.len(), 1);
    }

    #[test]
    fn the_content_type_is_json_in_utf_8() {
        for fine in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json; profile=\"plain\"",
        ] {
            assert!(is_json(fine), "{fine}");
        }
        for wrong in [
            "text/json",
            "application/json; charset=utf-16",
            "application/problem+json",
            "application/jsonp",
            "",
        ] {
            assert!(!is_json(wrong), "{wrong}");
        }
    }
}
