//! Ways in and out of an upstream as its operator sees them, and what becomes of each.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Preset;
use crate::{
    event::Trigger,
    route::{Action, Route, Rule},
};

/// A way in or out that has no route of its own, one `[[way]]` of a preset: a grant, a response mode, a thing that is out of
/// reach. For people: nothing is recognised by it. What a route decides is worked out from the route, so that it stays true.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// What comes or goes this way, in a line.
    pub summary: String,
    /// The chapter in which it is listed.
    pub area: Area,
    /// The route that requests of this way take.
    #[serde(default)]
    pub route: Option<String>,
    /// Parameters of such a request: a rule of the route may refuse them, and a grant decides the trigger.
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    /// What becomes of it, where the route does not say.
    #[serde(default)]
    pub does: Option<Outcome>,
    /// Whose interceptors are asked, where the grant does not say.
    #[serde(default)]
    pub trigger: Option<Trigger>,
    /// The setting without which it is open.
    #[serde(default)]
    pub needs: Option<Need>,
    /// What else an operator should know.
    #[serde(default)]
    pub note: Option<String>,
}

/// The chapters of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Accounts that people make for themselves.
    Signup,
    /// Accounts that people make for others.
    Invitation,
    /// Clients that register themselves.
    ClientRegistration,
    /// Grants, and what a token endpoint can be asked for besides.
    TokenEndpoint,
    /// Sessions of the provider's own, beside OpenID Connect.
    Sessions,
    /// Authorization requests, and tokens that leave through the browser.
    FrontChannel,
    /// Where tokens travel back, and what the provider says of them.
    TokensBack,
    /// Keys and metadata.
    Metadata,
    /// Other protocols and everything else.
    Other,
}

/// What becomes of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Interceptors are asked before the upstream sees the request.
    AskedBefore,
    /// Interceptors are asked before the client sees the tokens, which are signed again.
    AskedAfter,
    /// Interceptors are asked before the client has the session, which stays as the upstream made it.
    AskedOfSession,
    /// Verified and signed again; nobody is asked.
    SignedAgain,
    /// Re-signed tokens are replaced by the upstream's.
    MappedBack,
    /// Forwarded unless a rule refuses what it asks for.
    Checked,
    /// The answer says what is true behind Tollgate.
    Corrected,
    /// Refused.
    Refused,
    /// The answer ends before it.
    CutOff,
    /// Passes, since nothing is to be decided.
    Passes,
    /// Passes, and nobody is asked.
    NotCovered,
}

/// A setting of `proxy.toml` that can leave a way open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// `upstream.late_signup`.
    LateSignup,
    /// `[[logout]]`.
    LogoutRelay,
    /// `upstream.egress = "block"`.
    Egress,
    /// `tokens.require_reissued = true`.
    RequireReissued,
    /// `jwks.upstream_keys = "omit"`.
    OwnKeys,
}

/// What becomes of a way, worked out.
#[derive(Clone, Debug)]
pub struct Fate<'a> {
    /// In a word.
    pub outcome: Outcome,
    /// Whose interceptors are asked; none where nobody is. Several where the verified token decides.
    pub triggers: Vec<Trigger>,
    /// The rule that refuses it, if one does.
    pub rule: Option<&'a Rule>,
}

