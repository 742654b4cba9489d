//! The upstreams of a file: each by itself, all of them together, and what may not be between them.

use std::collections::{BTreeMap, HashMap, HashSet};

use http::uri::Authority;
use jiff::Timestamp;

use super::{Config, ConfigErrors};
use crate::{exchange::Outside, interceptor, listen, misconfigured::Misconfigured};

impl Config {
    /// The configuration of every upstream, in the order of the file.
    pub fn each(&self) -> impl Iterator<Item = &Self> + Clone {
        std::iter::once(self).chain(&self.others)
    }

    /// The name of the upstream; `None` where it has none, since it is the only one.
    pub fn name(&self) -> Option<&str> {
        self.upstream.name.as_deref()
    }

    /// Whether the file has several upstreams.
    pub fn has_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// The upstreams that a host is of; all of them where none is named.
    pub(crate) fn of_host(&self, host: Option<&str>) -> Vec<&Self> {
        let Some(host) = host.filter(|_| self.has_several()) else {
            return self.each().collect();
        };
        let host = host.to_ascii_lowercase();
        let is_of = |one: &&Self| {
            let listen = &one.listen;
            let names = std::iter::once(&listen.public_url).chain(&listen.names);
            let mut spellings = names.flat_map(|name| Outside::spellings(&listen.public_url, name));
            spellings.any(|spelling| spelling == host)
        };
        self.each().filter(is_of).collect()
    }

    /// `[listen]` with the certificates of all upstreams.
    pub(crate) fn listener(&self) -> listen::Settings {
        let mut settings = self.listen.clone();
        for one in self.each().filter(|_| self.has_several()) {
            let listen = &one.listen;
            let names = std::iter::once(&listen.public_url).chain(&listen.names);
            let names = names.flat_map(|name| Outside::spellings(&listen.public_url, name));
            let hosts = names.filter_map(|name| Some(name.parse::<Authority>().ok()?.host().to_owned()));
            settings
                .certificates
                .extend(listen.tls.clone().map(|tls| listen::Named {
                    names: hosts.collect(),
                    tls,
                }));
        }
        settings
    }

    /// The interceptors of all upstreams, each once, as in the file; so are the keys of what is found wrong with them.
    pub(crate) fn all_interceptors(&self) -> Vec<interceptor::Settings> {
        let mut all = BTreeMap::new();
        for one in self.each() {
            for (index, settings) in one.interceptors.iter().enumerate() {
                all.entry(one.place_of_interceptor(index)).or_insert(settings);
            }
        }
        all.into_values().cloned().collect()
    }

    /// The place in the file of an interceptor of this upstream, both counted from 0.
    pub(crate) fn place_of_interceptor(&self, index: usize) -> usize {
        let key = self.keys.in_file(&format!("interceptor.{index}"));
        let place = key.rsplit('.').next().and_then(|place| place.parse().ok());
        place.unwrap_or(index)
    }

    /// Keys that two upstreams would have: what is sealed or signed for one of them must say nothing at the other. What cannot be
    /// read is found wrong where it is used.
    pub(crate) fn shared_keys(&self) -> Vec<ConfigErrors> {
        let mut taken: HashMap<String, &str> = HashMap::new();
        let mut found = Vec::new();
        for one in self.each().filter(|_| self.has_several()) {
            let Ok(reissuer) = one.tokens.reissuer(&one.base) else {
                continue;
            };
            let name = one.name().unwrap_or_default();
            let now = Timestamp::UNIX_EPOCH;
            let signing = reissuer.ring().list(now).into_iter();
            let sealing = reissuer.capsule_keys(now).into_iter();
            let own: Vec<_> = signing
                .map(|key| ("keys", "signs with a key", key.kid))
                .chain(sealing.map(|key| ("capsule_secret", "seals with the secret", key.id)))
                .collect();
            // Once for each folder and each secret, however many keys are in it.
            let mut said = HashSet::new();
            for (key, does, id) in &own {
                let Some(other) = taken.get(id).filter(|_| said.insert(*key)) else {
                    continue;
                };
                let wrong = Misconfigured::new(
                    format!("tokens.{key}"),
                    format!("the upstream `{name}` {does} of `{other}`, so tokens of one would count at the other"),
                );
                let hint = format!(
                    "give each its own, as in `tokens = {{ keys = \"certs/{name}\", capsule_secret = {{ file = \"certs/{name}.capsule\" }} }}`; \
                     `tollgate keys init` makes them"
                );
                found.push(one.errors([&wrong.hint(hint)]));
            }
            taken.extend(own.into_iter().map(|(_, _, id)| (id, name)));
        }
        found
    }

    /// Names that two upstreams would have: a request could be either's.
    pub(super) fn doubled_hosts(&self) -> Vec<ConfigErrors> {
        let mut taken: HashMap<String, &str> = HashMap::new();
        let mut found = Vec::new();
        for one in self.each().filter(|_| self.has_several()) {
            let listen = &one.listen;
            let mut own = HashMap::new();
            for (key, text) in std::iter::once(("listen.public_url".to_owned(), &listen.public_url)).chain(
                listen
                    .names
                    .iter()
                    .enumerate()
                    .map(|(at, name)| (format!("listen.names.{at}"), name)),
            ) {
                // What cannot be read is found wrong where it is used.
                for spelling in Outside::spellings(&listen.public_url, text) {
                    if let Some(other) = taken.get(&spelling) {
                        let message = format!("`{spelling}` is a name of the upstream `{other}` as well");
                        let wrong = Misconfigured::new(&key, message)
                            .hint("the host of a request says which upstream it is for, so each has its own");
                        found.push(one.errors([&wrong]));
                        break;
                    }
                    own.insert(spelling, one.name().unwrap_or_default());
                }
            }
            taken.extend(own);
        }
        found
    }

    /// Interceptors of one name, though at different upstreams: pages and commands call them by it.
    pub(super) fn doubled_interceptors(&self) -> Vec<ConfigErrors> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut found = Vec::new();
        for one in self.each().filter(|_| self.has_several()) {
            for (index, settings) in one.interceptors.iter().enumerate() {
                let place = one.place_of_interceptor(index);
                if *places.entry(&settings.name).or_insert(place) == place {
                    continue;
                }
                let message = format!("another interceptor is called `{}`", settings.name);
                let wrong = Misconfigured::new(format!("interceptor.{index}.name"), message);
                found.push(one.errors([&wrong.hint("give each a name of its own")]));
            }
        }
        found
    }

    /// Upstreams that cannot be behind one listener: it speaks TLS or does not, and asks for clients' certificates or does not.
    pub(super) fn odd_listeners(&self) -> Vec<ConfigErrors> {
        let clients = |one: &Self| one.listen.tls.as_ref().map(|tls| tls.client_certificates.clone());
        let shared = self.each().find_map(clients);
        let odd = |one: &Self| {
            let wrong = match (&shared, clients(one)) {
                (None, _) => return None,
                (Some(_), None) => Misconfigured::new(
                    "upstream.tls",
                    "this upstream has no certificate, and another one has: all are behind one listener, which speaks TLS or does not",
                )
                .hint("add `tls = { certificate = \"…\", key = \"…\" }` to it, or to `[listen]` for all that have none"),
                (Some(shared), Some(own)) if *shared == own => return None,
                (Some(_), Some(_)) => Misconfigured::new(
                    "listen.tls.client_certificates",
                    "`client_certificates` differs from that of another upstream: it is asked for before it is known which one a request is for",
                )
                .hint("write it in `[listen] tls`, for all"),
            };
            Some(one.errors([&wrong]))
        };
        self.each().filter_map(odd).collect()
    }
}
