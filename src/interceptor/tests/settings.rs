//! Settings that cannot be used are found all at once, each under its key.

use std::path::Path;

use serde_json::{Value, json};

use super::{SECRET, settings_of};
use crate::{
    clock::{Clock, Period},
    interceptor::{Interceptors, Policy, Settings},
    misconfigured::Misconfigured,
};

fn build(tables: impl IntoIterator<Item = Value>, budget: Period, base: &Path) -> Result<(), Vec<Misconfigured>> {
    std::fs::write(base.join("secret"), SECRET).unwrap();
    let settings: Vec<_> = tables.into_iter().map(settings_of).collect();
    Interceptors::build(&settings, budget, base, Clock::system()).map(drop)
}

#[test]
fn every_mistake_is_found_under_its_key() {
    let folder = tempfile::tempdir().unwrap();
    for (wrong, key) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "two\nlines"}), "name"),
        (json!({"timeout": "49ms"}), "timeout"),
        (json!({"timeout": "31s"}), "timeout"),
        (json!({"on_failure": null}), "on_failure"),
        (json!({"retries": 2}), "retries"),
        (json!({"max_concurrent": 0}), "max_concurrent"),
        (json!({"max_concurrent_per_client": 0}), "max_concurrent_per_client"),
        (json!({"fail_open_limit": 1.5}), "fail_open_limit"),
        (
            json!({"breaker": {"failures_in_a_row": 0}}),
            "breaker.failures_in_a_row",
        ),
        (json!({"breaker": {"failure_share": 0.0}}), "breaker.failure_share"),
        (json!({"breaker": {"minimum_calls": 0}}), "breaker.minimum_calls"),
        (json!({"breaker": {"window": "2h"}}), "breaker.window"),
        (json!({"breaker": {"open_for": "1ms"}}), "breaker.open_for"),
        (json!({"claims_at": "sub"}), "claims_at"),
        (json!({"may_override": ["email", "iss"]}), "may_override.1"),
        (json!({"when": {"networks": ["ten"]}}), "when.networks.0"),
        (json!({"secret": {"file": "missing"}}), "secret"),
        (
            json!({"previous_secret": {"env": "TOLLGATE_TEST_UNSET"}}),
            "previous_secret",
        ),
        (json!({"ca": "missing.pem"}), "ca"),
        (json!({"ca": "secret"}), "ca"),
        (
            json!({"authentication": {"bearer": {"file": "missing"}}}),
            "authentication.bearer",
        ),
        (
            json!({"authentication": {"client_certificate": {"certificate": "missing", "key": {"file": "secret"}}}}),
            "authentication.client_certificate.certificate",
        ),
        (json!({"endpoint": "hooks.example.com"}), "endpoint"),
        (json!({"endpoint": "ftp://hooks.example.com/"}), "endpoint"),
        (json!({"endpoint": "http://user:pw@hooks.example.com/"}), "endpoint"),
        (json!({"endpoint": "http://hooks.example.com/#a"}), "endpoint"),
        (json!({"endpoint": "http://169.254.169.254/latest"}), "endpoint"),
        (json!({"endpoint": "http://[::ffff:169.254.169.254]/"}), "endpoint"),
        (
            json!({"endpoint": "http://127.0.0.1/", "allow_private_network": false}),
            "endpoint",
        ),
    ] {
        let mut table = json!({"endpoint": "http://127.0.0.1:9/hook"});
        table
            .as_object_mut()
            .unwrap()
            .extend(wrong.as_object().unwrap().clone());
        let found = build([table], Period::secs(10), folder.path()).unwrap_err();
        let keys: Vec<_> = found.iter().map(|f| f.key.as_str()).collect();
        assert_eq!(keys, [format!("interceptor.0.{key}")], "{wrong}");
        assert!(!found[0].to_string().contains("user:pw"));
    }
}

#[test]
fn mistakes_of_several_interceptors_are_found_together() {
    let folder = tempfile::tempdir().unwrap();
    let good = json!({"endpoint": "http://127.0.0.1:9/hook"});
    let bad = json!({"endpoint": "nowhere", "retries": 9, "secret": {"file": "missing"}});
    let found = build([good.clone(), good, bad], Period::secs(61), folder.path()).unwrap_err();
    let mut keys: Vec<_> = found.iter().map(|f| f.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "consult_budget",
        "interceptor.1.name",
        "interceptor.2.endpoint",
        "interceptor.2.name",
        "interceptor.2.retries",
        "interceptor.2.secret",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn the_shape_in_the_file_is_the_documented_one() {
    let text = r#"
        name = "Plan and seats"
        trigger = "PRE_SESSION_CREATION"
        endpoint = "https://hooks.example.com/session"
        secret = { env = "SESSION_HOOK_SECRET" }
        on_failure = "allow"
        when = { realms = ["customers"], clients = ["web-*"] }
        unless = { networks = ["10.0.0.0/8"] }
        authentication = { basic = { username = "tollgate", password = { file = "certs/hook.pw" } } }
        breaker = { failures_in_a_row = 3 }
    "#;
    let settings: Settings = toml::from_str(text).unwrap();
    assert_eq!(settings.on_failure(), Policy::Allow);
    assert_eq!(settings.on_invalid, Policy::Deny);
    assert_eq!(
        (settings.timeout, settings.retries, settings.max_concurrent),
        (Period::secs(3), 0, 100)
    );
    assert_eq!(
        (settings.breaker.failures_in_a_row, settings.breaker.minimum_calls),
        (3, 20)
    );
    assert!(toml::from_str::<Settings>(&format!("{text}\nshadow = true")).is_err());
    assert!(toml::from_str::<Settings>(&text.replace("\"allow\"", "\"open\"")).is_err());
    for authentication in [
        "{ bearer = { env = \"T\" } }",
        "{ header = { name = \"X-Key\", value = { env = \"T\" } } }",
        "{ client_certificate = { certificate = \"c.pem\", key = { file = \"c.key\" } } }",
    ] {
        let text: String = text
            .lines()
            .filter(|l| !l.contains("authentication"))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(toml::from_str::<Settings>(&format!("{text}\nauthentication = {authentication}")).is_ok());
    }
}
