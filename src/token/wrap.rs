//! Tokens that are no JWTs, sealed whole: `tg1.` and the upstream's token with what has to be remembered of it.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    fields::{is_padding, pad, put_bytes, put_number, take_number, take_text},
    sealer::{Purpose, Sealer, Shut},
};
use crate::{
    json,
    verdict::{Claims, Remembered},
};

/// How every wrap begins. What begins so and does not open is a forgery.
pub const PREFIX: &str = "tg1.";

/// A token of the upstream, and what is remembered with it. Sealed as one, so that neither comes without the other.
#[derive(Clone, PartialEq)]
pub enum Wrap {
    /// An opaque access token.
    Access(AccessWrap),
    /// A refresh token.
    Refresh(RefreshWrap),
}

/// An opaque access token.
#[derive(Clone, Default, PartialEq)]
pub struct AccessWrap {
    /// The upstream's token.
    pub original: String,
    /// The claims that interceptors added to it: introspection shows them.
    pub added: Map<String, Value>,
    /// Those that they added to the ID token: userinfo shows them.
    pub told: Map<String, Value>,
    /// What is known of the token itself, from what came with it: `iss`, `sub`, `client_id`.
    pub claims: Map<String, Value>,
}

/// A refresh token, with the verdicts that count again when it is used.
#[derive(Clone, Default, PartialEq)]
pub struct RefreshWrap {
    /// The upstream's token.
    pub original: String,
    /// What it came with.
    pub memory: Memory,
}

/// Verdicts, and what they were about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Who issued the tokens.
    pub issuer: String,
    /// The client that they were issued to, where known.
    pub client_id: Option<String>,
    /// Whose they are, where known.
    pub subject: Option<String>,
    /// Every ALLOW that is not asked for again.
    pub verdicts: Vec<Remembered>,
}

impl Sealer {
    /// Seals a token with its memory. `None` only where the machine has no random numbers.
    pub(super) fn wrap(&self, wrap: &Wrap, now: Timestamp) -> Option<String> {
        let kind = wrap.kind();
        let sealed = self.seal_bytes(Purpose::Wrap, wrap.encode(), &around(kind), now)?;
        Some(format!("{PREFIX}{kind}{sealed}"))
    }

    /// Opens a token that begins with [`PREFIX`].
    pub(super) fn unwrap(&self, raw: &str) -> Result<Wrap, Shut> {
        let sealed = raw.strip_prefix(PREFIX).ok_or(Shut)?;
        let kind = sealed.chars().next().ok_or(Shut)?;
        let sealed = sealed.strip_prefix(kind).ok_or(Shut)?;
        let opened = self.open_bytes(Purpose::Wrap, sealed, &around(kind))?;
        Wrap::decode(kind, &opened).ok_or(Shut)
    }
}

impl Wrap {
    fn kind(&self) -> char {
        match self {
            Self::Access(_) => ACCESS,
            Self::Refresh(_) => REFRESH,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Access(wrap) => {
                put_bytes(&mut out, wrap.original.as_bytes());
                for claims in [&wrap.added, &wrap.told, &wrap.claims] {
                    put_object(&mut out, claims);
                }
            }
            Self::Refresh(RefreshWrap { original, memory }) => {
                for text in [original, &memory.issuer] {
                    put_bytes(&mut out, text.as_bytes());
                }
                for text in [&memory.client_id, &memory.subject] {
                    put_number(&mut out, usize::from(text.is_some()));
                    put_bytes(&mut out, text.as_deref().unwrap_or_default().as_bytes());
                }
                put_number(&mut out, memory.verdicts.len());
                for Remembered { interceptor, claims } in &memory.verdicts {
                    put_bytes(&mut out, interceptor.as_bytes());
                    for claims in [&claims.both, &claims.access_token, &claims.id_token] {
                        put_object(&mut out, claims);
                    }
                }
            }
        }
        pad(&mut out, BLOCK);
        out
    }

    fn decode(kind: char, mut rest: &[u8]) -> Option<Self> {
        let rest = &mut rest;
        let wrap = match kind {
            ACCESS => Self::Access(AccessWrap {
                original: take_text(rest)?,
                added: take_object(rest)?,
                told: take_object(rest)?,
                claims: take_object(rest)?,
            }),
            REFRESH => Self::Refresh(RefreshWrap {
                original: take_text(rest)?,
                memory: Memory {
                    issuer: take_text(rest)?,
                    client_id: take_optional(rest)?,
                    subject: take_optional(rest)?,
                    verdicts: (0..take_number(rest)?)
                        .map(|_| {
                            Some(Remembered {
                                interceptor: take_text(rest)?,
                                claims: Claims {
                                    both: take_object(rest)?,
                                    access_token: take_object(rest)?,
                                    id_token: take_object(rest)?,
                                },
                            })
                        })
                        .collect::<Option<_>>()?,
                },
            }),
            _ => return None,
        };
        is_padding(rest, BLOCK).then_some(wrap)
    }
}

/// A token is a credential and is never printed.
impl std::fmt::Debug for Wrap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Access(_) => "Wrap::Access(***)",
            Self::Refresh(_) => "Wrap::Refresh(***)",
        })
    }
}

/// What the seal is bound to beside its contents: the form and the kind of the token.
fn around(kind: char) -> Vec<u8> {
    format!("{PREFIX}{kind}").into_bytes()
}

fn put_object(out: &mut Vec<u8>, object: &Map<String, Value>) {
    let text = serde_json::to_vec(object).unwrap_or_default();
    put_bytes(out, &text);
}

fn take_object(rest: &mut &[u8]) -> Option<Map<String, Value>> {
    match json::parse(take_text(rest)?.as_bytes()) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

fn take_optional(rest: &mut &[u8]) -> Option<Option<String>> {
    let is_there = take_number(rest)? == 1;
    let text = take_text(rest)?;
    Some(is_there.then_some(text))
}

const ACCESS: char = 'a';
const REFRESH: char = 'r';
const BLOCK: usize = 64;

#[cfg(test)]
mod tests;
