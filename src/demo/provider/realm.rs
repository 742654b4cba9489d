//! Everything the provider knows, in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::error::Unspecified;
use jiff::Timestamp;

use super::{
    arrival::Arrival,
    keys::Keys,
    options::{Algorithm, Client, Options, Organization, User},
};
use crate::clock::{Clock, Period};

/// The provider's inside, shared by its endpoints.
pub(super) struct Realm {
    pub(super) clients: Vec<Client>,
    pub(super) organizations: Vec<Organization>,
    pub(super) keys: Keys,
    pub(super) lifetime: Period,
    clock: Clock,
    books: Mutex<Books>,
}

/// What changes while it runs.
pub(super) struct Books {
    pub(super) public_url: String,
    pub(super) users: Vec<User>,
    /// Every request, in order.
    pub(super) arrivals: Vec<Arrival>,
    /// Login pages that were shown, by the id in their form.
    pub(super) logins: HashMap<String, super::authorize::Asked>,
    /// Single sign-on sessions, by cookie.
    pub(super) sessions: HashMap<String, Session>,
    /// By code.
    pub(super) codes: HashMap<String, Code>,
    /// By device code.
    pub(super) devices: HashMap<String, super::device::Pairing>,
    /// By id.
    pub(super) grants: HashMap<u64, Grant>,
    /// Everything that was handed out, by its text; `issued` has the order.
    pub(super) tokens: HashMap<String, Token>,
    pub(super) issued: Vec<String>,
    /// The tokens that clients revoked, in order.
    pub(super) revoked: Vec<String>,
    next_id: u64,
}

/// A user's login in one browser.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) sid: String,
    pub(super) user: String,
    pub(super) since: Timestamp,
}

/// A code that was sent to a client. It stays after its use, so that a replay is noticed (RFC 6749 §4.1.2).
#[derive(Clone)]
pub(super) struct Code {
    pub(super) grant: u64,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    pub(super) expires: Timestamp,
    pub(super) used: bool,
}

/// What somebody allowed a client; all tokens that come of it end with it.
#[derive(Clone)]
pub(super) struct Grant {
    /// The user's id; `None` where the client acts for itself.
    pub(super) user: Option<String>,
    pub(super) client: String,
    pub(super) scope: String,
    pub(super) session: Option<Session>,
    pub(super) nonce: Option<String>,
    /// The party that acts for the user (RFC 8693 §4.1).
    pub(super) actor: Option<String>,
    /// Another audience than the demo's API.
    pub(super) audience: Option<String>,
    pub(super) revoked: bool,
}

/// Something that was handed out.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) grant: u64,
    pub(super) scope: String,
    pub(super) expires: Timestamp,
    pub(super) revoked: bool,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Access,
    Id,
    Refresh,
}

impl Realm {
    /// A realm with fresh keys.
    pub(super) fn new(options: Options) -> Result<Self, Unspecified> {
        let rsa = options
            .clients
            .iter()
            .any(|client| client.algorithm == Algorithm::Rs256);
        Ok(Self {
            keys: Keys::generate(rsa)?,
            clients: options.clients,
            organizations: options.organizations,
            lifetime: options.lifetime,
            clock: options.clock,
            books: Mutex::new(Books {
                public_url: options.public_url,
                users: options.users,
                arrivals: Vec::new(),
                logins: HashMap::new(),
                sessions: HashMap::new(),
                codes: HashMap::new(),
                devices: HashMap::new(),
                grants: HashMap::new(),
                tokens: HashMap::new(),
                issued: Vec::new(),
                revoked: Vec::new(),
                next_id: 1,
            }),
        })
    }

    /// The books, for as long as the answer is held; never over an await.
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time now.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The issuer.
    pub(super) fn public_url(&self) -> String {
        self.books().public_url.clone()
    }

    /// The client of that id.
    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// Whether a token still counts: it was made here, is signed by us where it is signed at all, lives, and nobody
    /// revoked it or what it came of.
    pub(super) fn active(&self, raw: &str) -> Option<(Token, Grant)> {
        let now = self.now();
        let (token, grant) = {
            let books = self.books();
            let token = books.tokens.get(raw)?.clone();
            let grant = books.grants.get(&token.grant)?.clone();
            (token, grant)
        };
        let counts = !token.revoked && !grant.revoked && token.expires > now;
        // The table alone would do; a provider that has none must look at the signature, so this one does too.
        let genuine = !raw.contains('.') || self.keys.verify(raw).is_some();
        (counts && genuine).then_some((token, grant))
    }

    /// The active access token of that text.
    pub(super) fn access_token(&self, raw: &str) -> Option<Grant> {
        self.active(raw)
            .and_then(|(token, grant)| (token.kind == Kind::Access).then_some(grant))
    }

    /// The user with that e-mail and password.
    pub(super) fn log_in(&self, email: &str, password: &str) -> Option<Session> {
        let user = self.books().user_by_email(email)?.clone();
        let right = user.password.as_ref()?.expose() == password.as_bytes();
        let sid = super::keys::token(9).ok()?;
        right.then(|| Session {
            sid,
            user: user.id,
            since: self.now(),
        })
    }
}

impl Books {
    /// A number that was not given before.
    pub(super) fn fresh_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Whoever has that address.
    pub(super) fn user_by_email(&self, email: &str) -> Option<&User> {
        self.users.iter().find(|user| user.email.eq_ignore_ascii_case(email))
    }

    /// Writes a grant down and says its id.
    pub(super) fn grant(&mut self, grant: Grant) -> u64 {
        let id = self.fresh_id();
        self.grants.insert(id, grant);
        id
    }

    /// Adds an account; `None` if the address is taken.
    pub(super) fn add_user(&mut self, user: User) -> Option<User> {
        if self.user_by_email(&user.email).is_some() {
            return None;
        }
        self.users.push(user.clone());
        Some(user)
    }

    /// Ends a single sign-on session and all that came of it.
    pub(super) fn end_session(&mut self, sid: &str) {
        self.sessions.retain(|_, session| session.sid != sid);
        for grant in self.grants.values_mut() {
            if grant.session.as_ref().is_some_and(|session| session.sid == sid) {
                grant.revoked = true;
            }
        }
    }

    /// Ends a grant.
    pub(super) fn end_grant(&mut self, id: u64) {
        if let Some(grant) = self.grants.get_mut(&id) {
            grant.revoked = true;
        }
    }
}

impl Grant {
    /// A grant by a user who logged in.
    pub(super) fn of(session: Session, client: &str, scope: String) -> Self {
        Self {
            user: Some(session.user.clone()),
            client: client.to_owned(),
            scope,
            session: Some(session),
            nonce: None,
            actor: None,
            audience: None,
            revoked: false,
        }
    }
}
