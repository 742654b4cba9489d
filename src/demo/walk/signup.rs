//! PRE_SIGNUP: before an account is made.

use super::{
    scene::{Scene, message},
    tale::Tale,
};
use crate::{demo::client::NoReply, event::Trigger};

pub(super) async fn allowed(scene: &Scene<'_>, tale: &mut Tale<'_>) -> Result<(), NoReply> {
    tale.begin(Trigger::PreSignup, "Joan signs up");
    let then = scene.now();
    let email = "joan@example.com";
    tale.row(
        "client",
        &format!("POST /signup, the form of the signup page, email={email}"),
    );
    let form = [("name", "Joan Clarke"), ("email", email), ("password", "enigma")];
    let page = scene.http.post(scene.at("/signup")).form(&form).send().await?;
    scene.since(&then).tell(tale, Trigger::PreSignup, "ALLOW");
    tale.row("client sees", &format!("{}, the provider's own page", page.status));
    tale.check("the client sees the provider's answer", page.status == 201);
    tale.check("the provider has the account", scene.provider.has_user(email));
    Ok(())
}

pub(super) async fn denied(scene: &Scene<'_>, tale: &mut Tale<'_>) -> Result<(), NoReply> {
    tale.begin(Trigger::PreSignup, "Mallory signs up with a disposable address");
    let then = scene.now();
    let email = "mallory@mailinator.com";
    tale.row(
        "client",
        &format!("POST /signup, the form of the signup page, email={email}"),
    );
    let form = [("name", "Mallory"), ("email", email), ("password", "hunter2")];
    let page = scene.http.post(scene.at("/signup")).form(&form).send().await?;
    let since = scene.since(&then);
    since.tell(tale, Trigger::PreSignup, "DENY");
    let message = message(&since);
    tale.row("client sees", &format!("{}, a page that says\n{message}", page.status));
    let is_told = page.status.is_client_error() && page.text().contains(&message);
    tale.check("the client is told why, on a page", is_told);
    tale.check("the provider never saw the request", !since.reached("POST", "/signup"));
    tale.check("the provider has no such account", !scene.provider.has_user(email));
    Ok(())
}
