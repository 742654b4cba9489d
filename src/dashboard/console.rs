//! What every page has at hand.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    access::{Access, Ended},
    interceptors::Trials,
    records::Records,
    reloading::Reloading,
};
use crate::{audit, clock::Clock, gate::preview::Preview, secret::Secret, trial};

/// What a dashboard is made of.
pub struct Parts {
    /// The running gate, as far as it can be looked at.
    pub gate: Preview,
    /// What the configuration says beside that.
    pub installation: Installation,
    /// Where records are.
    pub audit: audit::Settings,
    /// How interceptors are tried out.
    pub test: trial::Settings,
    /// The folder of `proxy.toml`.
    pub base: PathBuf,
    /// What cookies are sealed with: the secret of the capsules, which all replicas share.
    pub secret: Secret,
    /// The wall clock.
    pub clock: Clock,
    /// When the process started.
    pub started: Timestamp,
    /// Cancelled when the proxy takes no more connections.
    pub stopping: CancellationToken,
    /// Loads the configuration again.
    pub reloading: Reloading,
    /// Sessions that were logged out under an earlier configuration, too.
    pub ended: Ended,
}

/// What runs, for people.
pub struct Installation {
    /// `environment`.
    pub environment: String,
    /// The file of the configuration, as it was given.
    pub file: String,
    /// Its fingerprint.
    pub revision: String,
    /// `listen.public_url`.
    pub public_url: String,
    /// Where the proxy listens.
    pub address: String,
    /// `upstream.url`.
    pub upstream: String,
    /// `upstream.preset`.
    pub preset: String,
    /// The names of the operator's own routes.
    pub own_routes: Vec<String>,
    /// Where the setting of a key was written, such as `proxy.toml:12`; `None` for a default.
    pub origin: Origins,
    /// Every setting with secrets masked, for `tollgate diff`.
    pub description: Value,
}

/// Answers where a setting was written, by its key.
pub type Origins = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The parts, and what follows from them. Shared by all pages.
pub(super) struct Console {
    pub(super) gate: Preview,
    pub(super) installation: Installation,
    pub(super) records: Records,
    pub(super) trials: Trials,
    pub(super) access: Access,
    pub(super) clock: Clock,
    pub(super) started: Timestamp,
    pub(super) stopping: CancellationToken,
    pub(super) reloading: Reloading,
}

/// The state of the routes.
pub(super) type Shared = Arc<Console>;

impl Console {
    pub(super) fn new(parts: Parts, access: Access) -> Shared {
        Arc::new(Self {
            gate: parts.gate,
            installation: parts.installation,
            trials: Trials::new(&parts.test, &parts.base),
            records: Records::new(parts.audit, parts.base, parts.clock.clone()),
            access,
            started: parts.started,
            clock: parts.clock,
            stopping: parts.stopping,
            reloading: parts.reloading,
        })
    }
}
