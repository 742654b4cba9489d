//! Tokens that leave through the browser: held, verified, asked about and signed again, by redirect, form and JWT.

use form_urlencoded::{Serializer, parse};
use serde_json::{Map, Value, json};
use tollgate::event::Trigger;

use crate::world::{Answer, CALLBACK, Fate, Idp, Setup, keys, stub, until};

const CODE: &str = "SplxlOBeZQQYbYS6WxSbIA";
const STATE: &str = "af0 ifj+s&ldkj\u{e9}\"<";
const MODES: [&str; 3] = ["query", "fragment", "form_post"];

/// The parameters of a hybrid response with everything in it.
fn everything(idp: &Idp) -> Vec<(String, String)> {
    let access = idp.key.sign(&idp.access_claims());
    let mut claims = idp.id_claims(&access);
    claims["c_hash"] = json!(keys::half_hash(CODE));
    claims["s_hash"] = json!(keys::half_hash(STATE));
    claims["nonce"] = json!("n-1");
    let id = idp.key.sign(&claims);
    pairs(&[
        ("state", STATE),
        ("code", CODE),
        ("id_token", &id),
        ("access_token", &access),
        ("token_type", "Bearer"),
        ("expires_in", "300"),
    ])
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = list
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect()
}

/// From now on a path answers with this response, in this mode.
fn responds(idp: &Idp, path: &str, mode: &str, parameters: Vec<(String, String)>) {
    let mode = mode.to_owned();
    let answer = move |_: &stub::Arrival| {
        let encoded = Serializer::new(String::new()).extend_pairs(&parameters).finish();
        let location = match mode.as_str() {
            "query" => format!("{CALLBACK}?own=1&{encoded}"),
            "fragment" => format!("{CALLBACK}?own=1#{encoded}"),
            _ => {
                let escape = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
                let fields: String = parameters
                    .iter()
                    .map(|(name, value)| {
                        format!("<INPUT TYPE=\"HIDDEN\" NAME=\"{name}\" VALUE=\"{}\" />", escape(value))
                    })
                    .collect();
                let page = format!(
                    "<HTML><BODY Onload=\"document.forms[0].submit()\"><FORM METHOD=\"POST\" ACTION=\"{CALLBACK}?own=1\">{fields}</FORM></BODY></HTML>"
                );
                let mut response = stub::reply(200, "text/html;charset=UTF-8", page);
                response.headers_mut().append("set-cookie", "sso=1".parse().unwrap());
                return response;
            }
        };
        let mut response = stub::reply(302, "text/html", format!("Go to {location}"));
        response.headers_mut().insert("location", location.parse().unwrap());
        response.headers_mut().append("set-cookie", "sso=1".parse().unwrap());
        response
    };
    idp.stub.fate(path, Fate::by(answer));
}

/// The parameters as the client gets them, wherever they are.
fn received(answer: &Answer, mode: &str) -> Map<String, Value> {
    let read = |text: &str| -> Map<String, Value> {
        parse(text.as_bytes())
            .map(|(name, value)| (name.into_owned(), json!(value)))
            .collect()
    };
    if mode == "form_post" {
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.text();
        let action = format!("\"{CALLBACK}?own=1\"");
        assert!(page.contains(&action), "{page}");
        let field = regex::Regex::new("(?i)name=\"([^\"]*)\" value=\"([^\"]*)\"").unwrap();
        let unescape = |text: &str| {
            let mut text = text.replace("&quot;", "\"").replace("&lt;", "<");
            for code in [34, 60, 62, 38] {
                text = text.replace(&format!("&#{code};"), &char::from_u32(code).unwrap().to_string());
            }
            text.replace("&amp;", "&")
        };
        let fields = field.captures_iter(&page);
        return fields.map(|f| (f[1].to_owned(), json!(unescape(&f[2])))).collect();
    }
    assert_eq!(answer.status, 302, "{answer:?}");
    assert_eq!(answer.text(), "", "the body repeats the redirect");
    let location = answer.header("location").unwrap();
    let mark = if mode == "query" { '?' } else { '#' };
    assert!(location.starts_with(&format!("{CALLBACK}?own=1")), "{location}");
    let mut parameters = read(location.split_once(mark).unwrap().1);
    parameters.shift_remove("own");
    parameters
}

fn text<'a>(parameters: &'a Map<String, Value>, name: &str) -> &'a str {
    parameters
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {name}: {parameters:?}"))
}

async fn jwks(idp: &Idp) -> Value {
    idp.get(idp.endpoints().jwks).send().await.json()
}

