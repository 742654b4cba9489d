//! PRE_M2M_TOKEN_CREATION: before a client gets a token for itself.

use serde_json::Value;

use super::{
    claims::side_by_side,
    relying_party::RelyingParty,
    scene::{Scene, Since, message, tell_oauth_denial},
    tale::Tale,
};
use crate::{
    demo::client::{NoReply, Reply},
    event::Trigger,
};

pub(super) async fn allowed(scene: &Scene<'_>, tale: &mut Tale<'_>) -> Result<(), NoReply> {
    tale.begin(
        Trigger::PreM2mTokenCreation,
        "A batch job asks to read and write reports",
    );
    let party = RelyingParty::discover(scene).await?;
    let (reply, since) = ask(scene, tale, &party, "reports:read reports:write").await?;
    since.tell(tale, Trigger::PreM2mTokenCreation, "ALLOW");
    let answer = reply.json();
    let member = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let verified = party.access_token(member("access_token"));
    let before = since
        .issued
        .iter()
        .find_map(|raw| scene.provider.claims(raw))
        .unwrap_or_default();
    let claims = verified.clone().unwrap_or_default();
    tale.table("access token", &side_by_side(&before, &claims));
    tale.line("");
    tale.check("the token verifies with the keys found by discovery", verified.is_ok());
    let claim = |name: &str| claims.get(name).and_then(Value::as_str);
    tale.check(
        "it may read and no longer write, and the answer says so too",
        claim("scope") == Some("reports:read") && member("scope") == "reports:read",
    );
    tale.check("it has the claim that was added", claim("tier") == Some("standard"));
    Ok(())
}

pub(super) async fn denied(scene: &Scene<'_>, tale: &mut Tale<'_>) -> Result<(), NoReply> {
    tale.begin(Trigger::PreM2mTokenCreation, "The batch job asks for the scope `admin`");
    let party = RelyingParty::discover(scene).await?;
    let (reply, since) = ask(scene, tale, &party, "admin").await?;
    since.tell(tale, Trigger::PreM2mTokenCreation, "DENY");
    tell_oauth_denial(tale, &reply, &message(&since));
    let withheld = reply.status != 200 && !since.issued.is_empty();
    let gone = withheld && scene.revoked(&since.issued).await;
    tale.check(
        "the token that the provider had made counts no more: Tollgate revoked it",
        gone,
    );
    Ok(())
}

async fn ask(
    scene: &Scene<'_>,
    tale: &mut Tale<'_>,
    party: &RelyingParty<'_>,
    scope: &str,
) -> Result<(Reply, Since), NoReply> {
    let then = scene.now();
    tale.row(
        "client",
        &format!("POST /token, grant_type=client_credentials, scope={scope}"),
    );
    let call = scene
        .http
        .post(party.endpoint("token_endpoint"))
        .basic("batch", "batch-secret");
    let fields = [("grant_type", "client_credentials"), ("scope", scope)];
    let reply = call.form(&fields).send().await?;
    Ok((reply, scene.since(&then)))
}
