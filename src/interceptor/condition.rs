//! Whom an interceptor is asked about.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Conditions;
use crate::{event::Context, misconfigured::Misconfigured, route::glob};

/// `when` and `unless` of one interceptor, ready to be matched.
#[derive(Debug)]
pub(super) struct Selector {
    when: Lists,
    unless: Lists,
}

impl Selector {
    /// Errors: a network that is none, under `when.networks.N` or `unless.networks.N`.
    pub(super) fn build(when: &Conditions, unless: &Conditions) -> Result<Self, Vec<Misconfigured>> {
        let below =
            |parent: &'static str| move |found: Vec<Misconfigured>| found.into_iter().map(move |f| f.below(parent));
        match (Lists::build(when, Doubt::Matches), Lists::build(unless, Doubt::Differs)) {
            (Ok(when), Ok(unless)) => Ok(Self { when, unless }),
            (when, unless) => Err(when
                .err()
                .into_iter()
                .flat_map(below("when"))
                .chain(unless.err().into_iter().flat_map(below("unless")))
                .collect()),
        }
    }

    /// Whether the interceptor is to be asked. In doubt it is: a value that the event does not know, or a name in
    /// another case, never takes an event out.
    pub(super) fn matches(&self, circumstances: &Circumstances<'_>) -> bool {
        self.when.all_match(circumstances) && (self.unless.is_empty() || !self.unless.all_match(circumstances))
    }
}

/// What conditions are about, of one event: read once for all interceptors.
pub(super) struct Circumstances<'a> {
    realm: Option<Name<'a>>,
    client: Option<Name<'a>>,
    grant: Option<Name<'a>>,
    address: Option<IpAddr>,
}

impl<'a> Circumstances<'a> {
    pub(super) fn of(context: &'a Context) -> Self {
        let name = |value: &'a Option<String>| value.as_deref().map(Name::of);
        Self {
            realm: name(&context.realm).or_else(|| name(&context.tenant)),
            client: name(&context.client_id),
            grant: name(&context.grant_type),
            // A listener on `[::]` sees IPv4 clients as `::ffff:a.b.c.d`.
            address: context.ip_address.map(|address| address.to_canonical()),
        }
    }
}

/// A name as it came, and in lower case.
struct Name<'a> {
    exact: &'a str,
    lower: String,
}

impl<'a> Name<'a> {
    fn of(exact: &'a str) -> Self {
        let lower = exact.to_lowercase();
        Self { exact, lower }
    }
}

#[derive(Debug)]
struct Lists {
    doubt: Doubt,
    realms: Vec<String>,
    clients: Vec<String>,
    grants: Vec<String>,
    networks: Vec<IpNet>,
}

/// How a value is taken that is unknown, or that is equal but for upper and lower case: some databases tell realms
/// apart by case and some do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Matches,
    Differs,
}

impl Lists {
    fn build(conditions: &Conditions, doubt: Doubt) -> Result<Self, Vec<Misconfigured>> {
        let mut networks = Vec::new();
        let mut found = Vec::new();
        for (index, text) in conditions.networks.iter().enumerate() {
            match text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            {
                Ok(network) => networks.push(network),
                Err(_) => found.push(
                    Misconfigured::new(format!("networks.{index}"), format!("`{text}` is no network"))
                        .hint("write it like `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.7`"),
                ),
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        let patterns = |patterns: &[String]| match doubt {
            Doubt::Matches => patterns.iter().map(|pattern| pattern.to_lowercase()).collect(),
            Doubt::Differs => patterns.to_vec(),
        };
        Ok(Self {
            doubt,
            realms: patterns(&conditions.realms),
            clients: patterns(&conditions.clients),
            grants: patterns(&conditions.grants),
            networks,
        })
    }

    fn is_empty(&self) -> bool {
        self.realms.is_empty() && self.clients.is_empty() && self.grants.is_empty() && self.networks.is_empty()
    }

    fn all_match(&self, circumstances: &Circumstances<'_>) -> bool {
        let unknown = self.doubt == Doubt::Matches;
        let named = |patterns: &[String], name: &Option<Name<'_>>| {
            patterns.is_empty()
                || name.as_ref().map_or(unknown, |name| {
                    let value = match self.doubt {
                        Doubt::Matches => &name.lower,
                        Doubt::Differs => name.exact,
                    };
                    patterns.iter().any(|pattern| glob(pattern, value))
                })
        };
        let inside = |address: IpAddr| self.networks.iter().any(|network| network.contains(&address));
        named(&self.realms, &circumstances.realm)
            && named(&self.clients, &circumstances.client)
            && named(&self.grants, &circumstances.grant)
            && (self.networks.is_empty() || circumstances.address.map_or(unknown, inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|s| (*s).to_owned()).collect()
    }

    fn context() -> Context {
        Context {
            realm: Some("customers".into()),
            client_id: Some("web-app".into()),
            grant_type: Some("authorization_code".into()),
            ip_address: Some("::ffff:10.1.2.3".parse().unwrap()),
            ..Context::default()
        }
    }

    fn asked(when: Conditions, unless: Conditions, context: &Context) -> bool {
        Selector::build(&when, &unless)
            .unwrap()
            .matches(&Circumstances::of(context))
    }

    #[test]
    fn every_list_that_is_given_must_match_and_one_item_of_it_is_enough() {
        let when = |realms: &[&str], networks: &[&str]| Conditions {
            realms: list(realms),
            networks: list(networks),
            ..Conditions::default()
        };
        let none = Conditions::default;
        assert!(asked(none(), none(), &context()));
        assert!(asked(when(&["staff", "cust*"], &["10.0.0.0/8"]), none(), &context()));
        assert!(!asked(when(&["staff"], &["10.0.0.0/8"]), none(), &context()));
        assert!(!asked(
            when(&["customers"], &["192.0.2.0/24", "192.0.2.1"]),
            none(),
            &context()
        ));
        assert!(!asked(none(), when(&["customers"], &["10.0.0.0/8"]), &context()));
        assert!(asked(none(), when(&["customers"], &["192.0.2.1"]), &context()));
    }

    #[test]
    fn in_doubt_the_interceptor_is_asked() {
        let clients = Conditions {
            clients: list(&["admin-cli"]),
            ..Conditions::default()
        };
        let none = Conditions::default;
        for client_id in [None, Some("Admin-CLI".to_owned())] {
            let context = Context { client_id, ..context() };
            assert!(asked(clients.clone(), none(), &context));
            assert!(asked(none(), clients.clone(), &context));
        }
    }

    #[test]
    fn a_network_that_is_none_is_found_by_its_place() {
        let unless = Conditions {
            networks: list(&["10.0.0.0/8", "10.0.0.0/33"]),
            ..Conditions::default()
        };
        let found = Selector::build(&Conditions::default(), &unless).unwrap_err();
        assert_eq!(found[0].key, "unless.networks.1");
    }
}