/// What a relying party checks of a hybrid response.
async fn assert_reissued(idp: &Idp, parameters: &Map<String, Value>) {
    let jwks = jwks(idp).await;
    let (access, id) = (text(parameters, "access_token"), text(parameters, "id_token"));
    let claims = keys::verified(id, &jwks);
    assert_eq!(keys::verified(access, &jwks)["plan"], "gold");
    assert_eq!(claims["plan"], "gold");
    assert_eq!(claims["at_hash"], keys::half_hash(access));
    assert_eq!(claims["c_hash"], keys::half_hash(CODE));
    assert_eq!(claims["s_hash"], keys::half_hash(STATE));
    assert_eq!(parameters["code"], CODE);
    assert_eq!(parameters["state"], STATE);
}

#[tokio::test]
async fn a_hybrid_response_is_asked_about_once_and_signed_again_in_every_mode() {
    let idp = Idp::keycloak().await;
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    for mode in MODES {
        for path in [
            "/realms/tg/protocol/openid-connect/auth",
            "/realms/tg/login-actions/authenticate",
            "/realms/tg/login-actions/consent",
            "/realms/tg/broker/after-first-broker-login",
            "/realms/tg/broker/partner/endpoint",
            "/realms/tg/device",
            "/realms/tg/a-path-of-tomorrow",
        ] {
            responds(&idp, path, mode, everything(&idp));
            let before = idp.hook.asked(Trigger::PreSessionCreation).len();
            let answer = idp.get(&format!("{path}?client_id=web&x=1")).send().await;
            assert_reissued(&idp, &received(&answer, mode)).await;
            assert_eq!(answer.header("set-cookie"), Some("sso=1"));
            assert_eq!(
                idp.hook.asked(Trigger::PreSessionCreation).len(),
                before + 1,
                "{mode} {path}"
            );
            let event = idp.hook.event(Trigger::PreSessionCreation);
            let context = &event["interceptor_context"];
            assert_eq!(context["grant_type"], "hybrid");
            assert_eq!(context["realm"], "tg");
            assert_eq!(context["client_id"], "web");
            assert_eq!(context["user_id"], "u-1");
            let redirect_uri = context["auth_request"]["redirect_uri"].as_str().unwrap();
            assert!(redirect_uri.starts_with(CALLBACK) && !redirect_uri.contains(CODE));
            assert_eq!(event["data"]["user"]["email"], "ada@example.com");
            assert!(!event.to_string().contains(CODE));
        }
    }
}

#[tokio::test]
async fn a_generic_provider_is_held_at_every_path() {
    let idp = Idp::generic(Setup::generic()).await;
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    for mode in MODES {
        for path in ["/authorize", "/interaction/1/login", "/"] {
            responds(&idp, path, mode, everything(&idp));
            let answer = idp.get(path).send().await;
            assert_reissued(&idp, &received(&answer, mode)).await;
        }
    }
}

#[tokio::test]
async fn a_registration_that_ends_in_tokens_is_a_signup_and_a_session() {
    let idp = Idp::keycloak().await;
    let path = "/realms/tg/login-actions/registration";
    responds(&idp, path, "fragment", everything(&idp));
    let fields = "username=eve&email=eve%40example.com&password=x&password-confirm=x";
    let form = "application/x-www-form-urlencoded";
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    let answer = idp.post(path).body(form, fields).send().await;
    assert_reissued(&idp, &received(&answer, "fragment")).await;
    assert_eq!(idp.hook.asked(Trigger::PreSignup).len(), 1);
    assert_eq!(idp.hook.asked(Trigger::PreSessionCreation).len(), 1);
}

#[tokio::test]
async fn an_implicit_response_says_so_and_may_have_one_token() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    let (access, id_alone) = (idp.key.sign(&idp.access_claims()), {
        let mut claims = idp.id_claims("");
        claims.as_object_mut().unwrap().shift_remove("at_hash");
        idp.key.sign(&claims)
    });
    for (name, token) in [("access_token", &access), ("id_token", &id_alone)] {
        responds(&idp, path, "fragment", pairs(&[(name, token), ("scope", "openid")]));
        let answer = idp.get(path).send().await;
        let parameters = received(&answer, "fragment");
        keys::verified(text(&parameters, name), &jwks(&idp).await);
        let event = idp.hook.event(Trigger::PreSessionCreation);
        assert_eq!(event["interceptor_context"]["grant_type"], "implicit");
        assert_eq!(event["interceptor_context"]["auth_request"]["scope"], "openid");
    }
}

