//! The demo's `proxy.toml`: real configuration, loaded like any other.

use std::net::SocketAddr;

use super::{hooks::Hooks, provider::Provider};
use crate::event::Trigger;

/// The text of `proxy.toml` for a proxy that listens on `listen`, in front of this provider and these interceptors.
/// Its paths are relative to the folder it is written to.
pub fn config_text(listen: SocketAddr, provider: &Provider, hooks: &Hooks) -> String {
    let upstream = provider.url();
    let mut text = format!(
        r#"# Written by `tollgate demo`. Everything here means the same in a file of your own.

environment = "demo"

[listen]
address = "{listen}"
public_url = "http://{listen}"

[upstream]
url = "{upstream}"
preset = "generic"

[tokens]
keys = "{KEYS}"
capsule_secret = {{ file = "{CAPSULE_SECRET}" }}

[audit]
store = "sqlite:audit.db"

[admin]
address = "127.0.0.1:0"

[log]
level = "warn"
{ROUTES}"#
    );
    for (name, trigger) in INTERCEPTORS {
        let (endpoint, file) = (hooks.endpoint(trigger), secret_file(trigger));
        text.push_str(&format!(
            r#"
[[interceptor]]
name = "{name}"
trigger = "{trigger}"
endpoint = "{endpoint}"
secret = {{ file = "{file}" }}
on_failure = "deny"
"#
        ));
    }
    text
}

/// Where the secret of a trigger's interceptor is, from the folder on.
pub(super) fn secret_file(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::PreSignup => "secrets/signup.key",
        Trigger::PreSessionCreation => "secrets/session.key",
        Trigger::PreUserInvitation => "secrets/invitation.key",
        Trigger::PreM2mTokenCreation => "secrets/machine.key",
        Trigger::PreClientRegistration => "secrets/registration.key",
    }
}

/// The configuration's own name in the folder.
pub(super) const FILE: &str = "proxy.toml";
/// The folder of signing keys.
pub(super) const KEYS: &str = "signing";
/// The file of the capsule's secret.
pub(super) const CAPSULE_SECRET: &str = "capsule.key";

/// The triggers that the demonstration shows; its provider registers no clients.
pub(super) const INTERCEPTORS: [(&str, Trigger); 4] = [
    ("No disposable addresses", Trigger::PreSignup),
    ("Roles and feature flags", Trigger::PreSessionCreation),
    ("Seats of the plan", Trigger::PreUserInvitation),
    ("Scope and rate of machines", Trigger::PreM2mTokenCreation),
];

const ROUTES: &str = r#"
# OpenID Connect knows no signup and no invitation, so the provider's own requests for them are named here.

[[route]]
name = "signup"
methods = ["POST"]
path = "/signup"
does = "consult"
trigger = "PRE_SIGNUP"
bodies = ["form", "multipart"]
denial = "page"
[route.facts]
"user.email" = "form:email"
"user.name" = "form:name"

[[route]]
name = "create-user"
methods = ["POST"]
path = "/api/users"
does = "consult"
trigger = "PRE_USER_INVITATION"
bodies = ["json"]
[route.facts]
"organization.id" = "caller:/org_id"
"user.email" = "json:/email"
"user.name" = "json:/name"
"inviter.id" = "caller:/sub"
"inviter.email" = "caller:/email"

[[route]]
name = "invite-to-organization"
methods = ["POST"]
path = "/api/organizations/{id}/invitations"
does = "consult"
trigger = "PRE_USER_INVITATION"
bodies = ["json"]
[route.facts]
"organization.id" = "path:id"
"user.email" = "json:/email"
"user.name" = "json:/name"
"inviter.id" = "caller:/sub"
"inviter.email" = "caller:/email"
"#;
