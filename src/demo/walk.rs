//! The narrated walk: each trigger once allowed and once denied, seen from the client's side of the proxy, with a look
//! behind it as proof.

mod claims;
mod invitation;
mod machine;
mod relying_party;
mod scene;
mod session;
mod signup;
mod tale;

use std::io::{self, Write};

use self::{scene::Scene, tale::Tale};
use super::Demo;

/// How a walk went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many decisions were shown.
    pub steps: usize,
    /// What did not come out as it was said to, in sentences; empty when all is well.
    pub failures: Vec<String>,
}

/// Takes the walk and writes it down as it goes. `audit` gives the records at the end, as the caller prints them.
///
/// # Errors
/// `out` cannot be written to. What goes wrong on the way is in the outcome.
pub async fn walk(demo: &Demo, out: &mut (dyn Write + Send), audit: impl Fn() -> String) -> io::Result<Outcome> {
    let scene = Scene::new(demo);
    let mut tale = Tale::new(out);
    introduce(demo, &mut tale);

    let told = signup::allowed(&scene, &mut tale).await;
    tale.end(told)?;
    let told = signup::denied(&scene, &mut tale).await;
    tale.end(told)?;
    let told = session::allowed(&scene, &mut tale).await;
    let ada = tale.end(told)?.unwrap_or_default();
    let told = session::denied(&scene, &mut tale).await;
    tale.end(told)?;
    let told = invitation::allowed(&scene, &mut tale, &ada).await;
    tale.end(told)?;
    let told = invitation::denied(&scene, &mut tale, &ada).await;
    tale.end(told)?;
    let told = machine::allowed(&scene, &mut tale).await;
    tale.end(told)?;
    let told = machine::denied(&scene, &mut tale).await;
    tale.end(told)?;

    tale.line("");
    tale.line("What the audit has");
    tale.line("");
    for line in audit().lines() {
        tale.line(format!("  {line}").trim_end());
    }
    tale.conclude()
}

fn introduce(demo: &Demo, tale: &mut Tale<'_>) {
    tale.line("Tollgate stands between clients and an OpenID provider. It pauses four kinds of requests,");
    tale.line("asks an interceptor, and lets them go on, with claims added to the tokens, or stops them.");
    tale.line("");
    tale.row("clients", &format!("talk to    {}", demo.public_url()));
    tale.row("provider", &format!("behind it  {}", demo.provider().url()));
    let endpoint = demo.hooks().endpoint(crate::event::Trigger::PreSignup);
    tale.row("interceptors", &format!("beside it  {endpoint} and three more"));
    tale.row("settings", &format!("in         {}", demo.config_path().display()));
}

#[cfg(test)]
mod tests;
