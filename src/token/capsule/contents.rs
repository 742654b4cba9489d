//! What a capsule holds, in a compact binary form: the capsule travels in every header that carries the token.

use crate::token::splice::Splice;

/// What restores the upstream's token, and which claims of the outer one are additions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The upstream's protected header, byte for byte.
    pub(crate) header: Vec<u8>,
    /// The upstream's signature.
    pub(crate) signature: Vec<u8>,
    /// Takes the edits of the payload back.
    pub(crate) inverse: Vec<Splice>,
    /// The names of the claims that interceptors added.
    pub(crate) added: Vec<String>,
}

impl Contents {
    /// A version byte, then each field with its length in front, padded with zeros to a multiple of [`BLOCK`] so that
    /// the length says little about what was replaced.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_bytes(&mut out, &self.header);
        put_bytes(&mut out, &self.signature);
        put_number(&mut out, self.inverse.len());
        for splice in &self.inverse {
            put_number(&mut out, splice.offset);
            put_number(&mut out, splice.len);
            put_bytes(&mut out, splice.original.as_bytes());
        }
        put_number(&mut out, self.added.len());
        for name in &self.added {
            put_bytes(&mut out, name.as_bytes());
        }
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    /// Reads what [`Contents::encode`] wrote, and nothing else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, mut rest) = bytes.split_first()? else {
            return None;
        };
        let header = take_bytes(&mut rest)?.to_vec();
        let signature = take_bytes(&mut rest)?.to_vec();
        let splices = take_number(&mut rest)?;
        let inverse = (0..splices)
            .map(|_| {
                Some(Splice {
                    offset: take_number(&mut rest)?,
                    len: take_number(&mut rest)?,
                    original: take_text(&mut rest)?,
                })
            })
            .collect::<Option<_>>()?;
        let names = take_number(&mut rest)?;
        let added = (0..names).map(|_| take_text(&mut rest)).collect::<Option<_>>()?;
        let padding = rest.len() < BLOCK && rest.iter().all(|byte| *byte == 0);
        padding.then_some(Self {
            header,
            signature,
            inverse,
            added,
        })
    }
}

/// Seven bits a byte, the lowest first, the high bit where more follow (LEB128).
fn put_number(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0x7f);
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_number(rest)?;
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    Some(std::str::from_utf8(take_bytes(rest)?).ok()?.to_owned())
}

const VERSION: u8 = 1;
const BLOCK: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn contents_are_read_as_they_were_written(
            header in proptest::collection::vec(any::<u8>(), 0..200),
            signature in proptest::collection::vec(any::<u8>(), 0..600),
            splices in proptest::collection::vec((0usize..300_000, 0usize..300_000, ".{0,40}"), 0..6),
            added in proptest::collection::vec(".{0,20}", 0..6),
        ) {
            let inverse = splices
                .into_iter()
                .map(|(offset, len, original)| Splice { offset, len, original })
                .collect();
            let contents = Contents { header, signature, inverse, added };
            let encoded = contents.encode();
            prop_assert_eq!(encoded.len() % BLOCK, 0);
            prop_assert_eq!(Contents::decode(&[encoded.as_slice(), &[0; BLOCK]].concat()), None);
            prop_assert_eq!(Contents::decode(&encoded), Some(contents));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Contents::decode(&[&[VERSION][..], &bytes].concat());
        }
    }
}
