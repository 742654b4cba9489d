//! PRE_SESSION_CREATION: before tokens are handed out.

use serde_json::{Map, Value};

use super::{
    claims::side_by_side,
    relying_party::RelyingParty,
    scene::{Scene, message, tell_oauth_denial},
    tale::Tale,
};
use crate::{demo::client::NoReply, event::Trigger};

/// Says Ada's access token, with which she goes on.
pub(super) async fn allowed(scene: &Scene<'_>, tale: &mut Tale<'_>) -> Result<String, NoReply> {
    tale.begin(Trigger::PreSessionCreation, "Ada logs in");
    let party = RelyingParty::discover(scene).await?;
    let then = scene.now();
    tale.row("client", "authorization code with PKCE, everything found by discovery");
    let answer = party.log_in("ada@example.com", "correct-horse").await?;
    let since = scene.since(&then);
    since.tell(tale, Trigger::PreSessionCreation, "ALLOW");
    tale.check("the client gets tokens", answer.status == 200);

    let tokens = answer.json();
    let token = |name: &str| tokens.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (access_token, id_token) = (token("access_token"), token("id_token"));
    let id_claims = party.id_token(&id_token, &access_token);
    let access_claims = party.access_token(&access_token);
    let verified = id_claims.is_ok() && access_claims.is_ok();
    let (id_claims, access_claims) = (shown(tale, id_claims), shown(tale, access_claims));
    let of_provider = |kind: &str| {
        let mut made = since.issued.iter().filter_map(|raw| scene.provider.claims(raw));
        made.find(|claims| claims.get("typ").and_then(Value::as_str) == Some(kind))
            .unwrap_or_default()
    };
    tale.table("access token", &side_by_side(&of_provider("Bearer"), &access_claims));
    tale.table("ID token", &side_by_side(&of_provider("ID"), &id_claims));
    tale.line("");
    tale.check(
        "both tokens verify with the keys found by discovery, `at_hash` fits",
        verified,
    );
    let added = ["roles", "feature_flags"];
    let has_all = |claims: &Map<String, Value>| added.iter().all(|name| claims.contains_key(*name));
    tale.check(
        "both have the claims that were added",
        has_all(&id_claims) && has_all(&access_claims),
    );

    let userinfo = |raw: String| {
        let call = scene.http.get(party.endpoint("userinfo_endpoint")).bearer(&raw);
        async move { call.send().await }
    };
    let known = userinfo(access_token.clone()).await?;
    tale.check(
        "userinfo works with this token: Tollgate gives the provider its own one back",
        known.json().get("sub").and_then(Value::as_str) == Some("ada")
            && !scene.provider.token_is_active(&access_token),
    );
    let native = since.issued.iter().find(|raw| scene.provider.claims(raw).is_some());
    let native = native.cloned().unwrap_or_default();
    let slipped = userinfo(native.clone()).await?;
    tale.check(
        "the provider's own token is worthless out here: no key fits, and Tollgate refuses it",
        party.access_token(&native).is_err() && slipped.status == 401,
    );
    Ok(access_token)
}

pub(super) async fn denied(scene: &Scene<'_>, tale: &mut Tale<'_>) -> Result<(), NoReply> {
    tale.begin(Trigger::PreSessionCreation, "Grace, whose company has SSO, logs in");
    let party = RelyingParty::discover(scene).await?;
    let then = scene.now();
    tale.row(
        "client",
        "authorization code with PKCE, as before; the password is right",
    );
    let answer = party.log_in("grace@bigcorp.example", "rear-admiral").await?;
    let since = scene.since(&then);
    since.tell(tale, Trigger::PreSessionCreation, "DENY");
    tell_oauth_denial(tale, &answer, &message(&since));
    tale.row(
        "provider",
        &format!("had made {} tokens, which nobody got", since.issued.len()),
    );
    let withheld = answer.status != 200 && !since.issued.is_empty();
    let gone = withheld && scene.revoked(&since.issued).await;
    tale.check("none of them counts any more: Tollgate revoked them", gone);
    Ok(())
}

/// The claims of a token; one that was not accepted has none and says why.
fn shown(tale: &mut Tale<'_>, verified: Result<Map<String, Value>, String>) -> Map<String, Value> {
    verified.unwrap_or_else(|why| {
        tale.row("", &format!("a token was not accepted: {why}"));
        Map::new()
    })
}
