//! PRE_USER_INVITATION: before an account is made for somebody else.

use serde_json::json;

use super::{
    scene::{Scene, Since, message},
    tale::Tale,
};
use crate::{
    demo::client::{NoReply, Reply},
    event::Trigger,
};

pub(super) async fn allowed(scene: &Scene<'_>, tale: &mut Tale<'_>, ada: &str) -> Result<(), NoReply> {
    tale.begin(Trigger::PreUserInvitation, "Ada invites Kate into her team of three");
    let email = "kate@example.com";
    let (reply, since) = invite(scene, tale, ada, email).await?;
    since.tell(tale, Trigger::PreUserInvitation, "ALLOW");
    tale.row("client sees", &reply.status.to_string());
    tale.check("the client sees the provider's answer", reply.status == 201);
    tale.check("the provider has the account", scene.provider.has_user(email));
    Ok(())
}

pub(super) async fn denied(scene: &Scene<'_>, tale: &mut Tale<'_>, ada: &str) -> Result<(), NoReply> {
    tale.begin(
        Trigger::PreUserInvitation,
        "Ada invites Lin as well, into a team of four",
    );
    let email = "lin@example.com";
    let (reply, since) = invite(scene, tale, ada, email).await?;
    since.tell(tale, Trigger::PreUserInvitation, "DENY");
    tale.row("client sees", &format!("{}\n{}", reply.status, reply.text()));
    let is_told = reply.status.is_client_error() && reply.text().contains(&message(&since));
    tale.check("the client is told why, as JSON", is_told);
    tale.check(
        "the provider never saw the request",
        !since.reached("POST", INVITATIONS),
    );
    tale.check("the provider has no such account", !scene.provider.has_user(email));
    Ok(())
}

async fn invite(scene: &Scene<'_>, tale: &mut Tale<'_>, ada: &str, email: &str) -> Result<(Reply, Since), NoReply> {
    let then = scene.now();
    tale.row(
        "client",
        &format!("POST {INVITATIONS}\nwith Ada's token, email={email}"),
    );
    let call = scene.http.post(scene.at(INVITATIONS)).bearer(ada);
    let reply = call.json(&json!({"email": email})).send().await?;
    Ok((reply, scene.since(&then)))
}

const INVITATIONS: &str = "/api/organizations/org_tea/invitations";
