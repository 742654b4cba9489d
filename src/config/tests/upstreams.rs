//! Several upstreams in one file: what each has, and where it stands.

use super::*;

/// Two upstreams; the first keys of `[tokens]` and `[denial]` are for both.
const TWO: &str = r#"[listen]
address = "127.0.0.1:8443"
tls = { certificate = "all.crt", key = "all.key", client_certificates = "any" }
[tokens]
keys = "certs/shared"
algorithm = "ES256"
[denial]
status = 403
[[upstream]]
name = "customers"
public_url = "https://login.example.com"
url = "http://127.0.0.1:8080"
tokens = { keys = "certs/customers" }
[[upstream]]
name = "staff"
public_url = "https://sso.example.com"
names = ["sso.example.org"]
url = "http://127.0.0.1:8081"
denial = { status = 401 }
tls = { certificate = "sso.crt", key = "sso.key" }
[[interceptor]]
name = "Plan"
upstreams = ["customers"]
trigger = "PRE_SIGNUP"
endpoint = "https://hooks.example.com/plan"
secret = { file = "plan.key" }
[[interceptor]]
name = "Badge"
upstreams = ["staff"]
trigger = "PRE_SIGNUP"
endpoint = "https://hooks.example.com/badge"
secret = { file = "badge.key" }
[[logout]]
client_id = "web"
url = "https://app.example.com/logout"
upstream = "staff"
"#;

#[test]
fn an_upstream_of_several_has_what_is_shared_and_its_own() {
    let config = load(TWO, &[]).unwrap();
    let [customers, staff] = config.each().collect::<Vec<_>>()[..] else {
        panic!("there are two")
    };
    assert_eq!((customers.name(), staff.name()), (Some("customers"), Some("staff")));
    assert_eq!(customers.listen.public_url, "https://login.example.com");
    assert_eq!(staff.listen.names, ["sso.example.org"]);
    assert_eq!(customers.tokens.keys, Path::new("certs/customers"));
    assert_eq!(staff.tokens.keys, Path::new("certs/shared"));
    assert_eq!(customers.tokens.algorithm, staff.tokens.algorithm);
    assert_eq!((customers.denial.status, staff.denial.status), (403, 401));
    assert_eq!((customers.logouts.len(), staff.logouts.len()), (0, 1));
    let names = |one: &Config| one.interceptors.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(customers), names(staff)),
        (vec!["Plan".into()], vec!["Badge".into()])
    );
    assert_eq!(config.revision, staff.revision);
    let tls = |one: &Config| one.listen.tls.clone().unwrap();
    assert_eq!(tls(staff).certificate, Path::new("sso.crt"));
    assert_eq!(tls(staff).client_certificates, tls(customers).client_certificates);
    let certificates = config.listener().certificates;
    let names: Vec<_> = certificates
        .iter()
        .map(|named| named.names.first().unwrap().as_str())
        .collect();
    assert_eq!(names, ["login.example.com", "sso.example.com"]);
    assert!(
        certificates
            .last()
            .unwrap()
            .names
            .contains(&"sso.example.org".to_owned())
    );
}

#[test]
fn a_setting_of_one_of_several_is_found_where_it_is_written() {
    let variables = [
        ("TOLLGATE_UPSTREAM__1__URL", "http://127.0.0.1:9000"),
        ("TOLLGATE_INTERCEPTOR__1__UPSTREAMS", "customers, staff"),
    ];
    let config = load(TWO, &variables).unwrap();
    let [customers, staff] = config.each().collect::<Vec<_>>()[..] else {
        panic!("there are two")
    };
    assert_eq!(staff.upstream.url, "http://127.0.0.1:9000");
    assert_eq!((customers.interceptors.len(), staff.interceptors.len()), (2, 1));
    let origin = |one: &Config, key: &str| without_folder(&one.origin(key).unwrap().to_string());
    assert_eq!(origin(staff, "upstream.url"), "TOLLGATE_UPSTREAM__1__URL");
    assert_eq!(origin(staff, "interceptor.0.name"), "proxy.toml:28");
    assert_eq!(origin(customers, "interceptor.1.name"), "proxy.toml:28");
    assert_eq!(origin(staff, "listen.public_url"), "proxy.toml:16");
    assert_eq!(origin(staff, "tokens.keys"), "proxy.toml:5");
    assert_eq!(origin(customers, "tokens.keys"), "proxy.toml:13");
    assert_eq!(origin(customers, "tokens.algorithm"), "proxy.toml:6");
    let wrong = Misconfigured::new("tokens.capsule_secret", "it is not there");
    let told = without_folder(&staff.errors([&wrong]).to_string());
    assert!(
        told.starts_with("proxy.toml:14:1: "),
        "what is written nowhere is missing at its upstream: {told}"
    );
}

#[test]
fn one_upstream_may_have_a_name_and_its_public_url_with_it() {
    let text = "[listen]\naddress = \"127.0.0.1:8443\"\n[upstream]\nname = \"only\"\nurl = \"http://127.0.0.1:8080\"\n\
                public_url = \"https://id.example.com\"\n";
    let config = load(text, &[]).unwrap();
    assert_eq!(config.listen.public_url, "https://id.example.com");
    assert_eq!((config.name(), config.has_several()), (Some("only"), false));
    let both = text.replace("[upstream]", "public_url = \"https://id.example.com\"\n[upstream]");
    assert!(
        wrong(&both).starts_with("proxy.toml:3:14: `public_url` in `[listen]` does not say which upstream it is for")
    );
}
