//! Sessions of the provider's own: found in its answers, and asked about before a client has them.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, COOKIE},
};
use serde_json::Value;

use super::Gate;
use crate::{
    audit::Entry,
    body::{self, Body},
    event::{Context, Event, TokenClaims, Trigger},
    facts::{self, Materials},
    json,
    preset::{Preset, Sessions},
    refusal::Refusal,
    route::Captures,
};

/// The longest JSON answer that is looked through for a session, in bytes.
const MOST: usize = 1024 * 1024;

/// A session in an answer, before it is known whose it is.
struct Found<'a> {
    cookies: Vec<String>,
    token: Option<&'a str>,
}

impl Gate {
    /// Looks for a session in an answer, and asks about it. What has none is handed back as it came.
    ///
    /// # Errors
    /// DENY; an answer that cannot be looked through; a provider that does not say whose session it is.
    pub(super) async fn sessions(
        self: &Arc<Self>,
        preset: Arc<Preset>,
        context: Context,
        answer: Response<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(sessions) = &preset.sessions else {
            return Ok(answer);
        };
        let cookies = sessions.cookies(answer.headers());
        let (answer, document) = looked_through(answer).await?;
        let found = Found {
            cookies,
            token: document.as_ref().and_then(|document| sessions.member(document)),
        };
        if found.cookies.is_empty() && found.token.is_none() {
            return Ok(answer);
        }
        let said = document
            .as_ref()
            .and_then(|document| sessions.within(document))
            .cloned();
        let session = match said {
            Some(session) => session,
            None => match self.session_of(sessions, &found).await? {
                Some(session) => session,
                None => return Ok(answer),
            },
        };
        let event = event_about(sessions, context, &session);
        match self.ask(&event, &TokenClaims::default(), &[]).await {
            Ok(allowed) => {
                if !allowed.additions.is_empty() {
                    tracing::info!(
                        request_id = %event.context.request_id,
                        "the claims of an ALLOW were left out: this session is the provider's own and no token that could have them"
                    );
                }
                Ok(answer)
            }
            Err(refusal) => {
                self.end_later(&preset, event, found.token);
                Err(refusal.like(answer.headers()))
            }
        }
    }

    /// The session itself, from the provider; `None` while it takes it for none.
    async fn session_of(&self, sessions: &Sessions, found: &Found<'_>) -> Result<Option<Value>, Refusal> {
        let unusable = |why: &str| {
            Refusal::upstream(
                StatusCode::BAD_GATEWAY,
                format!("the upstream does not say whose session it made: {why}"),
            )
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (name, value) = match found.token {
            Some(token) => (sessions.header.clone(), token.to_owned()),
            None => (COOKIE, found.cookies.join("; ")),
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| unusable("what it made fits no header"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
        let answer = self
            .send(Method::GET, sessions.who.as_str(), headers, Bytes::new())
            .await;
        let answer = answer.map_err(super::away)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            status => return Err(unusable(&format!("it answered {status}"))),
        }
        let session = json::parse(answer.body()).map_err(|e| unusable(&e.to_string()))?;
        match sessions.is_one(&session) {
            true => Ok(Some(session)),
            false => Err(unusable("its answer has no user")),
        }
    }

    /// Ends a denied session in a task of its own, and records what came of it.
    fn end_later(self: &Arc<Self>, preset: &Arc<Preset>, event: Event, token: Option<&str>) {
        let Some(token) = token.map(str::to_owned) else { return };
        let (gate, preset) = (Arc::clone(self), Arc::clone(preset));
        self.room.tasks.spawn(async move {
            let outcome = gate.end(&preset, &token).await;
            let request_id = &event.context.request_id;
            if let Err(why) = &outcome {
                tracing::warn!(request_id, "the upstream's session was not ended: {why}");
            }
            let entry = Entry::of_revocation(&event, "session", outcome);
            if let Err(e) = gate.audit.record(vec![entry]).await {
                tracing::error!(request_id, "the end of a session cannot be recorded: {e}");
            }
        });
    }

    async fn end(&self, preset: &Preset, token: &str) -> Result<(), String> {
        let call = preset.sessions.as_ref().and_then(|sessions| sessions.end.as_ref());
        let call = call.ok_or_else(|| "the preset does not say how".to_owned())?;
        let values: Captures = [("token", token)].into_iter().collect();
        let filled = || Some((call.target(&values)?, call.content(&values)?));
        let (target, content) = filled().ok_or_else(|| "the preset's call has a value that is not known".to_owned())?;
        let method = Method::from_bytes(call.method.as_bytes()).map_err(|e| e.to_string())?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self
            .send(method, &target, headers, content.into())
            .await
            .map_err(|e| e.to_string())?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(format!("it answered {}", answer.status())),
        }
    }
}

fn event_about(sessions: &Sessions, mut context: Context, session: &Value) -> Event {
    let materials = Materials {
        json: Some(session),
        ..Materials::default()
    };
    let data = facts::gather_all(&sessions.facts, &materials, &mut context);
    Event {
        trigger: Trigger::PreSessionCreation,
        context,
        data,
    }
}

/// The answer, with its document where it has one.
///
/// # Errors
/// A JSON answer that is compressed, too long, or could be read in two ways.
async fn looked_through(answer: Response<Body>) -> Result<(Response<Body>, Option<Value>), Refusal> {
    let unreadable = |why: String| {
        Refusal::upstream(
            StatusCode::BAD_GATEWAY,
            format!("the upstream's answer cannot be looked through for a session: {why}"),
        )
    };
    if !is_json(answer.headers()) {
        return Ok((answer, None));
    }
    if answer.headers().contains_key(CONTENT_ENCODING) {
        return Err(unreadable("it is compressed".into()));
    }
    let (head, body) = answer.into_parts();
    let bytes = body::read_all(body, MOST)
        .await
        .map_err(|e| unreadable(e.to_string()))?;
    // To HEAD and with 204 there is none, whatever the head says.
    let document = match bytes.is_empty() {
        true => None,
        false => Some(json::parse(&bytes).map_err(|e| unreadable(e.to_string()))?),
    };
    Ok((Response::from_parts(head, body::full(bytes)), document))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type
        .and_then(|value| value.split([';', ',']).next())
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}
