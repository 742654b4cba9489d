//! After a refusal: the tokens that the upstream already made are revoked (RFC 7009), and the outcome is recorded.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};

use super::{Gate, issued::Issued, issuers::Issuer, request::ClientAuthentication};
use crate::{audit::Entry, event::Event, form::Form};

/// What is needed to revoke the tokens of one answer.
pub(super) struct Revocation {
    /// Who issued them.
    pub(super) issuer: Arc<Issuer>,
    /// The client that they were issued to.
    pub(super) client: ClientAuthentication,
    /// What the record says of the occasion.
    pub(super) event: Event,
}

impl Gate {
    /// Revokes in a task of its own: the denial does not wait for it.
    pub(super) fn revoke_later(self: &Arc<Self>, revocation: Revocation, issued: &Issued) {
        let gate = Arc::clone(self);
        // The refresh token first: with it goes the upstream's session of this client.
        let tokens = [
            ("refresh_token", issued.refresh_token.clone()),
            ("access_token", issued.access_token.clone()),
        ];
        self.room.tasks.spawn(async move {
            for (hint, token) in tokens {
                let Some(token) = token else { continue };
                let outcome = gate.revoke(&revocation, hint, &token).await;
                let request_id = &revocation.event.context.request_id;
                if let Err(why) = &outcome {
                    tracing::warn!(request_id, "the upstream's {hint} was not revoked: {why}");
                }
                if let Err(e) = gate
                    .audit
                    .record(vec![Entry::of_revocation(&revocation.event, hint, outcome)])
                    .await
                {
                    tracing::error!(request_id, "the outcome of a revocation cannot be recorded: {e}");
                }
            }
        });
    }

    async fn revoke(&self, revocation: &Revocation, hint: &str, token: &str) -> Result<(), String> {
        let path = revocation
            .issuer
            .endpoint("revocation_endpoint")
            .ok_or_else(|| "its discovery document names no revocation endpoint".to_owned())?;
        let (mut headers, mut form) = (HeaderMap::new(), Form::default());
        form.set("token", token);
        form.set("token_type_hint", hint);
        if !revocation.client.repeat(&mut headers, &mut form) {
            return Err("the client's authentication cannot be repeated".into());
        }
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let body = form.to_urlencoded().into_bytes();
        let answer = self
            .send(Method::POST, &path, headers, body.into())
            .await
            .map_err(|e| e.to_string())?;
        // Some providers answer 200 with an error in the body when they revoke nothing.
        if !answer.status().is_success() || answer.body().windows(7).any(|part| part == b"\"error\"") {
            return Err(format!("it answered {}", answer.status()));
        }
        Ok(())
    }
}
