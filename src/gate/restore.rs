//! Mapping our tokens back to the upstream's, wherever they travel to it.

use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use serde_json::{Map, Value};

use super::{
    Gate,
    recognise::{Content, Recognised},
};
use crate::{
    exchange::Exchange,
    preset::Preset,
    refusal::Refusal,
    route::Action,
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
    /// A header that can be read in two ways; a token of ours that was tampered with; a native one, where only re-signed
    /// ones are taken.
    pub(super) fn restore_bearer(
        &self,
        exchange: &mut Exchange,
        preset: &Preset,
        takes_native: bool,
    ) -> Result<Option<Map<String, Value>>, Refusal> {
        let Some((scheme, token)) = bearer(&exchange.headers)? else {
            return Ok(None);
        };
        match self.whose(token, preset)? {
            Bearer::Ours(restored) => {
                let value = HeaderValue::try_from(format!("{scheme} {}", restored.original))
                    .map_err(|_| Refusal::invalid_token("the token cannot be mapped back"))?;
                exchange.headers.insert(AUTHORIZATION, value);
                Ok(Some(restored.claims))
            }
            Bearer::Native if self.require_reissued && !takes_native => Err(self.native_refused()),
            Bearer::Native | Bearer::Foreign => Ok(None),
        }
    }

    /// Puts the upstream's tokens in the place of ours in the route's `restore` parameters. Says whose the first of them is.
    ///
    /// # Errors
    /// A token of ours that was tampered with; a native one, where the upstream would act for it and only re-signed ones
    /// are taken.
    pub(super) fn restore_parameters(&self, recognised: &mut Recognised) -> Result<Option<Bearer>, Refusal> {
        let acts_for_token = matches!(recognised.route.does, Action::Tokens | Action::Userinfo);
        let mut first = None;
        for name in &recognised.route.restore {
            let form = match &mut recognised.content {
                Content::Form(form) => Some(form),
                _ => None,
            };
            for place in [Some(&mut recognised.query), form].into_iter().flatten() {
                let Some(token) = place.get(name) else { continue };
                let bearer = self.whose(token, &recognised.preset)?;
                match &bearer {
                    Bearer::Ours(restored) => place.set(name, restored.original.as_str()),
                    Bearer::Native if acts_for_token && self.require_reissued => return Err(self.native_refused()),
                    Bearer::Native | Bearer::Foreign => {}
                }
                first.get_or_insert(bearer);
            }
        }
        Ok(first)
    }

    fn native_refused(&self) -> Refusal {
        self.metrics.native("refused");
        Refusal::native_token()
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
                if native && !self.require_reissued {
                    self.natives.took_one();
                    self.metrics.native("taken");
                }
                Ok(if native { Bearer::Native } else { Bearer::Foreign })
            }
        }
    }
}

/// Scheme and token of `Authorization`, where the scheme is one that carries an access token.
///
/// # Errors
/// Two such headers, or a token with something around it: which part counts is read differently from server to server.
fn bearer(headers: &HeaderMap) -> Result<Option<(&str, &str)>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::client(
            StatusCode::BAD_REQUEST,
            "there is more than one `Authorization` header",
        ));
    }
    let scheme = value.as_bytes().split(|b| matches!(b, b' ' | b'\t')).next();
    let carries = [&b"bearer"[..], b"dpop"]
        .iter()
        .any(|known| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(known)));
    if !carries {
        return Ok(None);
    }
    // RFC 6750 §2.1; some servers take a tab for the space.
    let token = value.to_str().ok().and_then(|text| text.split_once([' ', '\t']));
    let token = token.map(|(scheme, token)| (scheme, token.trim()));
    match token {
        Some((_, token)) if token.is_empty() || token.contains([' ', '\t', ',', ';', '"']) => {
            Err(Refusal::invalid_token("the `Authorization` header has no single token"))
        }
        Some(found) => Ok(Some(found)),
        None => Err(Refusal::invalid_token(
            "the `Authorization` header has no readable token",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<(String, String)>, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        bearer(&headers).map(|found| found.map(|(scheme, token)| (scheme.to_owned(), token.to_owned())))
    }

    #[test]
    fn one_token_is_read_however_it_is_set_apart() {
        for value in [&b"Bearer abc"[..], b"bearer  abc ", b"DPoP\tabc", b"Bearer \t abc"] {
            assert_eq!(read(&[value]).unwrap().unwrap().1, "abc", "{}", value.escape_ascii());
        }
        assert_eq!(read(&[]).unwrap(), None);
        for other in [&b"Basic eDp5"[..], b"Negotiate a, b", b"Bearers abc", b"\xff"] {
            assert_eq!(read(&[other]).unwrap(), None);
        }
    }

    #[test]
    fn what_two_servers_could_take_for_two_tokens_is_refused() {
        for values in [
            &[&b"Basic eDp5"[..], b"Bearer abc"][..],
            &[b"Bearer abc", b"Bearer abc"],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"Bearer a b"],
            &[b"Bearer a, Bearer b"],
            &[b"Bearer a;b"],
            &[b"Bearer \"a\""],
            &[b"Bearer a\xff"],
        ] {
            assert!(read(values).is_err(), "{values:?}");
        }
    }
}
