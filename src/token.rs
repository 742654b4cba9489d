//! Tokens of the upstream on their way to the client and back: verified, signed anew with added claims, and restored
//! byte for byte.
//!
//! ```text
//! upstream ── verify ──> Verified ── Reissuer::access_token, id_token ──> client
//! upstream <──────────── Restored <── Reissuer::restore ───────────────── client
//! ```
//!
//! A token that was not verified cannot be re-issued: only [`verify`] makes a [`Verified`]. Nothing is ever repaired.

mod algorithm;
mod capsule;
mod fields;
mod jws;
mod keyring;
mod peek;
mod public_key;
mod reissue;
mod restore;
mod scan;
mod sealer;
mod settings;
mod splice;
mod upstream_keys;
mod verify;
mod wrap;

pub use algorithm::{Algorithm, AlgorithmChoice, Family};
pub use capsule::CLAIM as CAPSULE_CLAIM;
pub use jws::peek_kid;
pub use keyring::{KeyRing, Listed, State, init_capsule_secret, rotate_capsule_secret};
pub use peek::{claimed_audience, claimed_issuer, claims_to_be_id_token, is_jwt_shaped};
pub use reissue::{Bound, Reissuer, Unissued};
pub use restore::{Restored, Unrestorable};
pub use scan::{Known, Owner, Scanner, Sighting, sight};
pub use sealer::{Sealer, SealingKey, SealingPart, TimedSecret};
pub use settings::{JwksSettings, Opaque, Publish, Settings};
pub use splice::{Splice, Spliced, Unspliceable, splice, undo};
pub use upstream_keys::{BadKeySet, UpstreamKeys};
pub use verify::{Expected, Kind, Unverified, Verified, verify};
pub use wrap::{AccessWrap, Memory, PREFIX as WRAP_PREFIX, RefreshWrap, Wrap};

#[cfg(test)]
mod tests;