#[tokio::test]
async fn a_denial_is_an_error_in_the_same_mode_and_the_tokens_are_revoked_on_record() {
    let idp = Idp::keycloak().await;
    idp.stub.fate(
        idp.endpoints().revoke,
        Fate::Answer(200, "application/json", String::new()),
    );
    idp.hook
        .deny(Trigger::PreSessionCreation, "Not \u{2014} \"now\" & <here>");
    for mode in MODES {
        let path = idp.endpoints().authorize;
        let response = everything(&idp);
        let access = response
            .iter()
            .find(|(name, _)| name == "access_token")
            .unwrap()
            .1
            .clone();
        responds(&idp, path, mode, response);
        let answer = idp.get(path).send().await;
        let parameters = received(&answer, mode);
        let expected =
            json!({"state": STATE, "error": "access_denied", "error_description": "Not \u{2014} \"now\" & <here>"});
        assert_eq!(Value::Object(parameters), expected, "{mode}");
        assert!(!answer.text().contains("eyJ") && !format!("{:?}", answer.headers).contains("eyJ"));
        until("the access token is revoked", || async {
            idp.stub
                .at(idp.endpoints().revoke)
                .iter()
                .any(|a| a.field("token").as_deref() == Some(&access))
        })
        .await;
        let revocation = idp.stub.at(idp.endpoints().revoke).pop().unwrap();
        assert_eq!(revocation.field("client_id").as_deref(), Some("web"));
        idp.recorded("the revocation is recorded", |record| {
            record.entry.reason.as_deref() == Some("access_token revoked")
        })
        .await;
    }
}

#[tokio::test]
async fn tokens_that_a_relying_party_would_refuse_never_reach_the_browser() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    let access = idp.key.sign(&idp.access_claims());
    let id = |change: &dyn Fn(&mut Value)| {
        let mut claims = idp.id_claims(&access);
        claims["c_hash"] = json!(keys::half_hash(CODE));
        claims["nonce"] = json!("n-1");
        change(&mut claims);
        idp.key.sign(&claims)
    };
    let without =
        |claim: &'static str| move |claims: &mut Value| _ = claims.as_object_mut().unwrap().shift_remove(claim);
    let stranger = keys::Key::new(&idp.key.kid);
    for (why, token) in [
        (
            "wrong at_hash",
            id(&|claims| claims["at_hash"] = json!(keys::half_hash("x"))),
        ),
        (
            "wrong c_hash",
            id(&|claims| claims["c_hash"] = json!(keys::half_hash("x"))),
        ),
        (
            "wrong s_hash",
            id(&|claims| claims["s_hash"] = json!(keys::half_hash("x"))),
        ),
        ("no at_hash", id(&without("at_hash"))),
        ("no c_hash", id(&without("c_hash"))),
        (
            "another client's",
            id(&|claims| (claims["aud"], claims["azp"]) = (json!("other"), json!("other"))),
        ),
        ("another nonce", id(&|claims| claims["nonce"] = json!("n-2"))),
        ("a stranger's", stranger.sign(&idp.id_claims(&access))),
        ("no JWT", "opaque".to_owned()),
        (
            "another issuer's",
            id(&|claims| claims["iss"] = json!("https://evil.example")),
        ),
    ] {
        for mode in MODES {
            let response = pairs(&[
                ("state", STATE),
                ("code", CODE),
                ("id_token", &token),
                ("access_token", &access),
            ]);
            responds(&idp, path, mode, response);
            let answer = idp.get(&format!("{path}?client_id=web&nonce=n-1")).send().await;
            assert_eq!(answer.status, 502, "{why}, {mode}: {answer:?}");
            assert!(answer.header("location").is_none());
            assert!(!answer.text().contains(&access), "{why}");
        }
    }
    assert!(idp.hook.asked(Trigger::PreSessionCreation).is_empty());
    let failures = idp.audit().into_iter().filter_map(|record| record.entry.failure);
    let unverified = failures.filter(|failure| failure.kind == "unverified_token").count();
    assert_eq!(unverified, 10 * MODES.len(), "each is on record");
}

