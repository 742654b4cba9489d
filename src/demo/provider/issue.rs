//! The making of tokens.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    answer::OAuthError,
    keys::{half_hash, token},
    options::{AccessTokens, Client, User},
    realm::{Grant, Kind, Realm, Token},
};

/// Which tokens an answer has beside the access token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    /// ID token if the scope has `openid`, refresh token if the client may use one.
    Everything,
    /// The access token alone.
    Nothing,
}

/// The answer of RFC 6749 §5.1 for a grant that was written down before.
pub(super) fn answer(realm: &Realm, id: u64, scope: &str, with: With) -> Result<Map<String, Value>, OAuthError> {
    let grant = realm.books().grants.get(&id).cloned();
    let grant = grant.ok_or_else(|| OAuthError::invalid_grant("the grant has ended"))?;
    let client = realm.client(&grant.client).ok_or_else(OAuthError::invalid_client)?;
    let user = match &grant.user {
        None => None,
        Some(user) => {
            let known = realm.books().users.iter().find(|u| u.id == *user).cloned();
            Some(known.ok_or_else(|| OAuthError::invalid_grant("the user is gone"))?)
        }
    };
    let maker = Maker {
        realm,
        id,
        grant: &grant,
        client,
        user: user.as_ref(),
        scope,
        now: realm.now(),
    };
    let access_token = maker.access_token()?;
    let mut answer = Map::new();
    if with == With::Everything && maker.asked_for("openid") {
        answer.insert("id_token".into(), maker.id_token(&access_token)?.into());
    }
    if with == With::Everything && client.grants.iter().any(|grant| grant == "refresh_token") {
        let refresh_token = token(32)?;
        maker.note(&refresh_token, Kind::Refresh, REFRESH_LIFETIME);
        answer.insert("refresh_token".into(), refresh_token.into());
    }
    answer.insert("access_token".into(), access_token.into());
    answer.insert("token_type".into(), "Bearer".into());
    answer.insert("expires_in".into(), realm.lifetime.0.as_secs().into());
    answer.insert("scope".into(), scope.into());
    Ok(answer)
}

/// What a user's scope says of them (OIDC Core §5.4).
pub(super) fn profile(user: &User, scope: &str) -> Map<String, Value> {
    let asked_for = |name: &str| scope.split(' ').any(|s| s == name);
    let mut claims = Map::new();
    if asked_for("profile") {
        claims.insert("name".into(), user.name.clone().into());
        claims.insert("preferred_username".into(), user.id.clone().into());
    }
    if asked_for("email") {
        claims.insert("email".into(), user.email.clone().into());
        claims.insert("email_verified".into(), true.into());
    }
    if !user.roles.is_empty() {
        claims.insert("roles".into(), json!(user.roles));
    }
    if let Some(organization) = &user.organization {
        claims.insert("org_id".into(), organization.clone().into());
    }
    claims
}

struct Maker<'a> {
    realm: &'a Realm,
    id: u64,
    grant: &'a Grant,
    client: &'a Client,
    user: Option<&'a User>,
    scope: &'a str,
    now: Timestamp,
}

impl Maker<'_> {
    fn asked_for(&self, name: &str) -> bool {
        self.scope.split(' ').any(|scope| scope == name)
    }

    fn access_token(&self) -> Result<String, OAuthError> {
        let raw = match self.client.access_tokens {
            AccessTokens::Opaque => token(32)?,
            AccessTokens::Jwt => {
                let mut claims = self.common("Bearer")?;
                let audience = self.grant.audience.as_deref().unwrap_or(API);
                claims.insert("aud".into(), audience.into());
                claims.insert("client_id".into(), self.client.id.clone().into());
                claims.insert("scope".into(), self.scope.into());
                // The API behind the token wants to know whom it serves, whatever the client may read in its ID token.
                if let Some(user) = self.user {
                    claims.insert("email".into(), user.email.clone().into());
                }
                if let Some(actor) = &self.grant.actor {
                    claims.insert("act".into(), json!({"sub": actor}));
                }
                self.realm.keys.sign(self.client.algorithm, &claims)?
            }
        };
        self.note(&raw, Kind::Access, self.lifetime());
        Ok(raw)
    }

    fn id_token(&self, access_token: &str) -> Result<String, OAuthError> {
        let mut claims = self.common("ID")?;
        claims.insert("aud".into(), self.client.id.clone().into());
        if let Some(nonce) = &self.grant.nonce {
            claims.insert("nonce".into(), nonce.clone().into());
        }
        claims.insert("acr".into(), "1".into());
        claims.insert("amr".into(), json!(["pwd"]));
        claims.insert("at_hash".into(), half_hash(access_token).into());
        let raw = self.realm.keys.sign(self.client.algorithm, &claims)?;
        self.note(&raw, Kind::Id, self.lifetime());
        Ok(raw)
    }

    fn common(&self, kind: &str) -> Result<Map<String, Value>, OAuthError> {
        let mut claims = Map::new();
        claims.insert("iss".into(), self.realm.public_url().into());
        let subject = self.user.map_or(&self.client.id, |user| &user.id);
        claims.insert("sub".into(), subject.clone().into());
        claims.insert("typ".into(), kind.into());
        claims.insert("azp".into(), self.client.id.clone().into());
        claims.insert("iat".into(), self.now.as_second().into());
        claims.insert("exp".into(), (self.now + self.lifetime()).as_second().into());
        claims.insert("jti".into(), token(12)?.into());
        if let Some(session) = &self.grant.session {
            claims.insert("auth_time".into(), session.since.as_second().into());
            claims.insert("sid".into(), session.sid.clone().into());
        }
        if let Some(user) = self.user {
            claims.extend(profile(user, self.scope));
        }
        Ok(claims)
    }

    fn lifetime(&self) -> SignedDuration {
        SignedDuration::from_secs(
            self.realm
                .lifetime
                .0
                .as_secs()
                .try_into()
                .unwrap_or(i64::from(u32::MAX)),
        )
    }

    fn note(&self, raw: &str, kind: Kind, lifetime: SignedDuration) {
        let mut books = self.realm.books();
        books.issued.push(raw.to_owned());
        books.tokens.insert(
            raw.to_owned(),
            Token {
                kind,
                grant: self.id,
                scope: self.scope.to_owned(),
                expires: self.now + lifetime,
                revoked: false,
            },
        );
    }
}

/// The audience of access tokens that nobody asked another one for.
const API: &str = "demo-api";
const REFRESH_LIFETIME: SignedDuration = SignedDuration::from_hours(12);