impl Preset {
    /// What becomes of a way. `None` where neither it nor a route says so.
    pub fn fate<'a>(&'a self, way: &Way) -> Option<Fate<'a>> {
        let route = way
            .route
            .as_ref()
            .and_then(|name| self.routes.iter().find(|route| route.name == *name));
        let rule = route.and_then(|route| {
            let mut rules = route.refuse.iter();
            rules.find(|rule| way.with.get(&rule.parameter).is_some_and(|value| rule.refuses(value)))
        });
        if rule.is_some() {
            return Some(Fate {
                outcome: Outcome::Refused,
                triggers: Vec::new(),
                rule,
            });
        }
        let asked = |route: &Route| {
            let parameters = way.with.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            if route.asks_for_no_token(parameters) {
                Outcome::Passes
            } else {
                route.does.outcome()
            }
        };
        let outcome = way.does.or(route.map(|route| asked(route)))?;
        let by_grant = match (way.trigger, way.with.get("grant_type")) {
            (None, Some(grant)) if outcome == Outcome::AskedAfter => self.triggers_of(Some(grant)),
            (trigger, _) => trigger.into_iter().collect(),
        };
        Some(Fate {
            outcome,
            triggers: by_grant,
            rule: None,
        })
    }

    /// The triggers of a grant; of every grant, where none is named. Two where the verified subject of the token decides.
    pub fn triggers_of(&self, grant_type: Option<&str>) -> Vec<Trigger> {
        match grant_type {
            Some(grant) if self.is_for_client(grant, false) => vec![Trigger::PreM2mTokenCreation],
            Some(grant) if !self.is_for_client(grant, true) => vec![Trigger::PreSessionCreation],
            _ => vec![Trigger::PreSessionCreation, Trigger::PreM2mTokenCreation],
        }
    }
}

impl Route {
    /// The chapter in which the route is listed.
    pub fn area(&self) -> Area {
        match (self.trigger, self.does) {
            (Some(Trigger::PreSignup), _) => Area::Signup,
            (Some(Trigger::PreUserInvitation), _) => Area::Invitation,
            (Some(Trigger::PreClientRegistration), _) => Area::ClientRegistration,
            (_, Action::Tokens | Action::Consult) => Area::TokenEndpoint,
            (_, Action::Session) => Area::Sessions,
            (_, Action::Authorize) => Area::FrontChannel,
            (_, Action::Introspect | Action::Userinfo | Action::Restore) => Area::TokensBack,
            (_, Action::Discovery | Action::Jwks | Action::PublicKey) => Area::Metadata,
            (_, Action::Refuse | Action::Pass) => Area::Other,
        }
    }
}

impl Action {
    /// What becomes of a request with which this is done, in a word.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Consult => Outcome::AskedBefore,
            Self::Tokens => Outcome::AskedAfter,
            Self::Session => Outcome::AskedOfSession,
            Self::Authorize => Outcome::Checked,
            Self::Introspect | Self::Userinfo | Self::Restore => Outcome::MappedBack,
            Self::Discovery | Self::Jwks | Self::PublicKey => Outcome::Corrected,
            Self::Refuse => Outcome::Refused,
            Self::Pass => Outcome::Passes,
        }
    }
}

impl Area {
    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Signup => "Signups",
            Self::Invitation => "Invitations, and accounts made for others",
            Self::ClientRegistration => "Clients that register themselves",
            Self::TokenEndpoint => "The token endpoint",
            Self::Sessions => "Sessions of the provider's own",
            Self::FrontChannel => "Authorization requests and the front channel",
            Self::TokensBack => "Tokens that travel back, and what is said of them",
            Self::Metadata => "Keys and metadata",
            Self::Other => "Everything else",
        }
    }
}

impl Outcome {
    /// The words for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AskedBefore => "asked before",
            Self::AskedAfter => "asked after, signed again",
            Self::AskedOfSession => "asked after",
            Self::SignedAgain => "verified, signed again",
            Self::MappedBack => "mapped back",
            Self::Checked => "checked, then passes",
            Self::Corrected => "corrected",
            Self::Refused => "refused",
            Self::CutOff => "cut off",
            Self::Passes => "passes",
            Self::NotCovered => "not covered",
        }
    }
}

impl Need {
    /// The setting, as it is written.
    pub fn setting(self) -> &'static str {
        match self {
            Self::LateSignup => "upstream.late_signup",
            Self::LogoutRelay => "[[logout]]",
            Self::Egress => "upstream.egress = \"block\"",
            Self::RequireReissued => "tokens.require_reissued = true",
            Self::OwnKeys => "jwks.upstream_keys = \"omit\"",
        }
    }
}
