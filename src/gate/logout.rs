//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0): the upstream tells relying parties of a logout under its own
//! key, which they do not know. So it tells us; we sign the logout token again and tell them. Nobody is asked about it.

use http::{HeaderValue, Method, Response, StatusCode, header::CACHE_CONTROL};
use serde_json::Map;

use super::{
    Gate,
    recognise::{self, Content},
};
use crate::{
    body::{self, Body},
    exchange::Exchange,
    refusal::Refusal,
    route::BodyKind,
    token::{self, Kind},
    upstream::{Told, Untold, UpstreamError},
};

/// Paths that are Tollgate's own. What is below never reaches the upstream.
const OWN: &str = "/.tollgate";
const BACKCHANNEL_LOGOUT: &str = "/.tollgate/backchannel-logout";

/// Whether a path is below [`OWN`], however an upstream might read it.
pub(super) fn is_own(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.strip_prefix(OWN)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Gate {
    /// Answers a request for one of our own paths.
    pub(super) async fn serve_own(&self, exchange: &Exchange, body: Body) -> Response<Body> {
        let path = exchange.target.path().trim_end_matches('/');
        let answered = if path != BACKCHANNEL_LOGOUT {
            Err(Refusal::client(StatusCode::NOT_FOUND, "there is nothing here"))
        } else if exchange.method != Method::POST {
            Err(Refusal::client(
                StatusCode::METHOD_NOT_ALLOWED,
                "a logout token is posted",
            ))
        } else {
            self.relay_logout(exchange, body).await
        };
        answered.unwrap_or_else(|refusal| self.refuse(exchange, None, refusal))
    }

    /// Verifies the upstream's logout token as its relying party would, signs it again and hands it on. The answer is the
    /// relying party's: 200, or 400 (§2.8); 502 or 504 where it cannot be told.
    async fn relay_logout(&self, exchange: &Exchange, body: Body) -> Result<Response<Body>, Refusal> {
        let mut place = self.places.begin();
        let Content::Form(form) = recognise::read(exchange, body, &[BodyKind::Form], &mut place).await? else {
            return Err(Refusal::rule("invalid_request", "there is no logout token"));
        };
        let mut tokens = form.iter().filter(|(name, _)| *name == "logout_token");
        let (Some((_, raw)), None) = (tokens.next(), tokens.next()) else {
            return Err(Refusal::rule(
                "invalid_request",
                "there is not exactly one logout token",
            ));
        };

        // What it says of itself only picks what it must be verified against.
        let preset = self.preset().await?;
        let claimed = token::claimed_issuer(raw).zip(token::claimed_audience(raw));
        let found = claimed.and_then(|(issuer, client_id)| {
            let captures = self.issuers.captures(&preset.issuer, &issuer)?;
            Some((captures, client_id))
        });
        let Some((captures, client_id)) = found else {
            return Err(Refusal::rule(
                "invalid_request",
                "the logout token is not one of this provider's for one client",
            ));
        };
        let realm = captures.get("realm");
        let Some(party) = self.relying_parties.find(&client_id, realm) else {
            return Err(Refusal::rule(
                "invalid_request",
                format!(
                    "no [[logout]] in the configuration is for the client `{}`",
                    client_id.escape_debug()
                ),
            ));
        };
        let issuer = self.issuers.of(&preset, &captures).await.map_err(|e| match e {
            UpstreamError::Status(_) => Refusal::rule("invalid_request", "there is no such issuer"),
            other => super::away(other),
        })?;
        let kind = Kind::LogoutToken { client_id: &client_id };
        let verified = self
            .verify_one(&issuer, raw, kind)
            .await
            .map_err(|why| Refusal::rule("invalid_request", why.to_string()))?;
        let logout_token = self
            .reissuer
            .statement(&verified, &Map::new(), &[], self.clock.now())
            .map_err(|e| Refusal::ourselves(format!("the logout token cannot be signed: {e}")))?;
        self.metrics.reissued("logout_token");

        let told = self.relying_parties.tell(party, &logout_token).await;
        let request_id = &exchange.arrival.request_id;
        tracing::info!(
            request_id,
            client_id,
            realm,
            ?told,
            "a logout of `{client_id}` was relayed"
        );
        match told {
            Ok(Told::Done) => {
                let mut answer = Response::new(body::empty());
                answer
                    .headers_mut()
                    .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                Ok(answer)
            }
            Ok(Told::Refused) => Err(Refusal::rule(
                "invalid_request",
                "the relying party refused the logout token, or the logout failed there",
            )),
            Err(e) => {
                let status = match e {
                    Untold::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
                    Untold::Away(_) | Untold::Status(_) => StatusCode::BAD_GATEWAY,
                };
                Err(Refusal::upstream(
                    status,
                    format!("the relying party `{client_id}` was not told of a logout: {e}"),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_paths_are_ours_however_they_are_written() {
        for path in [
            "/.tollgate",
            "/.tollgate/",
            "/.Tollgate/x",
            "/.TOLLGATE/backchannel-logout",
        ] {
            assert!(is_own(path), "{path}");
        }
        for path in ["/", "/.tollgatex", "/x/.tollgate", "/tollgate"] {
            assert!(!is_own(path), "{path}");
        }
    }
}
