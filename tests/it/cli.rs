//! The binary as its operator uses it.

mod server;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use self::server::Server;
use tempfile::TempDir;
use tollgate::{
    audit::{Audit, Entry, Kind, Settings},
    clock::Clock,
};

/// A folder with a configuration in it, and what the binary says there.
struct Place {
    folder: TempDir,
}

/// How a command ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn with(config: &str) -> Self {
        let place = Self::empty();
        fs::write(place.path().join("proxy.toml"), config).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .stdin(Stdio::null());
        command
    }

    fn say(&self, arguments: &[&str]) -> Said {
        Said::from(self.command(arguments).output().unwrap())
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let said = Self {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }
}

const REPOSITORYS: &str = include_str!("../../proxy.toml");
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// A configuration with one interceptor.
fn config(upstream: &str, endpoint: &str) -> String {
    format!(
        "[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://id.example.com\"\n\
         [upstream]\nurl = \"{upstream}\"\npreset = \"keycloak\"\n\
         [[interceptor]]\nname = \"Plan\"\ntrigger = \"PRE_SESSION_CREATION\"\nendpoint = \"{endpoint}\"\n\
         secret = {{ file = \"hook.key\" }}\non_failure = \"allow\"\nunless = {{ realms = [\"master\"] }}\n"
    )
}

fn with_interceptor(upstream: &str, endpoint: &str) -> Place {
    let place = Place::with(&config(upstream, endpoint));
    fs::write(place.path().join("hook.key"), SECRET).unwrap();
    place
}

