//! `tollgate check`.

use std::fs;

use super::{Place, REPOSITORYS, SECRET, config, server::Server, with_interceptor};

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
fn check_says_what_an_operator_does_without() {
    let nets = "[jwks]\nupstream_keys = \"include\"\n[tokens]\nrequire_reissued = false\n";
    let place = Place::with(&format!(
        "{nets}[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://id.example.com\"\n\
         [upstream]\nurl = \"http://127.0.0.1:1\"\npreset = \"keycloak\"\negress = \"log\"\n"
    ));
    assert_eq!(place.say(&["keys", "init"]).code, 0);
    let said = place.say(&["check", "--offline"]);
    for subject in ["warn  key set", "warn  native tokens", "warn  egress"] {
        assert!(said.out.contains(subject), "{subject}: {}", said.out);
    }
    assert!(said.out.contains("got around Tollgate verifies"), "{}", said.out);
}

#[test]
fn a_mistake_in_a_preset_of_ones_own_has_its_line_and_column() {
    let place = Place::with(&REPOSITORYS.replace("preset = \"keycloak\"", "preset = \"own.toml\""));
    assert_eq!(place.say(&["keys", "init"]).code, 0);
    let preset = place.path().join("own.toml");
    let builtin = include_str!("../../../presets/keycloak.toml");
    let line = |text: &str| builtin.lines().position(|line| line == text).unwrap() + 1;
    for (from, to, place_of_it, why) in [
        (
            "methods = [\"PUT\"]",
            "metods = [\"PUT\"]",
            format!("own.toml:{}:1: ", line("methods = [\"PUT\"]")),
            "unknown field `metods`",
        ),
        (
            "denial = \"scim\"",
            "denial = \"skim\"",
            format!("own.toml:{}:10: ", line("denial = \"scim\"")),
            "there is no denial `skim`",
        ),
        ("[issuer]", "[issuer", format!("own.toml:{}:8: ", line("[issuer]")), ""),
    ] {
        fs::write(&preset, builtin.replacen(from, to, 1)).unwrap();
        let said = place.say(&["check", "--offline"]);
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        assert!(
            said.out.contains(&place_of_it) && said.out.contains(why),
            "{place_of_it}{why}: {}",
            said.out
        );
    }
    fs::remove_file(&preset).unwrap();
    let said = place.say(&["check", "--offline"]);
    assert!(said.out.contains("own.toml` cannot be read"), "{}", said.out);
    fs::write(&preset, builtin).unwrap();
    let said = place.say(&["check", "--offline"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("ok    preset"), "{}", said.out);
}

#[test]
fn check_says_where_traces_go_and_what_is_missing_for_that() {
    for (otlp, says) in [
        ("endpoint = \"http://127.0.0.1:4318\"", "ok    traces"),
        (
            "endpoint = \"http://127.0.0.1:4318\", headers = { x = { file = \"nowhere.key\" } }",
            "nowhere.key",
        ),
    ] {
        let place = Place::with(&format!("{REPOSITORYS}\n[telemetry]\notlp = {{ {otlp} }}\n").replacen(
            "[telemetry]\n#",
            "#",
            1,
        ));
        let said = place.say(&["check", "--offline"]);
        assert!(said.out.contains(says), "{}{}", said.out, said.err);
    }
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

/// RFC 7517 appendix A.1, the RSA key.
const JWKS: &str = r#"{"keys":[{"kty":"RSA","alg":"RS256","kid":"1","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}]}"#;

#[test]
fn each_address_of_the_provider_is_asked() {
    let server = keycloak("http://id.example.com");
    let (alive, dead) = (server.address, "127.0.0.1:1");
    let place = Place::with(&format!(
        "[listen]\naddress = \"127.0.0.1:0\"\npublic_url = \"http://id.example.com\"\n\
         [upstream]\nurl = \"http://idp.invalid\"\naddresses = [\"{dead}\", \"{alive}\"]\npreset = \"keycloak\"\n"
    ));
    assert_eq!(place.say(&["keys", "init"]).code, 0);
    let said = place.say(&["check"]);
    assert_eq!(said.code, 1, "{}", said.out);
    for line in [
        "FAIL  address 127.0.0.1:1".to_owned(),
        format!("ok    address {alive}"),
        "its issuer is http://id.example.com/realms/master".to_owned(),
    ] {
        assert!(said.out.contains(&line), "{line}: {}", said.out);
    }
}

#[test]
fn rows_that_take_requests_from_each_other_are_told() {
    let route = |name: &str, path: &str, more: &str| {
        format!("[[route]]\nname = \"{name}\"\nmethods = [\"POST\"]\npath = \"{path}\"\n{more}\n")
    };
    let pass = "does = \"pass\"";
    let routes = [
        route("wide", "/realms/{realm}/login-actions/{rest*}", pass),
        route("narrow", "/realms/{realm}/login-actions/other", pass),
        route("left", "/{a}/x", pass),
        route("right", "/y/{b}", pass),
        route("left", "/z", pass),
    ];
    let place = Place::with(&format!("{REPOSITORYS}\n{}", routes.concat()));
    assert_eq!(place.say(&["keys", "init"]).code, 0);
    let said = place.say(&["check", "--offline"]);
    for line in [
        "warn  routes         your route `wide` takes every request of the preset's route `registration`, such as POST /realms/{realm}/login-actions/registration\n",
        "mend: name yours `registration` if it is to take that row's place, or narrow it\n",
        "warn  routes         your route `narrow` is never reached: your route `wide` stands in front of it",
        "warn  routes         your route `left` and your route `right` both fit POST /y/x; the first one gets it\n",
        "warn  routes         two `[[route]]` are called `left`",
    ] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }

    let said = Place::with(REPOSITORYS).say(&["check", "--offline"]);
    assert!(!said.out.contains("  routes "), "{}", said.out);
}

#[test]
fn what_is_out_of_reach_with_a_provider_is_told() {
    let place = Place::with(&REPOSITORYS.replace("preset = \"keycloak\"", "preset = \"okta\""));
    let said = place.say(&["check", "--offline"]);
    assert!(
        said.out.contains("note  out of reach   signup on the hosted pages"),
        "{}",
        said.out
    );
}

#[test]
fn a_preset_of_ones_own_may_extend_another_one() {
    let place = Place::with(&REPOSITORYS.replace("preset = \"keycloak\"", "preset = \"own.toml\""));
    let own = place.path().join("own.toml");
    let head = "name = \"own\"\nsummary = \"Ours\"\n";
    fs::write(&own, format!("{head}extends = \"keycloak\"\nwithout = [\"docker\"]\n")).unwrap();
    let said = place.say(&[
        "explain",
        "POST",
        "/realms/customers/login-actions/registration",
        "--form",
        "email=ada@example.org",
    ]);
    assert!(
        said.out.contains("route         `registration` of preset `own`"),
        "{}{}",
        said.out,
        said.err
    );
    for (text, told) in [
        (
            "extends = \"keycloack\"\n",
            "own.toml:3:11: there is no built-in preset `keycloack`",
        ),
        (
            "extends = \"keycloak\"\nwithout = [\"dokcer\"]\n",
            "own.toml:4:11: the preset `keycloak` has no row `dokcer`",
        ),
    ] {
        fs::write(&own, format!("{head}{text}")).unwrap();
        let said = place.say(&["check", "--offline"]);
        assert!(said.out.contains(told), "{}", said.out);
    }
}

#[test]
fn what_becomes_of_saml_is_told_also_where_it_passes() {
    for (policy, line) in [
        ("deny", "ok    SAML           refused, by the `on_failure`"),
        ("allow", "warn  SAML           passes, by the `on_failure`"),
    ] {
        let place = Place::with(&format!(
            "{REPOSITORYS}\n[[interceptor]]\nname = \"Sessions\"\ntrigger = \"PRE_SESSION_CREATION\"\n\
             endpoint = \"http://127.0.0.1:9/x\"\nsecret = {{ file = \"hook.key\" }}\non_failure = \"{policy}\"\n"
        ));
        let said = place.say(&["check", "--offline"]);
        assert!(said.out.contains(line), "{}", said.out);
    }
}
