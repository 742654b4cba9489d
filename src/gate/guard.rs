//! The net below: whatever leaves, from recognised requests or others, is watched for tokens that the upstream signed for
//! clients. One that gets this far has passed no interceptor.

mod readable;
mod watched;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body::Body as _;
use tokio::task::JoinHandle;

use self::watched::{Caught, Watched};
use super::{Gate, recognise::Recognised};
use crate::{
    audit::Entry,
    body::Body,
    event::Context,
    exchange::Exchange,
    refusal::Refusal,
    token::{self, Known, Owner, Sighting},
    upstream::Egress,
};

/// How long an answer's head waits for the beginning of its body, so that a token there still ends it as a 502 and not in
/// the middle.
const PATIENCE: Duration = Duration::from_secs(1);

/// The rule's name in the audit.
const RULE: &str = "egress_guard";

/// Tokens are told by the keys at hand and the issuers' names.
impl Known for Gate {
    fn owner(&self, kid: &str) -> Option<Owner> {
        if self.reissuer.ring().holds(kid) {
            return Some(Owner::Ours);
        }
        self.issuers.holds_key(kid).then_some(Owner::Upstream)
    }

    fn is_issuer(&self, iss: &str) -> bool {
        self.issuers.is_one(&self.parts.preset.issuer, iss)
    }
}

/// What a record of a sighting is made from. There is hardly ever one, so nothing of it is made before.
struct Occasion {
    exchange: Arc<Exchange>,
    operation: Option<String>,
    realm: Option<String>,
}

impl Gate {
    /// Asks for an answer that can be looked through: whole and not compressed.
    pub(super) fn ask_readably(&self, exchange: &mut Exchange) {
        if self.egress != Egress::Off {
            readable::ask(exchange);
        }
    }

    /// Looks through the head of an answer, and through its body while it streams. Adds no bytes, takes none away.
    ///
    /// A token in the head or at the beginning of the body makes it a refusal; further on it ends the body with an error.
    /// Either way nothing of the token was sent, and its record is written first.
    ///
    /// # Errors
    /// With `egress = "block"`: a token of the upstream's own, or a body that cannot be looked through.
    pub(super) async fn guard(
        self: &Arc<Self>,
        exchange: &Arc<Exchange>,
        recognised: Option<&Recognised>,
        answer: Response<Body>,
    ) -> Result<Response<Body>, Refusal> {
        if self.egress == Egress::Off {
            return Ok(answer);
        }
        let blocks = self.egress == Egress::Block;
        let occasion = Occasion {
            exchange: Arc::clone(exchange),
            operation: recognised.map(|recognised| recognised.route.name.clone()),
            realm: recognised.and_then(|recognised| recognised.captures.get("realm").map(str::to_owned)),
        };
        if let Some((place, sighting)) = self.sight_in(answer.headers()) {
            let recorded = self.sighted(occasion, sighting, &place);
            if blocks {
                _ = recorded.await;
                return Err(refused(answer.headers()));
            }
            return Ok(answer);
        }
        if answer.body().is_end_stream() || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        if let Some(coding) = readable::unreadable_coding(answer.headers()) {
            if blocks {
                return Err(Refusal::upstream(
                    StatusCode::BAD_GATEWAY,
                    format!(
                        "the upstream compressed its answer ({coding}) though that was not asked for, so it cannot be looked through for tokens; turn compression off there, or set `egress` in [upstream]"
                    ),
                )
                .like(answer.headers()));
            }
            tracing::warn!(
                path = exchange.target.path(),
                "a compressed answer cannot be looked through for tokens and passes"
            );
            return Ok(answer);
        }

        let waits = blocks && !is_event_stream(answer.headers());
        let (head, body) = answer.into_parts();
        let report = {
            let gate = Arc::clone(self);
            move |sighting, place: &str| gate.sighted(occasion, sighting, place)
        };
        let mut watched = Watched::new(body, Arc::clone(self), blocks, Box::new(report));
        if waits && let Ok(Err(Caught)) = tokio::time::timeout(PATIENCE, watched.begin()).await {
            return Err(refused(&head.headers));
        }
        Ok(Response::from_parts(head, Body::new(watched)))
    }

    /// The first token in a header, and which.
    fn sight_in(self: &Arc<Self>, headers: &HeaderMap) -> Option<(String, Sighting)> {
        headers.iter().find_map(|(name, value)| {
            let sighting = token::sight(value.as_bytes(), &**self)?;
            Some((format!("the header `{name}`"), sighting))
        })
    }

    /// Says loudly that a token was found, and records it; the task ends when the record is on disk.
    fn sighted(self: &Arc<Self>, occasion: Occasion, sighting: Sighting, place: &str) -> JoinHandle<()> {
        let gate = Arc::clone(self);
        let (method, path) = (&occasion.exchange.method, occasion.exchange.target.path());
        let context = gate.circumstances(&occasion);
        let blocks = gate.egress == Egress::Block;
        let done = if blocks { "was stopped" } else { "passes" };
        gate.metrics.sighted(if blocks { "blocked" } else { "passed" });
        let (kid, typ) = (Shown(sighting.kid.as_deref()), Shown(sighting.typ.as_deref()));
        let found =
            format!("a token of the upstream's own (kid {kid}, typ {typ}) {done} in {place} of {method} {path}");
        tracing::error!(
            request_id = %context.request_id,
            kid = %kid,
            typ = %typ,
            place,
            "{found}: no interceptor was asked about it; a route for this request is missing"
        );
        let entry = if blocks {
            Entry::of_refusal(RULE, found)
        } else {
            Entry::of_failure(RULE, found)
        };
        self.room.tasks.spawn(async move {
            if let Err(e) = gate.audit.record(vec![entry.within(&context)]).await {
                tracing::error!(request_id = %context.request_id, "a stray token cannot be recorded: {e}");
            }
        })
    }

    fn circumstances(&self, occasion: &Occasion) -> Context {
        Context {
            operation: occasion.operation.clone(),
            realm: occasion.realm.clone(),
            ..self.context(&occasion.exchange, "")
        }
    }
}

fn refused(headers: &HeaderMap) -> Refusal {
    Refusal::unserved(
        "the provider's answer holds a token that did not pass this proxy's checks, so the answer is not passed on",
    )
    .like(headers)
}

/// Events may be far between, and the first of them is not waited for.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|name| {
        name.get(..17)
            .is_some_and(|essence| essence.eq_ignore_ascii_case(b"text/event-stream"))
    })
}

/// What a header says of itself, cut and escaped.
struct Shown<'a>(Option<&'a str>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = self.0 else { return f.write_str("none") };
        let cut: String = text.chars().take(100).collect();
        write!(f, "{cut:?}")
    }
}
