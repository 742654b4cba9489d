//! Mapping our tokens back to the upstream's, wherever they travel to it.

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use serde_json::{Map, Value};

use super::{
    Gate,
    recognise::{Content, Recognised},
};
use crate::{
    exchange::Exchange,
    preset::Preset,
    refusal::Refusal,
    token::{self, Restored, Unrestorable},
};

/// Whose token a string is.
pub(super) enum Bearer {
    /// Ours, mapped back.
    Ours(Restored),
    /// One that the upstream signed for clients, presented without having been re-signed.
    Native,
    /// Anything else: opaque, another issuer's, one that only the upstream can read.
    Foreign,
}

impl Gate {
    /// Puts the upstream's token in the place of ours in `Authorization` (RFC 6750 §2.1, RFC 9449 §7.1).
    ///
    /// # Errors
    /// A token of ours that was tampered with; a native one, where only re-signed ones are taken.
    pub(super) fn restore_bearer(
        &self,
        exchange: &mut Exchange,
        preset: &Preset,
    ) -> Result<Option<Map<String, Value>>, Refusal> {
        let Some((scheme, token)) = bearer(&exchange.headers) else {
            return Ok(None);
        };
        match self.whose(token, preset)? {
            Bearer::Ours(restored) => {
                let value = HeaderValue::try_from(format!("{scheme} {}", restored.original))
                    .map_err(|_| Refusal::invalid_token("the token cannot be mapped back"))?;
                exchange.headers.insert(AUTHORIZATION, value);
                Ok(Some(restored.claims))
            }
            Bearer::Native if self.require_reissued => Err(Refusal::native_token()),
            Bearer::Native | Bearer::Foreign => Ok(None),
        }
    }

    /// Puts the upstream's tokens in the place of ours in the route's `restore` parameters. Gives the claims that were
    /// added to the first of them.
    ///
    /// # Errors
    /// A token of ours that was tampered with.
    pub(super) fn restore_parameters(&self, recognised: &mut Recognised) -> Result<Option<Bearer>, Refusal> {
        let mut first = None;
        for name in &recognised.route.restore {
            let form = match &mut recognised.content {
                Content::Form(form) => Some(form),
                _ => None,
            };
            for place in [Some(&mut recognised.query), form].into_iter().flatten() {
                let Some(token) = place.get(name) else { continue };
                let bearer = self.whose(token, &recognised.preset)?;
                if let Bearer::Ours(restored) = &bearer {
                    place.set(name, restored.original.as_str());
                }
                first.get_or_insert(bearer);
            }
        }
        Ok(first)
    }

    fn whose(&self, token: &str, preset: &Preset) -> Result<Bearer, Refusal> {
        match self.reissuer.restore(token) {
            Ok(restored) => Ok(Bearer::Ours(restored)),
            Err(Unrestorable::Forged) => Err(Refusal::invalid_token(
                "the token was not issued by this proxy in this form",
            )),
            Err(Unrestorable::NotOurs) => {
                let native =
                    token::claimed_issuer(token).is_some_and(|issuer| self.issuers.is_one(&preset.issuer, &issuer));
                Ok(if native { Bearer::Native } else { Bearer::Foreign })
            }
        }
    }
}

/// Scheme and token of `Authorization`, where the scheme is one that carries an access token.
fn bearer(headers: &HeaderMap) -> Option<(&str, &str)> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let carries = ["bearer", "dpop"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    carries.then(|| (scheme, token.trim()))
}
