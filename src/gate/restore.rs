//! Mapping our tokens back to the upstream's, wherever they travel to it.

use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};

use super::{
    Gate,
    issued::REFRESH_TOKEN_TYPE,
    recognise::{Content, Recognised},
    request::TokenRequest,
};
use crate::{
    exchange::Exchange,
    preset::Preset,
    refusal::Refusal,
    route::Action,
    token::{self, Memory, Restored, Unrestorable},
};

/// Whose token a string is.
pub(super) enum Bearer {
    /// Ours, mapped back.
    Ours(Box<Restored>),
    /// One that the upstream signed for clients, presented without having been re-signed.
    Native,
    /// Anything else: opaque, another issuer's, one that only the upstream can read.
    Foreign,
}

/// The tokens in a request's parameters.
#[derive(Default)]
pub(super) struct Presented {
    /// Whose the first of them is.
    pub(super) first: Option<Bearer>,
    /// What came sealed in the `refresh_token`.
    pub(super) memory: Option<Memory>,
}

/// Which kind of token belongs somewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Access,
    Refresh,
    Either,
}

impl Place {
    fn of(parameter: &str, recognised: &Recognised) -> Self {
        match parameter {
            "refresh_token" => Self::Refresh,
            // RFC 7009 §2.1 and RFC 7662 §2.1: the hint is only a hint.
            "token" => Self::Either,
            "subject_token" | "actor_token" => {
                let mut parameters = recognised.parameters();
                let of_type = parameters.find(|(name, _)| name.strip_suffix("_type") == Some(parameter));
                match of_type {
                    Some((_, REFRESH_TOKEN_TYPE)) => Self::Refresh,
                    _ => Self::Access,
                }
            }
            _ => Self::Access,
        }
    }

    fn takes(self, restored: &Restored) -> bool {
        match self {
            Self::Access => restored.memory.is_none(),
            Self::Refresh => restored.memory.is_some(),
            Self::Either => true,
        }
    }
}

/// A token of ours that is none, or does not belong where it was presented: the same answer, whatever the cause. At the token
/// endpoint RFC 6749 §5.2 has a word for it, at which clients begin anew.
pub(super) fn forged(at: Action) -> Refusal {
    match at {
        Action::Tokens => Refusal::rule("invalid_grant", NOT_OURS),
        _ => Refusal::invalid_token(NOT_OURS),
    }
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
    ) -> Result<Option<Restored>, Refusal> {
        let Some((scheme, token)) = bearer(&exchange.headers)? else {
            return Ok(None);
        };
        let bearer = self.whose(token, preset, Place::Access);
        match bearer.ok_or_else(|| Refusal::invalid_token(NOT_OURS))? {
            Bearer::Ours(restored) => {
                if scheme.eq_ignore_ascii_case("dpop") || restored.is_bound_by_dpop() {
                    return Err(Refusal::proof_of_another_token());
                }
                let value = HeaderValue::try_from(format!("{scheme} {}", restored.original))
                    .map_err(|_| Refusal::invalid_token("the token cannot be mapped back"))?;
                exchange.headers.insert(AUTHORIZATION, value);
                Ok(Some(*restored))
            }
            Bearer::Native if self.require_reissued && !takes_native => Err(self.native_refused()),
            Bearer::Native | Bearer::Foreign => Ok(None),
        }
    }

    /// Puts the upstream's tokens in the place of ours in the route's `restore` parameters. Says whose they are.
    ///
    /// # Errors
    /// A token of ours that was tampered with, or is of another kind or another client's; a native one, where the upstream would
    /// act for it and only re-signed ones are taken.
    pub(super) fn restore_parameters(
        &self,
        exchange: &Exchange,
        recognised: &mut Recognised,
    ) -> Result<Presented, Refusal> {
        let does = recognised.route.does;
        let acts_for_token = matches!(does, Action::Tokens | Action::Userinfo);
        let mut presented = Presented::default();
        for name in &recognised.route.restore {
            let expected = Place::of(name, recognised);
            let form = match &mut recognised.content {
                Content::Form(form) => Some(form),
                _ => None,
            };
            for place in [Some(&mut recognised.query), form].into_iter().flatten() {
                let Some(token) = place.get(name) else { continue };
                let bearer = self.whose(token, &recognised.preset, expected);
                let bearer = bearer.ok_or_else(|| forged(does))?;
                match &bearer {
                    Bearer::Ours(restored) => {
                        if name == "access_token" && restored.is_bound_by_dpop() {
                            return Err(Refusal::proof_of_another_token());
                        }
                        place.set(name, restored.original.as_str());
                    }
                    // Where nothing has to be remembered with them, refresh tokens are the upstream's own.
                    Bearer::Native if acts_for_token && self.require_reissued && expected != Place::Refresh => {
                        return Err(self.native_refused());
                    }
                    Bearer::Native | Bearer::Foreign => {}
                }
                if let Bearer::Ours(restored) = &bearer
                    && name == "refresh_token"
                {
                    presented.memory.clone_from(&restored.memory);
                }
                presented.first.get_or_insert(bearer);
            }
        }
        let first = match &presented.first {
            Some(Bearer::Ours(restored)) => restored.memory.as_ref(),
            _ => None,
        };
        let memory = presented.memory.as_ref().or(first);
        // Whoever asks about a token need not be its client; whoever uses or ends it must be.
        if matches!(does, Action::Tokens | Action::Restore)
            && let Some(issued_to) = memory.and_then(|memory| memory.client_id.as_ref())
            && let Some(asks) = TokenRequest::read(exchange, recognised)?.client_id
            && asks != *issued_to
        {
            return Err(forged(does));
        }
        Ok(presented)
    }

    fn native_refused(&self) -> Refusal {
        self.metrics.native("refused");
        Refusal::native_token()
    }

    /// `None` for one that is forged, or does not belong here.
    fn whose(&self, token: &str, preset: &Preset, place: Place) -> Option<Bearer> {
        match self.reissuer.restore(token) {
            Ok(restored) if place.takes(&restored) => Some(Bearer::Ours(Box::new(restored))),
            Ok(_) | Err(Unrestorable::Forged) => None,
            Err(Unrestorable::NotOurs) => {
                let native =
                    token::claimed_issuer(token).is_some_and(|issuer| self.issuers.is_one(&preset.issuer, &issuer));
                if native && !self.require_reissued {
                    self.natives.took_one();
                    self.metrics.native("taken");
                }
                Some(if native { Bearer::Native } else { Bearer::Foreign })
            }
        }
    }
}

const NOT_OURS: &str = "the token was not issued by this proxy in this form";

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
