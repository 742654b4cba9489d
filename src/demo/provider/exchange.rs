//! A token for a token (RFC 8693).

use serde_json::{Map, Value};

use super::{
    answer::OAuthError,
    client_auth,
    fields::Fields,
    issue::{self, With},
    options::Client,
    realm::{Grant, Realm},
};

/// Exchanges an access token of a user for another one, narrower or for another audience. An `actor_token` becomes
/// the claim `act`. The new token ends with the user's session.
pub(super) fn exchange(realm: &Realm, client: &Client, fields: &Fields) -> Result<Map<String, Value>, OAuthError> {
    let read = |name: &str| {
        let kind = fields.require(&format!("{name}_type"))?;
        if kind != ACCESS_TOKEN && kind != "urn:ietf:params:oauth:token-type:jwt" {
            return Err(OAuthError::invalid_request("only access tokens are exchanged here"));
        }
        realm
            .access_token(fields.require(name)?)
            .ok_or_else(|| OAuthError::invalid_request(format!("the `{name}` is unknown, expired or revoked")))
    };
    let subject = read("subject_token")?;
    let actor = fields.get("actor_token").map(|_| read("actor_token")).transpose()?;
    if fields
        .get("requested_token_type")
        .is_some_and(|kind| kind != ACCESS_TOKEN)
    {
        return Err(OAuthError::invalid_request("only access tokens are handed out here"));
    }
    if subject.user.is_none() {
        return Err(OAuthError::invalid_request("the `subject_token` is no user's"));
    }
    let scope = match fields.get("scope") {
        Some(_) => client_auth::scope(client, fields.get("scope"))?,
        None => subject.scope.clone(),
    };
    if scope
        .split(' ')
        .any(|scope| !subject.scope.split(' ').any(|s| s == scope))
    {
        return Err(OAuthError::new(
            "invalid_scope",
            "the scope is wider than the subject's",
        ));
    }
    let id = realm.books().grant(Grant {
        client: client.id.clone(),
        scope: scope.clone(),
        nonce: None,
        actor: actor.map(|actor| actor.user.unwrap_or(actor.client)),
        audience: fields.get("audience").map(str::to_owned),
        ..subject
    });
    let mut answer = issue::answer(realm, id, &scope, With::Nothing)?;
    answer.insert("issued_token_type".into(), ACCESS_TOKEN.into());
    Ok(answer)
}

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
