//! Finds the upstream's tokens in what streams by: compact JWSs (RFC 7515 §7.1) that it signed for clients.
//!
//! Looks for `eyJ`, with which a JOSE header begins, and reads on only from there. A token is found wherever it stands and
//! however it is cut into chunks; one that is encoded once more (base64 of base64, compression) is not.

use std::sync::Arc;

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Deserializer, Map, Value};

use super::jws::MAX_TOKEN;

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A key of Tollgate's.
    Ours,
    /// A key that the upstream signs tokens with.
    Upstream,
}

/// What a token is told by.
pub trait Known {
    /// Whose key this `kid` names, if anybody's.
    fn owner(&self, kid: &str) -> Option<Owner>;
    /// Whether an `iss` is one of the upstream's.
    fn is_issuer(&self, iss: &str) -> bool;
}

impl<K: Known> Known for Arc<K> {
    fn owner(&self, kid: &str) -> Option<Owner> {
        (**self).owner(kid)
    }

    fn is_issuer(&self, iss: &str) -> bool {
        (**self).is_issuer(iss)
    }
}

impl<K: Known> Known for &K {
    fn owner(&self, kid: &str) -> Option<Owner> {
        (**self).owner(kid)
    }

    fn is_issuer(&self, iss: &str) -> bool {
        (**self).is_issuer(iss)
    }
}

/// A token of the upstream that was found, by what its header says. The token itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The header's `kid`.
    pub kid: Option<String>,
    /// The header's `typ`.
    pub typ: Option<String>,
}

/// Looks through one stream of bytes, and holds back what may be the beginning of a token until it is known.
///
/// Holds at most a header and a payload: 16 KiB, and 256 KiB where the key is not known; what is longer is no token.
pub struct Scanner<K> {
    known: K,
    /// From the first byte of what may be a token; empty while nothing may.
    held: BytesMut,
    /// How many bytes of `held` were let go before they could be told from any others: `e` or `ey`.
    gone: usize,
    progress: Progress,
    /// The last two bytes that were let go.
    tail: [u8; 2],
}

/// How far a candidate was read.
#[derive(Default)]
struct Progress {
    /// How many of its bytes are known to belong to the part that is being read.
    looked: usize,
    /// The header, once it was read and more must be known.
    header: Option<(Sighting, usize)>,
}

enum Judged {
    /// More bytes are needed.
    Open(Progress),
    /// No token of the upstream. Says how many of its bytes are base64url.
    Harmless(usize),
}

impl<K: Known> Scanner<K> {
    /// A scanner at the beginning of a stream.
    pub fn new(known: K) -> Self {
        Self {
            known,
            held: BytesMut::new(),
            gone: 0,
            progress: Progress::default(),
            tail: [0; 2],
        }
    }

    /// Takes the next bytes and gives those that may go on; none, while all may belong to a token.
    ///
    /// # Errors
    /// A token of the upstream. Nothing of it was let go, save the `ey` that it may begin with.
    pub fn feed(&mut self, chunk: Bytes) -> Result<Bytes, Sighting> {
        if !self.held.is_empty() {
            self.held.extend_from_slice(&chunk);
            return self.advance(0, false);
        }
        let gone = match (self.tail, &*chunk) {
            ([b'e', b'y'], [b'J', ..]) => 2,
            ([_, b'e'], [b'y', b'J', ..]) => 1,
            _ => 0,
        };
        let at = match memmem::find(&chunk, MARK) {
            _ if gone > 0 => 0,
            Some(at) => at,
            None => {
                self.remember(&chunk);
                return Ok(chunk);
            }
        };
        self.gone = gone;
        self.held.extend(MARK.iter().take(gone));
        self.held.extend_from_slice(&chunk);
        self.advance(at, false)
    }

    /// The end of the stream: gives what was held.
    ///
    /// # Errors
    /// As for [`Scanner::feed`].
    pub fn finish(&mut self) -> Result<Bytes, Sighting> {
        if self.held.is_empty() {
            return Ok(Bytes::new());
        }
        self.advance(0, true)
    }

    /// Gives up: what is held, a token or not.
    pub fn release(&mut self) -> Bytes {
        self.let_go(self.held.len())
    }

    /// What tokens are told by.
    pub fn known(&self) -> &K {
        &self.known
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.held.len() - self.gone
    }

    /// Judges one candidate after the other, the first of them at `at`, until one needs more bytes.
    fn advance(&mut self, mut at: usize, ended: bool) -> Result<Bytes, Sighting> {
        loop {
            let progress = std::mem::take(&mut self.progress);
            let candidate = self.held.get(at..).unwrap_or_default();
            match judge(candidate, progress, ended, &self.known)? {
                Judged::Open(progress) => {
                    self.progress = progress;
                    return Ok(self.let_go(at));
                }
                Judged::Harmless(run) => {
                    let behind = candidate.get(1..).unwrap_or_default();
                    let Some(next) = memmem::find(behind, MARK) else {
                        return Ok(self.let_go(self.held.len()));
                    };
                    self.progress.looked = run.saturating_sub(next + 1);
                    at += next + 1;
                }
            }
        }
    }

