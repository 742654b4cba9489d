//! The capsule: what it takes to restore the upstream's token, sealed so that only Tollgate opens it.

use jiff::Timestamp;

use super::sealer::{Purpose, Sealer, Shut};

pub(super) use contents::{Contents, Original};

mod contents;

/// The claim that holds the capsule.
pub const CLAIM: &str = "tgc";

impl Sealer {
    /// Seals the contents for one outer token. `None` only where the machine has no random numbers.
    pub(super) fn seal(&self, contents: &Contents, outer: &Outer<'_>, now: Timestamp) -> Option<String> {
        self.seal_bytes(Purpose::Capsule, contents.encode(), &outer.bytes(), now)
    }

    /// Opens the capsule of this outer token.
    pub(super) fn open(&self, sealed: &str, outer: &Outer<'_>) -> Result<Contents, Shut> {
        let opened = self.open_bytes(Purpose::Capsule, sealed, &outer.bytes())?;
        Contents::decode(&opened).ok_or(Shut)
    }
}

/// The token around a capsule. All of it is bound: our `kid`, and the whole payload without the capsule, so every
/// claim, absent or empty, and with it `iss`, `jti`, `sub`, `aud` and `exp`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer<'a> {
    pub(super) kid: &'a str,
    pub(super) payload: &'a str,
}

impl Outer<'_> {
    fn bytes(&self) -> Vec<u8> {
        // A thumbprint holds no NUL, so the two cannot run into each other.
        [self.kid.as_bytes(), b"\0", self.payload.as_bytes()].concat()
    }
}
