//! One `[[interceptor]]` of `proxy.toml`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{clock::Period, event::Trigger, fields, misconfigured::Misconfigured, secret::SecretSource};

/// One `[[interceptor]]`: whom to ask at which trigger, and what to do when no answer comes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the interceptor is called in the log, the audit and the event's `display_name`. Unique.
    pub name: String,
    /// When it is asked: `PRE_SIGNUP`, `PRE_SESSION_CREATION`, `PRE_USER_INVITATION`, `PRE_M2M_TOKEN_CREATION` or
    /// `PRE_CLIENT_REGISTRATION`.
    pub trigger: Trigger,
    /// The URL that events are posted to, `https://` or `http://`. Redirects are never followed.
    pub endpoint: String,
    /// The key of the signature: `whsec_` (or another prefix) and the key in base64.
    pub secret: SecretSource,
    /// The key before a rotation. While it is set, every request carries the signatures of both.
    #[serde(default)]
    pub previous_secret: Option<SecretSource>,
    /// How long one consultation may take: connect, TLS, request, whole answer and the retry. 50 ms to 30 s.
    #[serde(default = "default_timeout")]
    pub timeout: Period,
    /// What happens when the endpoint gives no answer: `deny` or `allow`. `deny` by default, except that
    /// `PRE_SESSION_CREATION` has no default: there it must be written.
    #[serde(default)]
    pub on_failure: Option<Policy>,
    /// What happens when the endpoint gives an answer that cannot be taken: `deny` (the default) or `allow`.
    #[serde(default)]
    pub on_invalid: Policy,
    /// What happens at a refresh: `consult` (the default) asks again, `reuse` takes the claims of the last ALLOW, which are kept,
    /// sealed, in the refresh token. For `PRE_SESSION_CREATION` only.
    #[serde(default)]
    pub on_refresh: OnRefresh,
    /// How often a call is repeated after a refused or reset connection, 502, 503 or 504: 0 (the default) or 1.
    #[serde(default)]
    pub retries: u32,
    /// Ask only where all of these match. An event that does not know the value counts as matching.
    #[serde(default)]
    pub when: Conditions,
    /// Do not ask where all of these match. An event that does not know the value counts as not matching.
    #[serde(default)]
    pub unless: Conditions,
    /// Claims of the upstream that this interceptor may replace.
    #[serde(default)]
    pub may_override: Vec<String>,
    /// The claim below which this interceptor's claims are put. Without it they stand at the top level.
    #[serde(default)]
    pub claims_at: Option<String>,
    /// How Tollgate authenticates to the endpoint, beside the signature.
    #[serde(default)]
    pub authentication: Option<Authentication>,
    /// What is done with single fields of the event before it is sent: a path and `drop`, `mask` or `hash`, such as
    /// `"interceptor_context.ip_address" = "drop"` or `"data.**.email" = "hash"`. The audit has the event as it was before.
    #[serde(default)]
    pub redact: fields::Table,
    /// The key of `hash`, 32 bytes or more.
    #[serde(default)]
    pub redact_key: Option<SecretSource>,
    /// How many consultations may be under way at once. One more is denied, whatever `on_failure` says: load must
    /// not open the gate. 1 to 100,000; 100 by default.
    #[serde(default = "default_max_concurrent")]
    pub max_concurrent: usize,
    /// How many of them one client may have, by its address (of IPv6, the first 64 bits): nobody takes all places. One more is
    /// denied likewise. Default: half of `max_concurrent`.
    #[serde(default)]
    pub max_concurrent_per_client: Option<usize>,
    /// When to stop calling an endpoint that is down.
    #[serde(default)]
    pub breaker: BreakerSettings,
    /// With a policy of `allow`: the share of a minute's consultations that may fail before the interceptor fails
    /// closed. 0 to 1; 0.2 by default; 1 switches the limit off. Judged from 10 consultations a minute on.
    #[serde(default = "default_fail_open_limit")]
    pub fail_open_limit: f64,
    /// A PEM file with root certificates to trust beside those of the system.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Whether the endpoint may have a loopback or private address. Link-local and metadata addresses are always
    /// refused.
    #[serde(default = "yes")]
    pub allow_private_network: bool,
    /// `false` keeps the interceptor in the file without asking it.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What a failure comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The request ends.
    #[default]
    Deny,
    /// The request goes on, with nothing added.
    Allow,
}

/// Whether an interceptor is asked at a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRefresh {
    /// It is.
    #[default]
    Consult,
    /// Its last ALLOW counts; without one it is asked.
    Reuse,
}

/// What an event is compared with. Within a list one match is enough; every list that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Realms, or tenants where the upstream has no realms; `*` stands for any characters.
    pub realms: Vec<String>,
    /// Client ids; `*` stands for any characters.
    pub clients: Vec<String>,
    /// Grant types; `*` stands for any characters.
    pub grants: Vec<String>,
    /// Networks of the client's address, like `10.0.0.0/8`, or single addresses.
    pub networks: Vec<String>,
}

impl Conditions {
    /// The lists that are given, with their names.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        let lists = [
            ("realms", &self.realms),
            ("clients", &self.clients),
            ("grants", &self.grants),
            ("networks", &self.networks),
        ];
        let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
        given.map(|(name, list)| (name, list.as_slice()))
    }
}

