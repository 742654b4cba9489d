//! A small OpenID provider and sample interceptors, so that everything can be seen at work with nothing installed.

mod client;
mod config;
mod folder;
pub mod hooks;
mod playground;
pub mod provider;
mod server;
pub mod walk;

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

pub use self::config::config_text;
use self::{
    folder::Folder,
    hooks::Hooks,
    provider::{Options, Provider},
    walk::Outcome,
};
use crate::{
    clock::Clock,
    misconfigured::Misconfigured,
    token::{KeyRing, init_capsule_secret},
};

/// Everything but the proxy itself: provider and interceptors are running, and a folder has the proxy's configuration
/// with its keys and secrets. All of it goes when this is dropped.
#[derive(Debug)]
pub struct Demo {
    public_url: String,
    provider: Provider,
    hooks: Hooks,
    folder: Folder,
}

/// Why the demo cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A port or a file.
    #[error("the demo cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The keys.
    #[error("the demo cannot make its keys: {0}")]
    Keys(#[from] Misconfigured),
}

impl Demo {
    /// Starts provider and interceptors on free loopback ports and writes the folder. The proxy is to listen on
    /// `listen`; port 0 picks a free one.
    ///
    /// # Errors
    /// A port cannot be bound, or the folder cannot be written.
    pub async fn start(listen: SocketAddr) -> Result<Self, DemoError> {
        let io = |what| move |source| DemoError::Io { what, source };
        let listen = free(listen).map_err(io("listen there"))?;
        let public_url = format!("http://{listen}");
        let clock = Clock::system();
        let provider = Provider::start(Options::new(public_url.as_str()));
        let provider = provider.await.map_err(io("start its provider"))?;
        let hooks = Hooks::start(clock.clone())
            .await
            .map_err(io("start its interceptors"))?;
        let folder = Folder::create().map_err(io("make its folder"))?;
        KeyRing::init(&folder.path().join(config::KEYS), clock.now())?;
        init_capsule_secret(&folder.path().join(config::CAPSULE_SECRET))?;
        for (trigger, secret) in hooks.secrets() {
            let file = config::secret_file(*trigger);
            folder.write(file, secret.expose()).map_err(io("write its secrets"))?;
        }
        let text = config_text(listen, &provider, &hooks);
        folder
            .write(config::FILE, text.as_bytes())
            .map_err(io("write its configuration"))?;
        Ok(Self {
            public_url,
            provider,
            hooks,
            folder,
        })
    }

    /// The file to start the proxy with, like any other.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join(config::FILE)
    }

    /// Where clients find the proxy, without a slash at its end.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The upstream.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The interceptors.
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Takes the walk; the proxy must be listening. See [`walk::walk`].
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub async fn walk(&self, out: &mut (dyn Write + Send), audit: impl Fn() -> String) -> io::Result<Outcome> {
        walk::walk(self, out, audit).await
    }

    /// What there is to try, with the dashboard at this address, while the demo keeps serving: addresses, people, and a `curl` line for each trigger.
    pub fn playground(&self, dashboard: SocketAddr) -> String {
        playground::text(self, dashboard)
    }
}

/// The address with a port that was free a moment ago: the issuer must be known before the proxy binds it.
fn free(listen: SocketAddr) -> io::Result<SocketAddr> {
    TcpListener::bind(listen)?.local_addr()
}

#[cfg(test)]
mod tests;
