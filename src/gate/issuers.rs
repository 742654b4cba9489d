//! What the upstream publishes of its issuers: discovery documents and keys, kept while the upstream is away.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use serde_json::Value;

use super::{metadata::path_of, preview::KnownKeys};
use crate::{
    json,
    preset::{Issuer as IssuerPaths, Preset},
    route::Captures,
    token::UpstreamKeys,
    upstream::{Document, Lifetime, Remembered, Upstream, UpstreamError},
};

/// How many documents are kept; past that all are fetched anew. One that the upstream does not have is not kept.
const MOST: usize = 1000;

/// Discovery counts as long as the process lives.
const DISCOVERY: Lifetime = Lifetime {
    fresh: Duration::from_secs(300),
    stale: Duration::MAX,
};

/// Keys that cannot be fetched count for an hour.
const KEYS: Lifetime = Lifetime {
    fresh: Duration::from_secs(300),
    stale: Duration::from_secs(3600),
};

/// The issuers of the upstream, by the paths of their documents.
pub(super) struct Issuers {
    upstream: Upstream,
    headers: HeaderMap,
    origin: String,
    documents: Mutex<HashMap<String, Arc<Remembered<Value>>>>,
    keys: Mutex<HashMap<String, Arc<Remembered<UpstreamKeys>>>>,
}

/// One issuer, with its documents as they are now.
pub(super) struct Issuer {
    identifier: String,
    discovery: Arc<Value>,
    remembered: Arc<Remembered<UpstreamKeys>>,
    keys: Arc<UpstreamKeys>,
}

impl Issuers {
    /// `headers` tell the upstream from where it is seen; `origin` is where that is.
    pub(super) fn new(upstream: Upstream, headers: HeaderMap, origin: String) -> Self {
        Self {
            upstream,
            headers,
            origin,
            documents: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    /// A JSON document of the upstream, from its last good copy when it is away.
    ///
    /// # Errors
    /// The upstream does not have it, or is away and never gave it.
    pub(super) async fn document(&self, path: &str) -> Result<Arc<Value>, UpstreamError> {
        let parse = |bytes: &[u8]| json::parse(bytes).map_err(|e| format!("cannot be read: {e}"));
        let document = self
            .remembered(&self.documents, Document::Discovery, path, DISCOVERY, parse)
            .get()
            .await;
        if let Err(UpstreamError::Status(_)) = document {
            self.documents
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(path);
        }
        document
    }

    /// The issuer that a request is about.
    ///
    /// # Errors
    /// As for [`Issuers::document`], for its discovery document and its keys.
    pub(super) async fn of(&self, preset: &Preset, captures: &Captures) -> Result<Arc<Issuer>, UpstreamError> {
        let broken = |what: &str| UpstreamError::Broken(format!("its discovery document {what}"));
        let path = preset
            .issuer
            .discovery
            .fill(captures)
            .ok_or_else(|| broken("has no known path"))?;
        let discovery = self.document(&path).await?;
        let identifier = discovery
            .get("issuer")
            .and_then(Value::as_str)
            .ok_or_else(|| broken("names no issuer"))?
            .to_owned();
        // The document may name any address; only its path counts, at the upstream that the operator configured.
        let keys_path = discovery
            .get("jwks_uri")
            .and_then(Value::as_str)
            .and_then(path_of)
            .ok_or_else(|| broken("names no jwks_uri"))?;
        let parse = |bytes: &[u8]| UpstreamKeys::parse(bytes).map_err(|e| e.to_string());
        let remembered = self.remembered(&self.keys, Document::Keys, &keys_path, KEYS, parse);
        let keys = remembered.get().await?;
        Ok(Arc::new(Issuer {
            identifier,
            discovery,
            remembered,
            keys,
        }))
    }

    /// Whether a key at hand, of any issuer, has this `kid` and can verify tokens.
    pub(super) fn holds_key(&self, kid: &str) -> bool {
        let kept = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values()
            .filter_map(|remembered| remembered.at_hand())
            .any(|keys| keys.holds(kid))
    }

    /// The key sets at hand, by their paths.
    pub(super) fn known_keys(&self) -> Vec<KnownKeys> {
        let kept = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known: Vec<_> = kept
            .iter()
            .filter_map(|(path, remembered)| {
                let age = remembered.age()?;
                Some(KnownKeys {
                    path: path.clone(),
                    keys: remembered.at_hand()?,
                    age,
                    stale: remembered.has_failed(),
                })
            })
            .collect();
        known.sort_by(|a, b| a.path.cmp(&b.path));
        known
    }

    /// Whether an `iss` is one of the upstream's.
    pub(super) fn is_one(&self, paths: &IssuerPaths, iss: &str) -> bool {
        self.captures(paths, iss).is_some()
    }

    /// Which issuer of the upstream an `iss` is, if it is one.
    pub(super) fn captures(&self, paths: &IssuerPaths, iss: &str) -> Option<Captures> {
        let path = iss.strip_prefix(&self.origin)?;
        paths.path.captures(if path.is_empty() { "/" } else { path })
    }

    fn remembered<T>(
        &self,
        kept: &Mutex<HashMap<String, Arc<Remembered<T>>>>,
        document: Document,
        path: &str,
        lifetime: Lifetime,
        parse: fn(&[u8]) -> Result<T, String>,
    ) -> Arc<Remembered<T>> {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST && !kept.contains_key(path) {
            kept.clear();
        }
        let new = || {
            Arc::new(Remembered::new(
                self.upstream.clone(),
                document,
                path,
                self.headers.clone(),
                lifetime,
                parse,
            ))
        };
        Arc::clone(kept.entry(path.to_owned()).or_insert_with(new))
    }
}

impl Issuer {
    /// The issuer identifier (OIDC Core §1.2), as tokens must have it in `iss`.
    pub(super) fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The keys at hand.
    pub(super) fn keys(&self) -> Arc<UpstreamKeys> {
        Arc::clone(&self.keys)
    }

    /// The keys as they are now, for a `kid` that is not at hand; those at hand if they were fetched just now, or cannot be.
    pub(super) async fn refetched_keys(&self) -> Arc<UpstreamKeys> {
        self.remembered.refetch().await.unwrap_or_else(|e| {
            tracing::warn!(error = %e, "the upstream's keys cannot be fetched again: {e}");
            self.keys()
        })
    }

    /// The path of an endpoint that discovery names.
    pub(super) fn endpoint(&self, member: &str) -> Option<String> {
        self.discovery.get(member)?.as_str().and_then(path_of)
    }
}
