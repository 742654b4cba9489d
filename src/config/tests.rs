mod upstreams;

use std::ffi::OsString;

use jiff::Timestamp;

use super::*;
use crate::{clock::Clock, interceptor::Interceptors};

/// The least that a configuration must say.
const LEAST: &str = "listen = { address = \"127.0.0.1:8443\", public_url = \"https://id.example.com\" }\n\
                     upstream = { url = \"http://127.0.0.1:8080\" }\n";

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    fs::write(&path, text).unwrap();
    Config::load(
        &path,
        variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value))),
    )
}

/// What an operator reads about a `proxy.toml` with this text.
fn wrong(text: &str) -> String {
    wrong_with(text, &[])
}

/// The same, with variables laid over it.
fn wrong_with(text: &str, variables: &[(&str, &str)]) -> String {
    match load(text, variables) {
        Ok(config) => panic!("nothing is wrong with {config:?}"),
        Err(errors) => without_folder(&errors.to_string()),
    }
}

/// The texts name the file as it was given; here that is a temporary folder.
fn without_folder(text: &str) -> String {
    let lines = text.lines().map(|line| match line.find("/proxy.toml") {
        Some(at) if line.starts_with('/') => &line[at + 1..],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert_eq!(
        wrong(&format!("{LEAST}\n[log]\nlvel = \"info\"\n")),
        "proxy.toml:5:1: unknown key `lvel` in `[log]`\n\
         5 | lvel = \"info\"\n  \
           | ^^^^\n\
         hint: did you mean `level`?"
    );
}

#[test]
fn an_unknown_key_that_is_like_none_lists_the_known_ones_and_hides_its_value() {
    assert_eq!(
        wrong(&format!(
            "zzz = \"hunter2\"
{LEAST}[denial]
colour = \"hunter2\"
"
        )),
        "proxy.toml:1:1: unknown key `zzz` at the top level of the file\n\
         1 | zzz = ***\n  \
           | ^^^\n\
         hint: known here: `environment`, `consult_budget`, `listen`, `upstream`, `tokens`, `jwks`, `audit`, `admin`, `test`, `geo`, `denial`, `reload`, \
         `log`, `telemetry`, `interceptor`, `logout` and `route`\n\n\
         proxy.toml:5:1: unknown key `colour` in `[denial]`\n\
         5 | colour = ***\n  \
           | ^^^^^^\n\
         hint: known here: `status` and `page`"
    );
}

#[test]
fn a_wrong_type_says_what_is_expected_and_how_it_looks() {
    assert_eq!(
        wrong(&format!("{LEAST}[denial]\nstatus = \"403\"\n")),
        "proxy.toml:4:10: `status` must be a whole number up to 65535, found the text \"403\"\n\
         4 | status = \"403\"\n  \
           |          ^^^^^\n\
         hint: for example `status = 400`"
    );
    assert!(wrong(&format!("{LEAST}[tokens]\nrequire_reissued = 1\n")).contains("must be `true` or `false`"));
    assert!(wrong(&format!("log = \"info\"\n{LEAST}")).contains("`log` must be a table, found the text \"info\""));
}

#[test]
fn a_wrong_choice_lists_the_choices() {
    let text = format!(
        "{LEAST}[[interceptor]]\nname = \"Domains\"\ntrigger = \"PRE_SIGNUP\"\nendpoint = \"https://hooks.example.com/\"\n\
         secret = {{ env = \"HOOK_SECRET\" }}\non_failure = \"open\"\n"
    );
    assert_eq!(
        wrong(&text),
        "proxy.toml:8:14: `on_failure` must be `deny` or `allow`, found `open`\n\
         8 | on_failure = \"open\"\n  \
           |              ^^^^^^\n\
         hint: `allow` lets the request through when the endpoint does not answer"
    );
}

#[test]
fn a_bad_duration_says_how_one_is_written() {
    assert_eq!(
        wrong(&format!("consult_budget = \"soon\"\n{LEAST}")),
        "proxy.toml:1:18: `consult_budget`: `soon` is no length of time; write it like `500ms`, `3s`, `10m`, `12h` or `30d`\n\
         1 | consult_budget = \"soon\"\n  \
           |                  ^^^^^^"
    );
    assert_eq!(
        wrong(&format!("consult_budget = 10\n{LEAST}")),
        "proxy.toml:1:18: `consult_budget` must be text in quotes, found the number 10\n\
         1 | consult_budget = 10\n  \
           |                  ^^\n\
         hint: for example `consult_budget = \"10s\"`"
    );
    assert!(wrong(&format!("consult_budget = \"2m\"\n{LEAST}")).contains("a budget of 2m is out of range"));
}

#[test]
fn a_missing_section_is_shown_in_full() {
    assert_eq!(
        wrong("environment = \"test\"\n"),
        "proxy.toml: the section `[listen]` is missing\n\
         hint: add\n  [listen]\n  address = \"127.0.0.1:8443\"\n  public_url = \"http://127.0.0.1:8443\"\n\n\
         proxy.toml: the section `[upstream]` is missing\n\
         hint: add\n  [upstream]\n  url = \"http://127.0.0.1:8080\"\n  preset = \"generic\""
    );
}

#[test]
fn a_secret_written_inline_is_not_shown_and_the_hint_says_where_it_belongs() {
    let text = format!("{LEAST}[tokens]\ncapsule_secret = \"hunter2\"\n");
    assert_eq!(
        wrong(&text),
        "proxy.toml:4:18: `capsule_secret` must say where the secret is kept, not hold the secret itself\n\
         4 | capsule_secret = ***\n  \
           |                  ^^^\n\
         hint: write `capsule_secret = { file = \"certs/capsule.key\" }`, or `capsule_secret = { env = \"CAPSULE_SECRET\" }` \
         for an environment variable"
    );
}

#[test]
fn no_way_of_writing_a_secret_shows_it() {
    let interceptor = format!("{LEAST}[[interceptor]]\nname = \"x\"\n");
    for line in [
        "secret = \"hunter2\"",
        "secret = hunter2",
        "secret = \"hunter2",
        "secret = \"\"\"\nhunter2\n\"\"\" x",
        "secret = { value = \"hunter2\" }",
        "secret = [\"hunter2\"]",
        "secret = { file = \"x\", env = \"y\", secret = \"hunter2\" }",
        "sekrit = \"hunter2\"",
        "clientsecret = \"hunter2\"",
        "authentication = { bearer = \"hunter2\" }",
        "authentication = { basic = { username = \"x\", password = \"hunter2\", x = 1 } }",
        "authentication = { header = { name = 5, value = \"hunter2\" } }",
        "authentication = { header = { nam = \"x\", valu = \"hunter2\" } }",
        "endpoint = [\"https://user:hunter2@hooks.example.com/\"]",
    ] {
        let text = wrong(&format!("{interceptor}{line}\n"));
        assert!(!text.contains("hunter2"), "{line}\n{text}");
    }
    let text = wrong_with(&interceptor, &[("TOLLGATE_INTERCEPTOR__0__SECRET", "hunter2")]);
    assert!(!text.contains("hunter2"), "{text}");
    let config = load(&format!("# hunter2\n{LEAST}"), &[("TOLLGATE_ENVIRONMENT", "hunter3")]).unwrap();
    assert_eq!(
        format!("{:?}", config.source),
        "Source { name: \"".to_owned() + config.file() + "\", .. }"
    );
}

#[test]
fn invalid_toml_is_pointed_at() {
    assert_eq!(
        wrong("[listen\naddress = 1\n"),
        "proxy.toml:1:8: not valid TOML: unclosed table, expected `]`\n\
         1 | [listen\n  \
           |        ^\n\
         hint: texts stand in quotes, `key = \"value\"`; lists in `[ ]`; tables begin with `[name]`"
    );
    assert_eq!(
        wrong(&format!("{LEAST}upstream = \"http://127.0.0.1:8081\"\n")),
        "proxy.toml:3:1: this key is there twice\n\
         3 | upstream = \"http://127.0.0.1:8081\"\n  \
           | ^^^^^^^^\n\
         hint: remove one of the two"
    );
}

#[test]
fn several_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = format!(
        "{LEAST}[log]\nformat = \"xml\"\nlvel = 1\n[denial]\nstatus = true\n[[interceptor]]\nnam = \"x\"\n\
         trigger = \"PRE_SIGNUP\"\nsecret = 1\n[audit]\nretention = \"long\"\n"
    );
    let places: Vec<_> = load(&text, &[("TOLLGATE_ADMIN__ADDRESS", "here")])
        .unwrap_err()
        .iter()
        .map(|finding| {
            let place = finding
                .place
                .rsplit_once("proxy.toml:")
                .map_or(finding.place.as_str(), |(_, p)| p);
            place.to_owned()
        })
        .collect();
    assert_eq!(
        places,
        [
            "4:10",
            "5:1",
            "7:10",
            "8:1",
            "9:1",
            "11:10",
            "13:13",
            "TOLLGATE_ADMIN__ADDRESS"
        ]
    );
}

#[test]
fn a_variable_overrides_the_file_and_fits_what_is_expected() {
    let text = format!(
        "environment = \"file\"\n{LEAST}[[interceptor]]\nname = \"a\"\ntrigger = \"PRE_SIGNUP\"\n\
        endpoint = \"https://hooks.example.com/\"\nsecret = {{ env = \"TOLLGATE_HOOK__SECRET\" }}\n"
    );
    let variables = [
        ("TOLLGATE_ENVIRONMENT", "42"),
        ("TOLLGATE_DENIAL__STATUS", "403"),
        ("TOLLGATE_TOKENS__REQUIRE_REISSUED", "false"),
        ("TOLLGATE_AUDIT__RETENTION", "7d"),
        ("TOLLGATE_TOKENS__CAPSULE_SECRET", "{ env = \"CAPSULE\" }"),
        ("TOLLGATE_INTERCEPTOR__0__NAME", "0123"),
        ("TOLLGATE_INTERCEPTOR__0__FAIL_OPEN_LIMIT", "0.5"),
        ("TOLLGATE_INTERCEPTOR__0__WHEN__REALMS", "customers, 12"),
        ("TOLLGATE_INTERCEPTOR__0__WHEN__CLIENTS", "[\"web\"]"),
        // Neither of these is a setting: a secret's place, and what Kubernetes says of a service called `tollgate`.
        ("TOLLGATE_HOOK__SECRET", "whsec_x"),
        ("TOLLGATE_PORT", "tcp://10.0.0.1:8443"),
        ("TOLLGATE_PORT_8443_TCP_ADDR", "10.0.0.1"),
        ("TOLLGATE_LOG", "debug"),
        ("PATH", "/bin"),
    ];
    let config = load(&text, &variables).unwrap();
    assert_eq!(config.environment, "42");
    assert_eq!(config.denial.status, 403);
    assert!(!config.tokens.require_reissued);
    assert_eq!(config.audit.retention.to_string(), "7d");
    assert_eq!(
        config.tokens.capsule_secret.to_string(),
        "the environment variable `CAPSULE`"
    );
    let interceptor = &config.interceptors[0];
    assert_eq!(interceptor.name, "0123");
    assert_eq!(interceptor.fail_open_limit, 0.5);
    assert_eq!(interceptor.when.realms, ["customers", "12"]);
    assert_eq!(interceptor.when.clients, ["web"]);
    assert_ne!(config.revision, load(&text, &[]).unwrap().revision);
    assert_eq!(config.revision, load(&text, &variables).unwrap().revision);
}

#[test]
fn a_mistake_in_a_variable_names_the_variable() {
    let variables = [
        ("TOLLGATE_ADMIN__ADRESS", "127.0.0.1:1"),
        ("TOLLGATE_DENIAL__STATUS", "many"),
        ("TOLLGATE_ENVIRONMNT", "x"),
        ("TOLLGATE_INTERCEPTOR__1__NAME", "x"),
        ("TOLLGATE_LISTN__ADDRESS", "127.0.0.1:1"),
    ];
    assert_eq!(
        wrong_with(LEAST, &variables),
        "TOLLGATE_ADMIN__ADRESS: unknown key `adress` in `[admin]`\n\
         hint: did you mean `address`?\n\n\
         TOLLGATE_DENIAL__STATUS: `status` must be a whole number up to 65535, found the text \"many\"\n\
         hint: for example `status = 400`\n\n\
         TOLLGATE_ENVIRONMNT: unknown key `environmnt` at the top level of the file\n\
         hint: did you mean `environment`?\n\n\
         TOLLGATE_INTERCEPTOR__1__NAME: there is no item 1; the next one would be 0\n\n\
         TOLLGATE_LISTN__ADDRESS: unknown key `listn` at the top level of the file\n\
         hint: did you mean `listen`?"
    );
    assert_eq!(
        wrong_with(LEAST, &[("TOLLGATE_LISTEN__ADDRESS", "8443")]),
        "TOLLGATE_LISTEN__ADDRESS: `address` must be an IP address and a port\n\
         hint: for example `address = \"127.0.0.1:8443\"`"
    );
    assert!(wrong_with(LEAST, &[("TOLLGATE_DENIAL__STATUS", "99")]).starts_with("TOLLGATE_DENIAL__STATUS: "));
}

#[test]
fn a_value_says_in_which_line_or_variable_it_was_written() {
    let text = format!(
        "environment = \"file\"\n{LEAST}[log]\nformat = \"json\"\nlevel = \"warn\"\n[[interceptor]]\nname = \"a\"\n\
         trigger = \"PRE_SIGNUP\"\nendpoint = \"https://hooks.example.com/\"\nsecret = {{ file = \"hook.key\" }}\n\
         when = {{ realms = [\n  \"one\",\n  \"two\",\n] }}\n"
    );
    let variables = [
        ("TOLLGATE_ENVIRONMENT", "prod"),
        ("TOLLGATE_LOG__LEVEL", "info"),
        ("TOLLGATE_TOKENS__CAPSULE_SECRET", "{ env = \"CAPSULE\" }"),
        ("TOLLGATE_INTERCEPTOR__0__NAME", "b"),
        ("TOLLGATE_INTERCEPTOR__0__WHEN__REALMS__0", "three"),
        ("TOLLGATE_INTERCEPTOR__0__WHEN__CLIENTS", "web, app"),
    ];
    let config = load(&text, &variables).unwrap();
    assert_eq!(config.interceptors[0].when.realms, ["three", "two"]);
    let origin = |key: &str| config.origin(key).map(|origin| without_folder(&origin.to_string()));
    for (key, written) in [
        ("environment", "TOLLGATE_ENVIRONMENT"),
        ("listen.address", "proxy.toml:2"),
        ("log.format", "proxy.toml:5"),
        ("log.level", "TOLLGATE_LOG__LEVEL"),
        ("tokens.capsule_secret.env", "TOLLGATE_TOKENS__CAPSULE_SECRET"),
        ("interceptor.0.name", "TOLLGATE_INTERCEPTOR__0__NAME"),
        ("interceptor.0.secret.file", "proxy.toml:11"),
        (
            "interceptor.0.when.realms.0",
            "TOLLGATE_INTERCEPTOR__0__WHEN__REALMS__0",
        ),
        ("interceptor.0.when.realms.1", "proxy.toml:14"),
        ("interceptor.0.when.clients.1", "TOLLGATE_INTERCEPTOR__0__WHEN__CLIENTS"),
    ] {
        assert_eq!(origin(key).as_deref(), Some(written), "{key}");
    }
    for key in ["", "listen", "interceptor.0", "admin.address", "interceptor.1.name"] {
        assert_eq!(origin(key), None, "{key}");
    }
}

#[test]
fn figment_holds_places_and_never_a_value() {
    let text = format!("{LEAST}[tokens]\ncapsule_secret = {{ file = \"hunter2\" }}\n");
    let config = load(&text, &[("TOLLGATE_ENVIRONMENT", "hunter2")]).unwrap();
    let layers = format!("{:?}", config.source.layers);
    assert!(
        layers.contains("capsule_secret") && !layers.contains("hunter2"),
        "{layers}"
    );
}

#[test]
fn a_variable_that_fits_nowhere_says_why() {
    let variables = [
        ("TOLLGATE_ENVIRONMENT__X", "1"),
        ("TOLLGATE_INTERCEPTOR__0__NAME", "a"),
        ("TOLLGATE_INTERCEPTOR__NAME", "a"),
        ("TOLLGATE_LOG__LEVEL", "info"),
        ("TOLLGATE_LOG__LEVEL__LOW", "info"),
    ];
    let text = wrong_with(&format!("environment = \"x\"\n{LEAST}"), &variables);
    for wrong in [
        "TOLLGATE_ENVIRONMENT__X: `x` would be inside of something that is not a table",
        "TOLLGATE_INTERCEPTOR__NAME: a number is missing in front of `name`: the items of the list are counted from 0",
        "TOLLGATE_LOG__LEVEL__LOW: `low` would be inside of something that is not a table",
    ] {
        assert!(text.contains(wrong), "{text}");
    }
    let names: Vec<_> = (0..12)
        .map(|i| {
            (
                format!("TOLLGATE_LISTEN__TRUSTED_PROXIES__{i}"),
                format!("10.0.0.{i}/32"),
            )
        })
        .collect();
    let names: Vec<_> = names
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    load(LEAST, &names).unwrap();
}

#[test]
fn what_a_module_finds_is_shown_at_the_line_of_its_key() {
    let text = format!(
        "{LEAST}[[interceptor]]\nname = \"a\"\ntrigger = \"PRE_SIGNUP\"\nendpoint = \"https://hooks.example.com/\"\n\
         secret = {{ file = \"none\" }}\n[[interceptor]]\nname = \"b\"\ntrigger = \"PRE_SIGNUP\"\n\
         endpoint = \"https://hooks.example.com/\"\nsecret = {{ file = \"none\" }}\n"
    );
    let config = load(&text, &[("TOLLGATE_AUDIT__STORE", "mysql:x")]).unwrap();
    let shown = |wrong: Misconfigured| without_folder(&config.errors([&wrong]).to_string());
    assert_eq!(
        shown(Misconfigured::new("interceptor.1.endpoint", "nobody is there").hint("mend it")),
        "proxy.toml:11:12: `endpoint`: nobody is there\n\
         11 | endpoint = \"https://hooks.example.com/\"\n   \
            |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n\
         hint: mend it"
    );
    assert_eq!(
        shown(Misconfigured::new("interceptor.1.ca", "`ca` cannot be read")),
        "proxy.toml:8:1: `ca` cannot be read\n8 | [[interceptor]]\n  | ^^^^^^^^^^^^^^^"
    );
    assert_eq!(
        shown(Misconfigured::new("tokens.keys", "there are none")),
        "proxy.toml: `tokens.keys`: there are none"
    );
    assert_eq!(
        shown(Misconfigured::new("audit.store", "no such store")),
        "TOLLGATE_AUDIT__STORE: `store`: no such store"
    );
}

#[test]
fn a_session_interceptor_without_on_failure_is_told_what_to_choose_between() {
    let text = format!(
        "{LEAST}[[interceptor]]\nname = \"Plan\"\ntrigger = \"PRE_SESSION_CREATION\"\n\
         endpoint = \"https://hooks.example.com/session\"\nsecret = {{ file = \"hook.key\" }}\n"
    );
    let config = load(&text, &[]).unwrap();
    let base = tempfile::tempdir().unwrap();
    fs::write(
        base.path().join("hook.key"),
        "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    )
    .unwrap();
    let clock = Clock::fixed(Timestamp::UNIX_EPOCH);
    let findings = Interceptors::build(&config.interceptors, config.consult_budget, base.path(), clock).unwrap_err();
    assert_eq!(
        without_folder(&config.errors(&findings).to_string()),
        "proxy.toml:3:1: `on_failure` must be written for PRE_SESSION_CREATION\n\
         3 | [[interceptor]]\n  \
           | ^^^^^^^^^^^^^^^\n\
         hint: `deny` logs nobody in while the endpoint is away; `allow` lets sessions through without its claims"
    );
}

#[test]
fn a_file_that_is_not_there_says_how_to_begin() {
    let text = Config::load(Path::new("nowhere.toml"), []).unwrap_err().to_string();
    assert!(
        text.starts_with("nowhere.toml: there is no such file\nhint: name another one with `--config FILE`"),
        "{text}"
    );
    let example: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .map(|line| format!("{line}\n"))
        .collect();
    load(&example, &[]).unwrap();
}

#[test]
fn every_example_in_a_hint_is_one_that_works() {
    for (path, text) in example::EXAMPLES {
        let path: Vec<String> = path.split('.').map(|step| step.replace('*', "0")).collect();
        let value = example::value(&path).unwrap_or_else(|| panic!("{text} is not TOML"));
        let mut nested = text.split_once('\n').map_or(text, |(_, rest)| rest).to_owned();
        if path.len() > 1 || path == ["upstream"] {
            let folders = path.len() - usize::from(path != ["upstream"]);
            let header = match path[0] == "interceptor" {
                true if path.len() > 3 => format!("[[interceptor]]\n[interceptor.{}]", path[2]),
                true => "[[interceptor]]".to_owned(),
                false if path.starts_with(&["audit".to_owned(), "sink".to_owned()]) => "[[audit.sink]]".to_owned(),
                false => format!("[{}]", path[..folders].join(".")),
            };
            nested = format!("{header}\n{nested}\n");
        }
        if let Err(errors) = load(&nested, &[]) {
            let named = format!("`{}`", path[path.len() - 1]);
            let own = errors.iter().find(|finding| finding.message.contains(&named));
            assert!(own.is_none(), "{value:?} {errors}");
        }
    }
}
