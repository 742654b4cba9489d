//! Several certificates behind one socket, chosen by the name that a client asks for (SNI, RFC 6066 §3).

use std::{collections::HashMap, fmt, sync::Arc};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::Tls;

/// A certificate for some names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Host names, without ports.
    pub names: Vec<String>,
    /// The certificate. What it says of clients' certificates does not count: they are asked for before a name is known.
    pub tls: Tls,
}

/// The certificate of each name, and the one for a client that asks for none of them.
pub(super) struct ByName {
    pub(super) by_name: HashMap<String, Arc<CertifiedKey>>,
    pub(super) otherwise: Arc<CertifiedKey>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().map(str::to_ascii_lowercase);
        let own = named.and_then(|name| self.by_name.get(&name));
        Some(Arc::clone(own.unwrap_or(&self.otherwise)))
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_name.keys()).finish()
    }
}
