//! What a capsule holds, in a compact binary form: the capsule travels in every header that carries the token.

use crate::token::{
    fields::{is_padding, pad, put_bytes, put_number, take_bytes, take_number, take_text},
    splice::Splice,
};

/// What restores the upstream's token, and which claims of the outer one are additions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The upstream's token.
    pub(crate) original: Original,
    /// The names of the claims that interceptors added.
    pub(crate) added: Vec<String>,
}

/// What is needed of the upstream's token to have it back.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Original {
    /// It was a JWT: the outer token has most of its payload.
    Jwt {
        /// The protected header, byte for byte.
        header: Vec<u8>,
        /// The signature.
        signature: Vec<u8>,
        /// Takes the edits of the payload back.
        inverse: Vec<Splice>,
    },
    /// It was opaque: all of it.
    Opaque(String),
}

impl Contents {
    /// A byte for the form, then each field with its length in front, padded with zeros to a multiple of [`BLOCK`] so that
    /// the length says little about what was replaced.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.original {
            Original::Jwt {
                header,
                signature,
                inverse,
            } => {
                out.push(OF_A_JWT);
                put_bytes(&mut out, header);
                put_bytes(&mut out, signature);
                put_number(&mut out, inverse.len());
                for splice in inverse {
                    put_number(&mut out, splice.offset);
                    put_number(&mut out, splice.len);
                    put_bytes(&mut out, splice.original.as_bytes());
                }
            }
            Original::Opaque(token) => {
                out.push(OPAQUE);
                put_bytes(&mut out, token.as_bytes());
            }
        }
        put_number(&mut out, self.added.len());
        for name in &self.added {
            put_bytes(&mut out, name.as_bytes());
        }
        pad(&mut out, BLOCK);
        out
    }

    /// Reads what [`Contents::encode`] wrote, and nothing else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (form, mut rest) = bytes.split_first()?;
        let original = match *form {
            OF_A_JWT => {
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
                Original::Jwt {
                    header,
                    signature,
                    inverse,
                }
            }
            OPAQUE => Original::Opaque(take_text(&mut rest)?),
            _ => return None,
        };
        let names = take_number(&mut rest)?;
        let added = (0..names).map(|_| take_text(&mut rest)).collect::<Option<_>>()?;
        is_padding(rest, BLOCK).then_some(Self { original, added })
    }
}

/// A token is a credential and is never printed.
impl std::fmt::Debug for Original {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Original(***)")
    }
}

const OF_A_JWT: u8 = 1;
const OPAQUE: u8 = 2;
const BLOCK: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn original() -> impl Strategy<Value = Original> {
        let jwt = (
            proptest::collection::vec(any::<u8>(), 0..200),
            proptest::collection::vec(any::<u8>(), 0..600),
            proptest::collection::vec((0usize..300_000, 0usize..300_000, ".{0,40}"), 0..6),
        );
        let jwt = jwt.prop_map(|(header, signature, splices)| Original::Jwt {
            header,
            signature,
            inverse: splices
                .into_iter()
                .map(|(offset, len, original)| Splice { offset, len, original })
                .collect(),
        });
        prop_oneof![jwt, ".{0,300}".prop_map(Original::Opaque)]
    }

    proptest! {
        #[test]
        fn contents_are_read_as_they_were_written(
            original in original(),
            added in proptest::collection::vec(".{0,20}", 0..6),
        ) {
            let contents = Contents { original, added };
            let encoded = contents.encode();
            prop_assert_eq!(encoded.len() % BLOCK, 0);
            prop_assert_eq!(Contents::decode(&[encoded.as_slice(), &[0; BLOCK]].concat()), None);
            prop_assert_eq!(Contents::decode(&encoded), Some(contents));
        }

        #[test]
        fn hostile_bytes_never_panic(form in 0u8..4, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Contents::decode(&[&[form][..], &bytes].concat());
        }
    }
}
