//! The tab Configuration: what is in effect, and where each value was written.

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State},
    response::Response,
};

use super::{Head, find, policy};
use crate::{
    dashboard::{
        access::Visitor,
        console::{Installation, Shared},
        frame::{Frame, Section, show},
    },
    interceptor::{Authentication, Conditions, Settings},
    secret::SecretSource,
};

#[derive(Template)]
#[template(path = "interceptor/configuration.html")]
struct Page {
    frame: Frame,
    head: Head,
    groups: Vec<Group>,
    file: String,
}

/// Settings that belong together.
struct Group {
    title: &'static str,
    settings: Vec<Setting>,
}

/// A setting as it is in effect.
struct Setting {
    key: &'static str,
    value: String,
    /// Where it was written; empty for a default.
    origin: String,
    meaning: &'static str,
}

pub(super) async fn page(
    State(console): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Response {
    let (index, interceptor) = match find(&console, &visitor, &name) {
        Ok(found) => found,
        Err(page) => return *page,
    };
    show(&Page {
        frame: Frame::new(&console, &visitor, Section::Interceptors, interceptor.name()),
        head: Head::of(interceptor, "configuration"),
        groups: groups(interceptor.settings(), index, &console.installation),
        file: console.installation.file.clone(),
    })
}

fn groups(settings: &Settings, index: usize, installation: &Installation) -> Vec<Group> {
    let setting = |key: &'static str, value: String, meaning: &'static str| Setting {
        key,
        value,
        origin: origin(installation, &format!("interceptor.{index}.{key}")),
        meaning,
    };
    let or_none = |value: Option<String>| value.unwrap_or_else(|| NONE.into());
    let breaker = &settings.breaker;
    vec![
        Group {
            title: "Who is asked, and when",
            settings: vec![
                setting(
                    "trigger",
                    settings.trigger.to_string(),
                    "the moment at which it is asked",
                ),
                setting("endpoint", settings.endpoint.clone(), "where events are posted to"),
                setting("enabled", settings.enabled.to_string(), "whether it is asked at all"),
                setting("when.realms", list(&settings.when.realms), "asked only for these"),
                setting("when.clients", list(&settings.when.clients), "asked only for these"),
                setting("when.grants", list(&settings.when.grants), "asked only for these"),
                setting("when.networks", list(&settings.when.networks), "asked only for these"),
                setting(
                    "unless",
                    conditions(&settings.unless),
                    "not asked where all of these match",
                ),
            ],
        },
        Group {
            title: "When no good answer comes",
            settings: vec![
                setting(
                    "timeout",
                    settings.timeout.to_string(),
                    "for connecting, the whole answer and a retry",
                ),
                setting(
                    "retries",
                    settings.retries.to_string(),
                    "after a refused or reset connection, 502, 503, 504",
                ),
                setting(
                    "on_failure",
                    policy(settings.on_failure()).into(),
                    "what no answer comes to",
                ),
                setting(
                    "on_invalid",
                    policy(settings.on_invalid).into(),
                    "what an answer that cannot be taken comes to",
                ),
                setting(
                    "fail_open_limit",
                    settings.fail_open_limit.to_string(),
                    "the share of a minute's consults that may fail open before it fails closed",
                ),
                setting(
                    "max_concurrent",
                    settings.max_concurrent.to_string(),
                    "consults under way at once; one more is denied",
                ),
                setting(
                    "max_concurrent_per_client",
                    settings.per_client().to_string(),
                    "as many of them for one client's address",
                ),
                setting(
                    "breaker.failures_in_a_row",
                    breaker.failures_in_a_row.to_string(),
                    "open the breaker",
                ),
                setting(
                    "breaker.failure_share",
                    breaker.failure_share.to_string(),
                    "of the calls in the window opens it too",
                ),
                setting(
                    "breaker.minimum_calls",
                    breaker.minimum_calls.to_string(),
                    "in the window before the share is judged",
                ),
                setting(
                    "breaker.window",
                    breaker.window.to_string(),
                    "how far back the share looks",
                ),
                setting(
                    "breaker.open_for",
                    breaker.open_for.to_string(),
                    "until one call is let through to see",
                ),
            ],
        },
        Group {
            title: "Claims",
            settings: vec![
                setting(
                    "claims_at",
                    or_none(settings.claims_at.clone()),
                    "the claim below which its claims are put",
                ),
                setting(
                    "may_override",
                    list(&settings.may_override),
                    "claims of the provider that it may replace",
                ),
            ],
        },
        Group {
            title: "Secrets and trust",
            settings: vec![
                setting(
                    "secret",
                    reference(&settings.secret),
                    "the key that events are signed with",
                ),
                setting(
                    "previous_secret",
                    or_none(settings.previous_secret.as_ref().map(reference)),
                    "signs as well while you rotate",
                ),
                setting(
                    "authentication",
                    or_none(settings.authentication.as_ref().map(authentication)),
                    "how Tollgate authenticates beside the signature",
                ),
                setting(
                    "ca",
                    or_none(settings.ca.as_ref().map(|path| path.display().to_string())),
                    "root certificates beside those of the system",
                ),
                setting(
                    "allow_private_network",
                    settings.allow_private_network.to_string(),
                    "whether the endpoint may have a private address",
                ),
            ],
        },
    ]
}

/// Where the value of a key, of its first item or of its first member was written.
fn origin(installation: &Installation, key: &str) -> String {
    let below = [
        "",
        ".0",
        ".file",
        ".env",
        ".realms.0",
        ".clients.0",
        ".grants.0",
        ".networks.0",
    ];
    let members = [
        ".bearer.file",
        ".bearer.env",
        ".basic.username",
        ".header.name",
        ".client_certificate.certificate",
    ];
    let mut places = below.into_iter().chain(members);
    let origin = places.find_map(|place| (installation.origin)(&format!("{key}{place}")));
    let origin = origin.unwrap_or_default();
    // The page names the whole path once.
    origin.rsplit('/').next().unwrap_or(&origin).to_owned()
}

/// Where a secret is, never what it is.
fn reference(source: &SecretSource) -> String {
    match source {
        SecretSource::File { file } => format!("file {}", file.display()),
        SecretSource::Env { env } => format!("environment variable {env}"),
    }
}

fn authentication(authentication: &Authentication) -> String {
    match authentication {
        Authentication::Bearer(token) => format!("bearer token from {}", reference(token)),
        Authentication::Basic { username, password } => {
            format!("basic, as {username}, password from {}", reference(password))
        }
        Authentication::Header { name, value } => format!("header {name} from {}", reference(value)),
        Authentication::ClientCertificate { certificate, key } => {
            format!(
                "client certificate {}, key from {}",
                certificate.display(),
                reference(key)
            )
        }
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        NONE.into()
    } else {
        items.join(", ")
    }
}

fn conditions(conditions: &Conditions) -> String {
    let lists = conditions.given();
    let written: Vec<_> = lists
        .map(|(name, list)| format!("{name}: {}", list.join(", ")))
        .collect();
    if written.is_empty() {
        NONE.into()
    } else {
        written.join("; ")
    }
}

const NONE: &str = "—";