#[test]
fn a_new_installation_is_told_what_is_missing_and_how_to_mend_it() {
    let place = Place::with(REPOSITORYS);
    let said = place.say(&["check", "--offline"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("FAIL  signing keys"), "{}", said.out);
    assert!(said.out.contains("mend: `tollgate keys init` makes it"), "{}", said.out);

    let said = place.say(&["keys", "init"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let said = place.say(&["check", "--offline"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.ends_with("no failures, 1 warning\n"), "{}", said.out);
    assert!(
        !said.out.contains('\u{1b}'),
        "no colour where nobody sees it: {}",
        said.out
    );
    assert!(!place.path().join("audit.db").exists(), "a check leaves nothing behind");
}

#[test]
fn keys_init_never_overwrites() {
    let place = Place::empty();
    let said = place.say(&["keys", "init"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.starts_with("There is no `proxy.toml`"), "{}", said.out);
    let secret = fs::read(place.path().join("certs/capsule.key")).unwrap();
    let before = place.say(&["keys", "init"]);
    assert_eq!(before.code, 0);
    assert_eq!(before.out.matches("kept  ").count(), 2, "{}", before.out);
    assert_eq!(fs::read(place.path().join("certs/capsule.key")).unwrap(), secret);

    fs::remove_file(place.path().join("certs/capsule.key")).unwrap();
    let said = place.say(&["keys", "init"]);
    assert!(
        said.out.contains("kept  ") && said.out.contains("made  "),
        "{}",
        said.out
    );
}

#[test]
fn keys_are_rotated_where_the_configuration_says_even_if_the_rest_of_it_is_unfinished() {
    let place = Place::with("[tokens]\nkeys = \"elsewhere\"\n[listen]\nadress = 1\n");
    assert_eq!(place.say(&["keys", "init"]).code, 0);
    let said = place.say(&["keys", "rotate", "--publish-first", "1h"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("sign 1h from now"), "{}", said.out);
    let said = place.say(&["keys", "list"]);
    assert_eq!(said.out.matches("  signing  ").count(), 3, "{}", said.out);
    assert_eq!(said.out.matches("  next  ").count(), 3, "{}", said.out);
    assert_eq!(fs::read_dir(place.path().join("elsewhere")).unwrap().count(), 6);
}

#[test]
fn exit_codes_tell_usage_from_configuration() {
    let place = Place::empty();
    assert_eq!(place.say(&["--help"]).code, 0);
    assert_eq!(place.say(&["--version"]).code, 0);
    for usage in [
        &["nonsense"][..],
        &["test"],
        &["keys"],
        &["explain", "GET"],
        &["audit", "list", "--since", "soon"],
    ] {
        let said = place.say(usage);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{usage:?} {}", said.err);
    }
    for command in [
        &["check"][..],
        &["run"],
        &["explain", "GET", "/"],
        &["keys", "list"],
        &["audit", "list"],
    ] {
        let said = place.say(command);
        assert_eq!(said.code, 64, "{command:?} {}", said.err);
        assert!(
            said.err.starts_with("proxy.toml: there is no such file\nhint: "),
            "{}",
            said.err
        );
    }
    let said = place.say(&["check", "--config", "other.toml"]);
    assert!(
        said.err.starts_with("other.toml: there is no such file"),
        "{}",
        said.err
    );
}

#[test]
fn a_mistake_in_the_file_or_the_environment_is_pointed_at() {
    let place = Place::with(&REPOSITORYS.replace("format = \"text\"", "format = \"xml\" "));
    let output = place
        .command(&["run"])
        .env("TOLLGATE_AUDIT__STOR", "sqlite:x.db")
        .output()
        .unwrap();
    let said = Said::from(output);
    assert_eq!(said.code, 64);
    let line = 1 + REPOSITORYS.lines().position(|line| line.starts_with("format")).unwrap();
    assert!(
        said.err.starts_with(&format!(
            "proxy.toml:{line}:10: `format` must be `text` or `json`, found `xml`\n{line} | "
        )),
        "{}",
        said.err
    );
    assert!(
        said.err
            .contains("TOLLGATE_AUDIT__STOR: unknown key `stor` in `[audit]`\nhint: did you mean `store`?")
    );
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let place = Place::empty();
    let mut child = place
        .command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.say(&["completions", shell]).out.contains("tollgate"));
    }
}

#[test]
fn a_tested_interceptor_shows_request_answer_and_verdict_and_records_nothing() {
    let answer = r#"{"decision":"ALLOW","response":{"claims":{"plan":"gold"},"id_token":{"claims":{"seats":4}}}}"#;
    let server = Server::start(move |_| (200, answer.to_owned()));
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/session", server.address));

    let said = place.say(&["test", "--interceptor", "Plan"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let requests = server.requests();
    let [request] = requests.as_slice() else {
        panic!("one request, not {}", requests.len())
    };
    assert_eq!(request.path, "/session");
    assert!(request.body.contains("\"dry_run\":true"), "{}", request.body);
    let signature = request
        .head
        .lines()
        .find(|line| line.starts_with("interceptor-signature: v1,"))
        .unwrap();
    for part in [
        signature,
        "\"trigger_point\": \"PRE_SESSION_CREATION\"",
        "status 200",
        "Verdict ALLOW, decided by the endpoint",
        "access token + plan: \"gold\"",
        "ID token + plan: \"gold\"",
        "ID token + seats: 4",
    ] {
        assert!(said.out.contains(part), "{part} is missing from {}", said.out);
    }
    assert!(!said.out.contains("access token + seats"), "{}", said.out);
    assert!(!said.out.contains(SECRET), "{}", said.out);
    assert!(!place.path().join("audit.db").exists());

    assert_eq!(
        place.say(&["test", "--interceptor", "Plan", "--expect", "allow"]).code,
        0
    );
    assert_eq!(
        place.say(&["test", "--interceptor", "Plan", "--expect", "deny"]).code,
        1
    );
    let said = place.say(&["test", "--trigger", "PRE_SESSION_CREATION", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["verdict"]["decision"], "allow");
    assert_eq!(report["verdict"]["access_token"]["plan"], "gold");
    assert_eq!(report["exchanges"][0]["answer"]["status"], 200);
}

#[test]
fn a_tested_interceptor_that_is_wrong_says_why() {
    let server = Server::start(|_| (200, r#"{"decision":"MAYBE"}"#.to_owned()));
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/", server.address));
    let said = place.say(&["test", "--interceptor", "Plan"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(
        said.out.contains("Verdict DENY, decided by `on_invalid`"),
        "{}",
        said.out
    );
    assert!(said.out.contains("decision"), "{}", said.out);

    let said = place.say(&["test", "--interceptor", "Plam"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (2, "there is no interceptor `Plam`; there are `Plan`\n")
    );
}

#[test]
fn an_event_of_ones_own_is_sent_as_a_dry_run() {
    let server = Server::start(|_| {
        (
            200,
            r#"{"decision":"DENY","error":{"message":"Not today."}}"#.to_owned(),
        )
    });
    let place = with_interceptor("http://127.0.0.1:1", &format!("http://{}/", server.address));
    let event = |trigger: &str| {
        format!(
            r#"{{"trigger_point":"{trigger}","interceptor_context":{{"triggered_at":"2026-11-23T10:15:00Z","user_email":"eve@example.com"}},"data":{{}}}}"#
        )
    };
    fs::write(place.path().join("event.json"), event("PRE_SESSION_CREATION")).unwrap();
    fs::write(place.path().join("other.json"), event("PRE_SIGNUP")).unwrap();
    let arguments = ["test", "--interceptor", "Plan", "--expect", "deny", "--event"];
    let said = place.say(&[&arguments[..], &["event.json"]].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("the user reads: Not today."), "{}", said.out);
    let requests = server.requests();
    assert!(requests[0].body.contains("eve@example.com") && requests[0].body.contains("\"dry_run\":true"));

    let said = place.say(&[&arguments[..], &["other.json"]].concat());
    assert_eq!(said.code, 2);
    assert!(said.err.contains("is of PRE_SIGNUP"), "{}", said.err);
}

/// A Keycloak as far as `check` looks at it.
fn keycloak(issuer: &'static str) -> Server {
    Server::start(move |path| match path {
        "/realms/master/.well-known/openid-configuration" => (
            200,
            format!(
                r#"{{"issuer":"{issuer}/realms/master","jwks_uri":"{issuer}/realms/master/certs","id_token_signing_alg_values_supported":["RS256","HS256"]}}"#
            ),
        ),
        "/realms/master/certs" => (200, JWKS.to_owned()),
        _ => (404, "{}".to_owned()),
    })
}

#[test]
fn check_looks_at_the_upstream_as_clients_will_see_it() {
    let hook = Server::start(|_| (204, String::new()));
    let server = keycloak("http://id.example.com");
    let place = with_interceptor(
        &format!("http://{}", server.address),
        &format!("http://{}/", hook.address),
    );
    assert_eq!(place.say(&["keys", "init"]).code, 0);
    let said = place.say(&["check"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("its issuer is http://id.example.com/realms/master"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("its keys at `/realms/master/certs` can be read"),
        "{}",
        said.out
    );
    assert!(said.out.contains("cannot be signed again: HS256"), "{}", said.out);
    assert!(said.out.contains("`Plan`: http://"), "{}", said.out);
    let requests = server.requests();
    assert!(
        requests[0].head.contains("x-forwarded-host: id.example.com"),
        "{}",
        requests[0].head
    );
    assert!(hook.requests().is_empty(), "without `--call` nobody is asked");

    let said = place.say(&["check", "--call"]);
    assert!(said.out.contains("gave a verdict in"), "{}", said.out);
    assert_eq!(hook.requests().len(), 1);
    let said = place.say(&["check", "--realm", "customers"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("FAIL  realm customers"), "{}", said.out);
}

#[test]
fn check_says_how_an_upstream_is_told_its_public_name() {
    let server = keycloak("http://127.0.0.1:8080");
    let place = with_interceptor(&format!("http://{}", server.address), "http://127.0.0.1:1/");
    let said = place.say(&["check"]);
    assert_eq!(said.code, 1);
    assert!(
        said.out
            .contains("it calls itself `http://127.0.0.1:8080/realms/master`"),
        "{}",
        said.out
    );
    assert!(said.out.contains("KC_HOSTNAME=http://id.example.com"), "{}", said.out);
    assert!(
        said.out
            .contains("FAIL  endpoint       `Plan`: http://127.0.0.1:1/ cannot be reached"),
        "{}",
        said.out
    );
}

#[test]
fn check_warns_of_a_lock_out_and_of_plain_http_for_others() {
    let text = config("http://127.0.0.1:1", "http://127.0.0.1:1/").replace("127.0.0.1:0", "0.0.0.0:8443");
    let place = Place::with(&text.replace("unless = { realms = [\"master\"] }\n", ""));
    fs::write(place.path().join("hook.key"), SECRET).unwrap();
    let said = place.say(&["check", "--offline"]);
    assert!(
        said.out
            .contains("warn  lock-out       `Plan` also decides about the realm `master`"),
        "{}",
        said.out
    );
    assert!(
        said.out
            .contains("mend: add `unless = { realms = [\"master\"] }` to it"),
        "{}",
        said.out
    );
    assert!(said.out.contains("warn  TLS"), "{}", said.out);

    fs::write(place.path().join("proxy.toml"), text).unwrap();
    let said = place.say(&["check", "--offline"]);
    assert!(!said.out.contains("lock-out"), "{}", said.out);
}

#[test]
fn explain_names_the_route_and_who_is_asked() {
    let place = with_interceptor("http://127.0.0.1:1", "http://127.0.0.1:1/");
    let token = "/realms/customers/protocol/openid-connect/token";
    let said = place.say(&[
        "explain",
        "POST",
        token,
        "--form",
        "grant_type=authorization_code",
        "--form",
        "client_id=web",
    ]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.out.contains("route         `token` of preset `keycloak`"),
        "{}",
        said.out
    );
    assert!(
        said.out
            .contains("trigger       PRE_SESSION_CREATION, by the grant `authorization_code`"),
        "{}",
        said.out
    );
    assert!(said.out.contains("  1.  Plan: asked\n"), "{}", said.out);

    let master = token.replace("customers", "master");
    let said = place.say(&["explain", "POST", &master, "--form", "grant_type=password"]);
    assert!(
        said.out.contains("Plan: not asked, its conditions do not fit"),
        "{}",
        said.out
    );

    let said = place.say(&["explain", "POST", token, "--form", "grant_type=client_credentials"]);
    assert!(
        said.out.contains("PRE_M2M_TOKEN_CREATION") && said.out.contains("nobody is asked"),
        "{}",
        said.out
    );

    let said = place.say(&["explain", "GET", "https://id.example.com/realms/customers//account"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("refused       400"), "{}", said.out);

    let said = place.say(&["explain", "GET", "/realms/customers/account"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("passes        no route fits"), "{}", said.out);
}

#[tokio::test]
async fn the_audit_is_listed_shown_and_verified() {
    let place = Place::with("[audit]\nstore = \"sqlite:records.db\"\n");
    let settings = Settings {
        store: "sqlite:records.db".to_owned(),
        ..Settings::default()
    };
    let audit = Audit::open(&settings, place.path(), Clock::system()).unwrap();
    let entry = |request: &str| Entry {
        request_id: request.to_owned(),
        ..Entry::new(Kind::Failure)
    };
    audit
        .record(vec![entry("first-request"), entry("second-request")])
        .await
        .unwrap();
    audit.close().await;

    let said = place.say(&["audit", "list", "--request", "first-request", "--json"]);
    assert_eq!(
        (said.code, said.out.lines().count()),
        (0, 1),
        "{}{}",
        said.out,
        said.err
    );
    let said = place.say(&["audit", "show", "second-request"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("second-request"), "{}", said.out);
    assert_eq!(place.say(&["audit", "show", "third-request"]).code, 2);
    let said = place.say(&["audit", "verify", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &report["records"]), (0, &2.into()));

    let said = place.say(&["audit", "verify", "--expect", &format!("3:{}", "0".repeat(64))]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("BROKEN"), "{}", said.out);
}

/// RFC 7517 appendix A.1, the RSA key.
const JWKS: &str = r#"{"keys":[{"kty":"RSA","alg":"RS256","kid":"1","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}]}"#;
