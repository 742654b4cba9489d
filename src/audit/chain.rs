//! The hash chain: each record is bound to all records before it.

use std::{fmt, str::FromStr};

use ring::digest;

/// The SHA-256 that stands for a record and everything before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

/// A place in a chain and its hash. Written `SEQ:HASH`, or `CHAIN.SEQ:HASH` where a store has several chains; kept outside the store, it
/// proves that nothing up to it was cut off or rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The chain's number; 0 for the only chain of a file.
    pub chain: u32,
    /// The record's number; 0 before the first.
    pub seq: u64,
    /// The record's hash.
    pub hash: Hash,
}

impl Hash {
    /// The hash before the first record: SHA-256 of a fixed text.
    pub fn genesis() -> Self {
        Self::over(&[b"tollgate audit chain 1"])
    }

    /// The hash before the first record of a chain with a number: as [`Hash::genesis`], with the number in decimal digits behind a line break.
    /// So no chain can pass for another.
    pub fn genesis_of(chain: u32) -> Self {
        match chain {
            0 => Self::genesis(),
            _ => Self::over(&[b"tollgate audit chain 1\n", chain.to_string().as_bytes()]),
        }
    }

    /// The hash of a record: SHA-256 over the 32 bytes of the hash before it, then the record's text as it is stored.
    pub fn link(self, body: &str) -> Self {
        Self::over(&[&self.0, body.as_bytes()])
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A stored hash; `None` when it has not 32 bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn over(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(hash)
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a hash has 64 hexadecimal digits".to_owned();
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (index, byte) in hash.iter_mut().enumerate() {
            let digits = text.get(2 * index..2 * index + 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(hash))
    }
}

impl Head {
    /// The head of a file without records.
    pub fn genesis() -> Self {
        Self::genesis_of(0)
    }

    /// The head of a chain without records.
    pub fn genesis_of(chain: u32) -> Self {
        Self {
            chain,
            seq: 0,
            hash: Hash::genesis_of(chain),
        }
    }

    /// The head with this record's text behind it.
    pub(super) fn follow(self, body: &str) -> Self {
        Self {
            seq: self.seq + 1,
            hash: self.hash.link(body),
            ..self
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", place(self.chain, self.seq), self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = "a head is written `SEQ:HASH` or `CHAIN.SEQ:HASH`, as `tollgate audit verify` prints it";
        let (place, hash) = text.split_once(':').ok_or(wrong)?;
        let (chain, seq) = read_place(place).ok_or(wrong)?;
        Ok(Self {
            chain,
            seq,
            hash: hash.parse().map_err(|e| format!("{wrong}: {e}"))?,
        })
    }
}

/// How a record's place is written: its number, behind the chain's number where there are several.
pub(super) fn place(chain: u32, seq: u64) -> String {
    match chain {
        0 => seq.to_string(),
        _ => format!("{chain}.{seq}"),
    }
}

/// The chain and the number that [`place`] wrote; chain 0 where it names none.
pub(super) fn read_place(text: &str) -> Option<(u32, u64)> {
    match text.split_once('.') {
        None => Some((0, text.parse().ok()?)),
        Some((chain, seq)) => Some((chain.parse().ok().filter(|chain| *chain > 0)?, seq.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_can_be_recomputed_with_any_sha256() {
        // printf 'tollgate audit chain 1' | sha256sum
        let genesis = Hash::genesis();
        assert_eq!(
            genesis.to_string(),
            "53a4e076fe545a00bc1b693e27c9ec149220c0b06be1d3c4f5c0333e7a6a36ff"
        );
        // (printf 'tollgate audit chain 1' | sha256sum | cut -c-64 | xxd -r -p; printf '{"seq":1}') | sha256sum
        assert_eq!(
            genesis.link(r#"{"seq":1}"#).to_string(),
            "0e35113f97c5111d0203e2f6f00d10b7d722c3da19d61cb3dbd492d9c98a0627"
        );
    }

    #[test]
    fn a_head_reads_as_it_prints() {
        for chain in [0, 3] {
            let head = Head {
                chain,
                seq: 7,
                hash: Hash::genesis_of(chain).link("x"),
            };
            assert_eq!(head.to_string().parse::<Head>().unwrap(), head);
        }
        for wrong in [
            "",
            "7",
            "7:",
            &format!("0.7:{}", "0".repeat(64)),
            "x:00",
            &format!("7:{}", "g".repeat(64)),
            &format!("7:{}", "é".repeat(32)),
        ] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }
}