#[tokio::test]
async fn a_nonce_that_a_request_object_may_have_changed_is_not_held_against_the_token() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    responds(&idp, path, "fragment", everything(&idp));
    let object = format!(
        "{}.{}.c2ln",
        keys::b64(b"{\"alg\":\"ES256\"}"),
        keys::b64(b"{\"nonce\":\"n-1\"}")
    );
    let answer = idp
        .get(&format!("{path}?client_id=web&nonce=other&request={object}"))
        .send()
        .await;
    assert_eq!(answer.status, 302, "{answer:?}");
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_not_passed() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    let token = idp.key.sign(&idp.access_claims());
    let page = |form: &str| stub::reply(200, "text/html", form.replace("TOKEN", &token));
    let redirect = |location: &str| {
        let mut response = stub::reply(302, "text/plain", "");
        response
            .headers_mut()
            .insert("location", location.replace("TOKEN", &token).parse().unwrap());
        response
    };
    let input = "<input type=hidden name=access_token value=TOKEN>";
    let long = format!(
        "<form method=post action={CALLBACK}>{}{input}</form>",
        " ".repeat(1024 * 1024)
    );
    let encoded = {
        let token = token.clone();
        move || {
            let mut response = stub::reply(
                200,
                "text/html",
                format!("<form><input name=access_token value={token}>"),
            );
            response
                .headers_mut()
                .insert("content-encoding", "x-rot13".parse().unwrap());
            response
        }
    };
    let cases: Vec<(&str, axum::response::Response)> = vec![
        (
            "twice",
            redirect(&format!("{CALLBACK}#access_token=TOKEN&access_token=TOKEN")),
        ),
        (
            "in query and fragment",
            redirect(&format!("{CALLBACK}?access_token=TOKEN#id_token=TOKEN")),
        ),
        ("outside of a form", page(input)),
        (
            "in a form by GET",
            page(&format!("<form action={CALLBACK}>{input}</form>")),
        ),
        (
            "in a form to nowhere",
            page(&format!("<form method=post>{input}</form>")),
        ),
        (
            "in a field that is shown",
            page(&format!(
                "<form method=post action={CALLBACK}><input name=access_token value=TOKEN></form>"
            )),
        ),
        (
            "in two forms",
            page(&format!(
                "<form method=post action={CALLBACK}>{input}</form><form method=post action={CALLBACK}>{input}</form>"
            )),
        ),
        ("in a page without end", page(&long)),
        ("compressed", encoded()),
    ];
    for (why, response) in cases {
        let response = std::sync::Mutex::new(Some(response));
        idp.stub
            .fate(path, Fate::by(move |_| response.lock().unwrap().take().unwrap()));
        let answer = idp.get(path).send().await;
        assert_eq!(answer.status, 502, "{why}: {answer:?}");
        assert!(
            !answer.text().contains(&token) && answer.header("location").is_none(),
            "{why}"
        );
    }
}

#[tokio::test]
async fn pages_pass_as_they_are_and_are_asked_for_uncompressed() {
    let idp = Idp::keycloak().await;
    let path = "/realms/tg/login-actions/authenticate";
    let page =
        "<!doctype html><form method=post action=/x><input name=username><input type=hidden name=credentialId></form>";
    let long = format!("<!doctype html>{}", "<p>words</p>".repeat(200_000));
    for page in [page.to_owned(), long] {
        idp.stub
            .fate(path, Fate::Answer(200, "text/html;charset=utf-8", page.clone()));
        let answer = idp.get(path).header("accept-encoding", "gzip, br").send().await;
        assert_eq!((answer.status, answer.text()), (200, page));
    }
    assert_eq!(idp.stub.at(path)[0].header("accept-encoding"), Some("identity"));
    let script = idp
        .get(path)
        .header("accept-encoding", "gzip, br")
        .header("sec-fetch-dest", "script");
    script.send().await;
    assert_eq!(idp.stub.at(path)[2].header("accept-encoding"), Some("gzip, br"));
    assert!(idp.hook.all().is_empty());
}

#[tokio::test]
async fn a_jwt_secured_response_is_signed_again_around_tokens_that_are() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    for mode in MODES {
        let around = idp.key.sign(&jarm(&idp, everything(&idp)));
        responds(&idp, path, mode, pairs(&[("response", &around)]));
        let answer = idp.get(path).send().await;
        let parameters = received(&answer, mode);
        let claims = keys::verified(text(&parameters, "response"), &jwks(&idp).await);
        assert!(claims.get("tgc").is_none(), "it never travels back");
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(idp.issuer), &json!("web")));
        assert_reissued(&idp, &claims).await;
    }
    assert_eq!(idp.hook.asked(Trigger::PreSessionCreation).len(), 3);
    let wrappers = [("token", "statement")];
    assert_eq!(idp.metrics().sum("tollgate_tokens_reissued_total", &wrappers), 3.0);
}