    fn let_go(&mut self, until: usize) -> Bytes {
        let mut free = self.held.split_to(until);
        let gone = self.gone.min(until);
        self.gone -= gone;
        let free = free.split_off(gone).freeze();
        self.remember(&free);
        free
    }

    fn remember(&mut self, free: &[u8]) {
        self.tail = match (self.tail, free) {
            (_, [.., a, b]) => [*a, *b],
            ([_, a], [b]) => [a, *b],
            (tail, []) => tail,
        };
    }
}

/// Looks through bytes that are all there.
pub fn sight<K: Known>(bytes: &[u8], known: &K) -> Option<Sighting> {
    memmem::find(bytes, MARK)?;
    let mut scanner = Scanner::new(known);
    let found = scanner.feed(Bytes::copy_from_slice(bytes)).err();
    found.or_else(|| scanner.finish().err())
}

/// Judges what begins at a mark.
fn judge(bytes: &[u8], mut progress: Progress, ended: bool, known: &impl Known) -> Result<Judged, Sighting> {
    let (sighting, start) = match progress.header.take() {
        Some(header) => header,
        None => {
            let run = run(bytes, progress.looked);
            if run > MAX_HEADER {
                return Ok(Judged::Harmless(run));
            }
            if run == bytes.len() && !ended {
                progress.looked = run;
                return Ok(Judged::Open(progress));
            }
            let Some(sighting) = bytes.get(..run).and_then(read_header) else {
                return Ok(Judged::Harmless(run));
            };
            match sighting.kid.as_deref().and_then(|kid| known.owner(kid)) {
                // Whatever separates the parts: a dot may be escaped.
                Some(Owner::Upstream) => return Err(sighting),
                Some(Owner::Ours) => return Ok(Judged::Harmless(run)),
                None if bytes.get(run) != Some(&b'.') => return Ok(Judged::Harmless(run)),
                None => {
                    progress.looked = 0;
                    (sighting, run + 1)
                }
            }
        }
    };
    // Not a key that we know of, so it counts whose name is on the token.
    let payload = bytes.get(start..).unwrap_or_default();
    let run = run(payload, progress.looked);
    if run == payload.len() && !ended && run <= MAX_TOKEN {
        progress.looked = run;
        progress.header = Some((sighting, start));
        return Ok(Judged::Open(progress));
    }
    let claims = payload.get(..run).filter(|_| run <= MAX_TOKEN).and_then(object);
    let issuer = claims.as_ref().and_then(|claims| claims.get("iss")?.as_str());
    if issuer.is_some_and(|issuer| known.is_issuer(issuer)) {
        return Err(sighting);
    }
    Ok(Judged::Harmless(start - 1))
}

/// How many bytes are base64url, `looked` of which are known to be.
fn run(bytes: &[u8], looked: usize) -> usize {
    let new = bytes.get(looked..).unwrap_or_default();
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    looked + new.iter().take_while(|byte| is_base64url(byte)).count()
}

/// The header of a JWS that others than its issuer can verify. What the upstream signs for itself (HMAC) and what is
/// encrypted is none.
fn read_header(run: &[u8]) -> Option<Sighting> {
    let header = object(run)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let algorithm = text("alg")?;
    if algorithm.starts_with("HS") || algorithm.eq_ignore_ascii_case("none") || header.contains_key("enc") {
        return None;
    }
    Some(Sighting {
        kid: text("kid").map(str::to_owned),
        typ: text("typ").map(str::to_owned),
    })
}

/// The JSON object at the beginning of what is encoded. Reads as the most lenient party would, and no further than it is
/// JSON.
fn object(run: &[u8]) -> Option<Map<String, Value>> {
    // One character alone at the end says nothing.
    let whole = run.get(..run.len() - usize::from(run.len() % 4 == 1))?;
    // Most are short; and where the beginning is no JSON, what may follow it need not be decoded.
    let beginning = whole.get(..BEGINNING).filter(|_| whole.len() > BEGINNING);
    match beginning.map(leading_object) {
        Some(Err(error)) if error.is_eof() => leading_object(whole).ok(),
        Some(found) => found.ok(),
        None => leading_object(whole).ok(),
    }
}

fn leading_object(encoded: &[u8]) -> serde_json::Result<Map<String, Value>> {
    let decoded = LENIENT.decode(encoded).unwrap_or_default();
    Map::deserialize(&mut Deserializer::from_slice(&decoded))
}

const MARK: &[u8] = b"eyJ";
const MAX_HEADER: usize = 16 * 1024;
/// A multiple of four, so that it decodes by itself.
const BEGINNING: usize = 1024;
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests;