/// How Tollgate authenticates to an endpoint. Every secret comes from a file or the environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Authentication {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Bearer(SecretSource),
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// The user name, without a colon.
        username: String,
        /// The password.
        password: SecretSource,
    },
    /// A header of the operator's choice.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: SecretSource,
    },
    /// A TLS client certificate; the endpoint must be `https://`.
    ClientCertificate {
        /// A PEM file with the certificate and its chain.
        certificate: PathBuf,
        /// The private key in PEM.
        key: SecretSource,
    },
}

/// When an endpoint that is down is no longer called, so that requests do not wait for its timeout.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Opens after so many failures in a row. At least 1; 5 by default.
    pub failures_in_a_row: u32,
    /// Opens when more than this share of the calls in `window` failed. Above 0, to 1; 0.5 by default.
    pub failure_share: f64,
    /// `failure_share` is judged from so many calls in `window` on. At least 1; 20 by default.
    pub minimum_calls: u32,
    /// How far back `failure_share` looks. 1 s to 1 h; 10 s by default.
    pub window: Period,
    /// How long it stays open before one call is let through to see. 100 ms to 1 h; 5 s by default.
    pub open_for: Period,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures_in_a_row: 5,
            failure_share: 0.5,
            minimum_calls: 20,
            window: Period::secs(10),
            open_for: Period::secs(5),
        }
    }
}

impl Settings {
    /// `on_failure` with its default. `PRE_SESSION_CREATION` has none; unwritten, it would deny.
    pub fn on_failure(&self) -> Policy {
        self.on_failure.unwrap_or_default()
    }

    /// What is wrong with the plain values; files, secrets and the endpoint are judged where they are read.
    pub(super) fn findings(&self) -> Vec<Misconfigured> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, key: &str, message: &str, hint: &str| {
            if !holds {
                found.push(Misconfigured::new(key, message).hint(hint));
            }
        };
        let name = self.name.trim();
        expect(
            !name.is_empty() && name == self.name && name.len() <= 200 && !name.contains(char::is_control),
            "name",
            "a name is one line of 1 to 200 bytes without spaces around it",
            "write what the interceptor is for, like `name = \"Only our own domains\"`",
        );
        expect(
            (Period::millis(50)..=Period::secs(30)).contains(&self.timeout),
            "timeout",
            &format!("a timeout of {} is out of range", self.timeout),
            "write a time from `50ms` to `30s`",
        );
        expect(
            self.on_failure.is_some() || self.trigger != Trigger::PreSessionCreation,
            "on_failure",
            "`on_failure` must be written for PRE_SESSION_CREATION",
            "`deny` logs nobody in while the endpoint is away; `allow` lets sessions through without its claims",
        );
        expect(
            self.on_refresh == OnRefresh::Consult || self.trigger == Trigger::PreSessionCreation,
            "on_refresh",
            "only the tokens of PRE_SESSION_CREATION are refreshed",
            "leave it out here",
        );
        expect(
            self.retries <= 1,
            "retries",
            "a call is repeated once at most",
            "write 0 or 1",
        );
        expect(
            (1..=100_000).contains(&self.max_concurrent),
            "max_concurrent",
            "the number of concurrent consultations is out of range",
            "write a number from 1 to 100000",
        );
        expect(
            self.max_concurrent_per_client.is_none_or(|most| most >= 1),
            "max_concurrent_per_client",
            "no client could ever be asked about",
            "write a number from 1 on",
        );
        expect(
            (0.0..=1.0).contains(&self.fail_open_limit),
            "fail_open_limit",
            "the limit is a share of a minute's consultations",
            "write a number from 0 to 1, like 0.2 for 20 %",
        );
        found.extend(self.breaker.findings().into_iter().map(|f| f.below("breaker")));
        found
    }
}

impl Settings {
    /// How many consultations one client may have under way.
    pub fn per_client(&self) -> usize {
        self.max_concurrent_per_client
            .unwrap_or_else(|| self.max_concurrent.div_ceil(2))
    }
}

impl BreakerSettings {
    fn findings(&self) -> Vec<Misconfigured> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, key: &str, hint: &str| {
            if !holds {
                found.push(Misconfigured::new(key, "the value is out of range").hint(hint));
            }
        };
        let hour = Period::secs(3_600);
        expect(
            self.failures_in_a_row >= 1,
            "failures_in_a_row",
            "write a number from 1 on",
        );
        expect(
            self.failure_share > 0.0 && self.failure_share <= 1.0,
            "failure_share",
            "write a number above 0, up to 1",
        );
        expect(self.minimum_calls >= 1, "minimum_calls", "write a number from 1 on");
        expect(
            (Period::secs(1)..=hour).contains(&self.window),
            "window",
            "write a time from `1s` to `1h`",
        );
        expect(
            (Period::millis(100)..=hour).contains(&self.open_for),
            "open_for",
            "write a time from `100ms` to `1h`",
        );
        found
    }
}

fn default_timeout() -> Period {
    Period::secs(3)
}

fn default_max_concurrent() -> usize {
    100
}

fn default_fail_open_limit() -> f64 {
    0.2
}

fn yes() -> bool {
    true
}