#[tokio::test]
async fn a_jwt_secured_code_is_signed_again_and_nobody_is_asked_yet() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    let claims = jarm(&idp, pairs(&[("code", CODE), ("state", STATE)]));
    for mode in MODES {
        responds(&idp, path, mode, pairs(&[("response", &idp.key.sign(&claims))]));
        let parameters = received(&idp.get(path).send().await, mode);
        let again = keys::verified(text(&parameters, "response"), &jwks(&idp).await);
        assert_eq!(Value::Object(again), claims);
    }
    assert!(idp.hook.all().is_empty());
}

#[tokio::test]
async fn a_jwt_secured_response_may_say_the_same_twice_and_nothing_else_twice() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    let claims = jarm(&idp, pairs(&[("code", CODE), ("state", STATE)]));
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": idp.key.kid});
    let twice = |more: &str| {
        let text = claims.to_string();
        idp.key
            .sign_as(&header, &format!("{},{more}}}", text.strip_suffix('}').unwrap()))
    };
    // As Keycloak does.
    let same = format!("\"iss\":{}", claims["iss"]);
    responds(&idp, path, "query", pairs(&[("response", &twice(&same))]));
    let parameters = received(&idp.get(path).send().await, "query");
    let again = keys::verified(text(&parameters, "response"), &jwks(&idp).await);
    assert_eq!(Value::Object(again), claims);
    responds(
        &idp,
        path,
        "query",
        pairs(&[("response", &twice("\"code\":\"another\""))]),
    );
    assert_eq!(idp.get(path).send().await.status, 502);
}

#[tokio::test]
async fn a_denial_of_a_jwt_secured_response_is_a_jwt_too() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    idp.hook.deny(Trigger::PreSessionCreation, "No");
    for mode in MODES {
        let around = jarm(&idp, everything(&idp));
        responds(&idp, path, mode, pairs(&[("response", &idp.key.sign(&around))]));
        let parameters = received(&idp.get(path).send().await, mode);
        let claims = keys::verified(text(&parameters, "response"), &jwks(&idp).await);
        let expected = json!({
            "iss": idp.issuer, "aud": "web", "exp": around["exp"], "state": STATE,
            "error": "access_denied", "error_description": "No",
        });
        assert_eq!(Value::Object(claims), expected);
    }
}

#[tokio::test]
async fn a_jwt_around_a_response_that_a_client_would_refuse_is_never_signed_again() {
    let idp = Idp::keycloak().await;
    let path = idp.endpoints().authorize;
    let good = jarm(&idp, pairs(&[("code", CODE)]));
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        idp.key.sign(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().shift_remove(name);
        idp.key.sign(&claims)
    };
    let access = idp.key.sign(&idp.access_claims());
    for (why, raw) in [
        ("a stranger's", keys::Key::new(&idp.key.kid).sign(&good)),
        ("another issuer's", with("iss", json!("https://evil.example"))),
        ("another client's", with("aud", json!("other"))),
        ("past", with("exp", json!(1))),
        ("without end", without("exp")),
        ("for nobody", without("aud")),
        ("an ID token", idp.key.sign(&idp.id_claims(&access))),
        ("an access token", access.clone()),
        ("an access token without a subject", with("azp", json!("web"))),
        ("a token by its type", with("typ", json!("Bearer"))),
        ("encrypted", format!("{}.a.b.c.d", keys::b64(b"{\"alg\":\"RSA-OAEP\"}"))),
        ("with a token that is no text", with("access_token", json!([access]))),
        ("with a token that does not verify", with("id_token", json!("x"))),
    ] {
        responds(&idp, path, "query", pairs(&[("response", &raw)]));
        let answer = idp.get(&format!("{path}?client_id=web")).send().await;
        assert_eq!(answer.status, 502, "{why}: {answer:?}");
        assert!(answer.header("location").is_none(), "{why}");
    }
    assert!(idp.hook.all().is_empty());
}

#[tokio::test]
async fn a_redirect_with_tokens_outside_of_any_issuer_is_held_up() {
    let idp = Idp::keycloak().await;
    responds(&idp, "/elsewhere", "fragment", everything(&idp));
    let answer = idp.get("/elsewhere").send().await;
    assert_eq!(answer.status, 502, "{answer:?}");
    responds(&idp, idp.endpoints().token, "fragment", everything(&idp));
    let answer = idp.grant(&[("grant_type", "password")]).await;
    assert_eq!(answer.status, 502, "{answer:?}");
}

/// An authorization response as one JWT's claims (JARM §2.1).
fn jarm(idp: &Idp, parameters: Vec<(String, String)>) -> Value {
    let mut claims = json!({"iss": idp.issuer, "aud": "web", "exp": idp.access_claims()["exp"]});
    for (name, value) in parameters {
        claims[name] = json!(value);
    }
    claims
}
