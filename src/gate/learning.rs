//! Learning from live traffic (`upstream.learn`): which requests no route fits, though they look as if one should.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use http::header::CONTENT_LENGTH;
use sync_wrapper::SyncWrapper;

use super::{
    Gate,
    recognise::{Content, unread_body},
};
use crate::{
    body,
    exchange::Exchange,
    form::Form,
    json,
    preset::{Looks, Traits},
    refusal::Refusal,
    route::BodyKind,
};

/// A longer body is not looked into, in bytes.
const LOOK: usize = 64 * 1024;

/// How many routes are suggested; past that there is more to do than to read.
const MOST: usize = 200;

/// What was printed already.
#[derive(Default)]
pub(super) struct Learning(Mutex<BTreeSet<(Looks, String, String)>>);

impl Gate {
    /// Prints a `[[route]]` for a request that none fits, once, if it looks like a signup, an invitation or a token request. Names decide
    /// and are printed, values never.
    ///
    /// # Errors
    /// A small body that cannot be read.
    pub(super) async fn learn_from(&self, exchange: &Exchange, content: Content) -> Result<Content, Refusal> {
        if !self.learn || !matches!(exchange.method.as_str(), "POST" | "PUT" | "PATCH") {
            return Ok(content);
        }
        let content_type = exchange.content().ok().flatten();
        let essence = content_type.map(|content| content.essence).unwrap_or_default();
        let kind = match essence.as_str() {
            "application/x-www-form-urlencoded" => Some(BodyKind::Form),
            "multipart/form-data" => Some(BodyKind::Multipart),
            "" => None,
            other => (other == "application/json" || other.ends_with("+json")).then_some(BodyKind::Json),
        };
        let (mut form, mut document) = (Form::default(), None);
        let content = match content {
            Content::Unread(body) if kind.is_some() && is_small(exchange) => {
                let whole = body::read_all(body.into_inner(), LOOK).await;
                let bytes = whole.map_err(|e| unread_body(&e))?;
                if kind == Some(BodyKind::Form) {
                    form = Form::urlencoded(&bytes).unwrap_or_default();
                }
                document = json::parse(&bytes).ok().filter(|_| kind == Some(BodyKind::Json));
                Content::Unread(SyncWrapper::new(body::full(bytes)))
            }
            other => other,
        };
        match &content {
            Content::Form(read) => form = read.clone(),
            Content::Json(read) => document = Some(read.clone()),
            Content::Unread(_) | Content::Empty => {}
        }
        let traits = Traits::of(
            exchange.method.as_str(),
            exchange.target.path(),
            kind,
            &form,
            document.as_ref(),
        );
        if let Some(looks) = Looks::of(&traits).filter(|looks| self.learning.is_new(*looks, &traits)) {
            let route = looks.route(&traits);
            let text = format!(
                "# {} {} looks like {}\n{route}\n\n",
                traits.method,
                traits.path,
                looks.as_str()
            );
            // Nobody may be reading.
            _ = io::stdout().lock().write_all(text.as_bytes());
        }
        Ok(content)
    }
}

impl Learning {
    fn is_new(&self, looks: Looks, traits: &Traits) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST && told.insert((looks, traits.method.clone(), traits.path.clone()))
    }
}

fn is_small(exchange: &Exchange) -> bool {
    let length = exchange
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    length
        .and_then(|text| text.parse::<usize>().ok())
        .is_some_and(|length| length <= LOOK)
}
