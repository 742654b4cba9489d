//! What a setting looks like, for hints.

use toml::de::DeTable;

use super::tree::{self, Node};

/// Settings that must be there or are often mistaken; `*` is the index of a list item.
pub(super) const EXAMPLES: [(&str, &str); 49] = [
    ("environment", "environment = \"prod-eu\""),
    ("consult_budget", "consult_budget = \"10s\""),
    (
        "listen",
        "[listen]\naddress = \"127.0.0.1:8443\"\npublic_url = \"http://127.0.0.1:8443\"",
    ),
    ("listen.address", "address = \"127.0.0.1:8443\""),
    ("listen.public_url", "public_url = \"https://id.example.com\""),
    (
        "listen.tls",
        "tls = { certificate = \"certs/tls.crt\", key = \"certs/tls.key\" }",
    ),
    ("listen.tls.certificate", "certificate = \"certs/tls.crt\""),
    ("listen.tls.key", "key = \"certs/tls.key\""),
    ("listen.trusted_proxies", "trusted_proxies = [\"10.0.0.0/8\"]"),
    (
        "upstream",
        "[upstream]\nurl = \"http://127.0.0.1:8080\"\npreset = \"generic\"",
    ),
    ("upstream.url", "url = \"http://127.0.0.1:8080\""),
    (
        "upstream.addresses",
        "addresses = [\"10.0.0.1:8080\", \"10.0.0.2:8080\"]",
    ),
    (
        "upstream.health_check",
        "health_check = { path = \"/health/ready\", interval = \"5s\" }",
    ),
    ("upstream.http", "http = \"auto\""),
    ("upstream.preset", "preset = \"generic\""),
    ("upstream.issuer", "issuer = \"preserve\""),
    (
        "upstream.service_account",
        "service_account = { client_id = \"tollgate\", client_secret = { env = \"TOLLGATE_CLIENT_SECRET\" } }",
    ),
    (
        "upstream.service_account.client_secret",
        "client_secret = { env = \"TOLLGATE_CLIENT_SECRET\" }",
    ),
    (
        "upstream.late_signup",
        "late_signup = { since = \"2026-11-24T00:00:00Z\" }",
    ),
    ("upstream.late_signup.since", "since = \"2026-11-24T00:00:00Z\""),
    ("upstream.saml", "saml = \"block\""),
    ("geo.database", "database = \"GeoLite2-City.mmdb\""),
    ("tokens.keys", "keys = \"certs/signing\""),
    ("tokens.algorithm", "algorithm = \"match\""),
    ("audit.store", "store = \"sqlite:audit.db\""),
    ("audit.retention", "retention = \"30d\""),
    ("audit.on_failure", "on_failure = \"deny\""),
    ("audit.sink.*.name", "name = \"siem\""),
    ("audit.sink.*.to", "to = { url = \"https://siem.example.com/events\" }"),
    ("admin.address", "address = \"127.0.0.1:9443\""),
    ("admin.public_url", "public_url = \"https://tollgate.example.com\""),
    ("admin.token", "token = { file = \"certs/admin.token\" }"),
    (
        "admin.login",
        "login = { client_id = \"tollgate-admin\", operators = [\"tollgate-operator\"] }",
    ),
    ("admin.login.client_id", "client_id = \"tollgate-admin\""),
    ("admin.login.roles", "roles = \"/realm_access/roles\""),
    ("admin.login.operators", "operators = [\"tollgate-operator\"]"),
    ("test.cases", "cases = \"cases\""),
    ("denial.status", "status = 400"),
    ("denial.page", "page = \"denied.html\""),
    ("log.format", "format = \"text\""),
    ("log.level", "level = \"info\""),
    ("interceptor.*.name", "name = \"Only our own domains\""),
    ("interceptor.*.trigger", "trigger = \"PRE_SIGNUP\""),
    (
        "interceptor.*.endpoint",
        "endpoint = \"https://hooks.example.com/signup\"",
    ),
    ("interceptor.*.secret", "secret = { file = \"certs/signup-hook.key\" }"),
    ("interceptor.*.timeout", "timeout = \"3s\""),
    ("interceptor.*.on_failure", "on_failure = \"deny\""),
    ("interceptor.*.on_invalid", "on_invalid = \"deny\""),
    ("interceptor.*.when.realms", "realms = [\"customers\"]"),
];

/// What the choices of a setting come to, where their names do not say it.
const MEANINGS: [(&str, &str); 2] = [
    (
        "interceptor.*.on_failure",
        "`allow` lets the request through when the endpoint does not answer",
    ),
    (
        "interceptor.*.on_invalid",
        "`allow` lets the request through when the endpoint answers what cannot be taken",
    ),
];

/// How the setting at a path is written.
pub(super) fn of(path: &[String]) -> Option<&'static str> {
    find(&EXAMPLES, path)
}

/// What the choices of the setting at a path come to.
pub(super) fn meaning(path: &[String]) -> Option<&'static str> {
    find(&MEANINGS, path)
}

/// The value of the example for a path; its place is nowhere.
pub(super) fn value(path: &[String]) -> Option<Node<'static>> {
    let table = DeTable::parse(of(path)?).ok()?.into_inner();
    let (_, value) = table.into_iter().next()?;
    let nowhere = usize::MAX - 1..usize::MAX;
    Some(tree::place(value.into_inner(), &nowhere))
}

fn find(table: &[(&str, &'static str)], path: &[String]) -> Option<&'static str> {
    let fits = |pattern: &str| {
        let steps: Vec<&str> = pattern.split('.').collect();
        let same = |(step, have): (&&str, &String)| *step == have || (*step == "*" && have.parse::<usize>().is_ok());
        steps.len() == path.len() && steps.iter().zip(path).all(same)
    };
    table.iter().find(|(pattern, _)| fits(pattern)).map(|(_, text)| *text)
}
