//! The operator's endpoint, one path for each trigger. It answers what a test tells it and remembers what it was asked.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};
use tollgate::event::Trigger;

use super::until;

/// The secret of every interceptor here; the part behind the prefix is the key.
pub(crate) const SECRET: &str = "whsec_Y2FuYXJ5LWhvb2stc2VjcmV0LTAxMjM0NTY3ODlhYmNkZWY=";

/// What the endpoint answers.
#[derive(Clone)]
pub(crate) enum Reply {
    Allow,
    /// ALLOW with these claims for both tokens.
    Claims(Value),
    Deny(String),
    /// 200 and this document.
    Json(Value),
    /// This status, content type and body.
    Raw(u16, &'static str, String),
}

/// One event as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) endpoint: String,
    pub(crate) event: Value,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Default)]
struct Book {
    replies: HashMap<String, Reply>,
    held: HashMap<String, Arc<Semaphore>>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
pub(crate) struct Hook {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

/// Answers of one trigger that wait until this says so.
pub(crate) struct Held(Arc<Semaphore>);

impl Held {
    pub(crate) fn release(self) {
        self.0.close();
    }
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Self {
            address: listener.local_addr().unwrap(),
            book: Arc::default(),
        };
        let routes = Router::new()
            .route("/{endpoint}", post(answer))
            .with_state(hook.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        hook
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is answered to a trigger, or at an endpoint of another name.
    pub(crate) fn reply(&self, trigger: impl ToString, reply: Reply) {
        self.book().replies.insert(trigger.to_string(), reply);
    }

    pub(crate) fn deny(&self, trigger: Trigger, message: &str) {
        self.reply(trigger, Reply::Deny(message.to_owned()));
    }

    pub(crate) fn claims(&self, trigger: Trigger, claims: Value) {
        self.reply(trigger, Reply::Claims(claims));
    }

    /// From now on the endpoint takes events of this trigger and keeps its answers back.
    pub(crate) fn hold(&self, trigger: impl ToString) -> Held {
        let held = Arc::new(Semaphore::new(0));
        self.book().held.insert(trigger.to_string(), Arc::clone(&held));
        Held(held)
    }

    /// Everything that was asked, in order.
    pub(crate) fn all(&self) -> Vec<Asked> {
        self.book().asked.clone()
    }

    pub(crate) fn asked(&self, trigger: impl ToString) -> Vec<Asked> {
        let mut asked = self.all();
        asked.retain(|a| a.endpoint == trigger.to_string());
        asked
    }

    /// The last event of a trigger.
    pub(crate) fn event(&self, trigger: Trigger) -> Value {
        let asked = self.asked(trigger);
        asked
            .last()
            .unwrap_or_else(|| panic!("nobody asked about {trigger}"))
            .event
            .clone()
    }

    pub(crate) async fn was_asked(&self, trigger: Trigger) {
        until("the interceptor is asked", || async { !self.asked(trigger).is_empty() }).await;
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

async fn answer(State(hook): State<Hook>, Path(endpoint): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    if !signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let event: Value = serde_json::from_slice(&body).unwrap();
    if endpoint.parse::<Trigger>().is_ok() {
        assert_eq!(event["trigger_point"], *endpoint);
    }
    let (reply, held) = {
        let mut book = hook.book();
        book.asked.push(Asked {
            endpoint: endpoint.clone(),
            event,
            headers,
            body,
        });
        (book.replies.get(&endpoint).cloned(), book.held.get(&endpoint).cloned())
    };
    if let Some(held) = held {
        _ = held.acquire().await;
    }
    let document = match reply.unwrap_or(Reply::Allow) {
        Reply::Allow => json!({"decision": "ALLOW"}),
        Reply::Claims(claims) => json!({"decision": "ALLOW", "response": {"claims": claims}}),
        Reply::Deny(message) => json!({"decision": "DENY", "error": {"message": message}}),
        Reply::Json(document) => document,
        Reply::Raw(status, content_type, body) => {
            let status = StatusCode::from_u16(status).unwrap();
            return (status, [("content-type", content_type)], body).into_response();
        }
    };
    ([("content-type", "application/json")], document.to_string()).into_response()
}

/// Whether both sets of headers carry the signature of Standard Webhooks.
fn signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    ["interceptor", "webhook"].iter().all(|set| {
        let value = |name: &str| headers.get(format!("{set}-{name}")).and_then(|v| v.to_str().ok());
        let (Some(id), Some(timestamp), Some(signature)) = (value("id"), value("timestamp"), value("signature")) else {
            return false;
        };
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed);
        signature == format!("v1,{}", STANDARD.encode(tag))
    })
}
