//! The ways around that were measured at Keycloak, in front of a stub that has its paths.

use serde_json::{Value, json};
use tollgate::event::Trigger;

use crate::world::{Answer, Idp, client::status, idp::EXECUTION};

const FORM: &str = "application/x-www-form-urlencoded";
const FIELDS: &str =
    "username=eve&email=eve%40example.com&firstName=Eve&lastName=X&password=whatever1&password-confirm=whatever1";
const STEPS: [&str; 6] = [
    "registration",
    "authenticate",
    "reset-credentials",
    "first-broker-login",
    "required-action",
    "a-step-of-tomorrow",
];

/// Everything is denied: what reaches the stub beside the proxy's own questions went around.
async fn closed() -> Idp {
    let idp = Idp::keycloak().await;
    for trigger in Trigger::ALL {
        idp.hook.deny(trigger, "No");
    }
    idp
}

/// What arrived and was no question of the proxy's own.
fn slipped(idp: &Idp) -> Vec<String> {
    let own = ["/.well-known/openid-configuration", "/certs", "/registrations"];
    idp.stub
        .arrivals()
        .into_iter()
        .filter(|a| a.method != "GET" || !own.iter().any(|path| a.path().ends_with(path)))
        .map(|a| format!("{} {}", a.method, a.target))
        .collect()
}

#[tokio::test]
async fn the_registration_form_is_a_signup_below_every_login_action() {
    let idp = closed().await;
    for step in STEPS {
        let path = format!("/realms/tg/login-actions/{step}?session_code=x&client_id=web&tab_id=t");
        let asked = idp.hook.asked(Trigger::PreSignup).len();
        let answer = idp.post(&path).body(FORM, FIELDS).send().await;
        assert_eq!(answer.status, 403, "{step}: {answer:?}");
        assert!(answer.header("content-type").unwrap().starts_with("text/html"));
        assert_eq!(idp.hook.asked(Trigger::PreSignup).len(), asked + 1, "{step}");
        let event = idp.hook.event(Trigger::PreSignup);
        assert_eq!(event["data"]["user"]["email"], "eve@example.com");
        assert_eq!(event["data"]["user"]["name"], "Eve X");
        assert_eq!(event["interceptor_context"]["realm"], "tg");
        assert_eq!(event["interceptor_context"]["client_id"], "web");
    }
    assert_eq!(slipped(&idp), [""; 0]);
}

#[tokio::test]
async fn a_field_that_nobody_reads_may_have_several_lines_and_come_twice() {
    let idp = closed().await;
    let path = "/realms/tg/login-actions/registration";
    for fields in ["about=a%0D%0Ab", "hobby=chess&hobby=go"] {
        let answer = idp.post(path).body(FORM, format!("{FIELDS}&{fields}")).send().await;
        assert_eq!(answer.status, 403, "{fields}: {answer:?}");
    }
    assert_eq!(idp.hook.asked(Trigger::PreSignup).len(), 2);
    for (step, fields) in [
        ("registration", "email=eve%0A%40example.com"),
        ("authenticate", "password-confirm=a%0Ab"),
    ] {
        let path = format!("/realms/tg/login-actions/{step}");
        assert_eq!(idp.post(&path).body(FORM, fields).send().await.status, 400, "{fields}");
    }
    assert_eq!(idp.hook.asked(Trigger::PreSignup).len(), 2);
}

#[tokio::test]
async fn the_execution_of_the_registration_form_is_a_signup_whatever_the_fields_are() {
    let idp = closed().await;
    for step in ["authenticate", "reset-credentials", "required-action"] {
        let path = format!("/realms/tg/login-actions/{step}?session_code=x&execution={EXECUTION}&client_id=web");
        let answer = idp.post(&path).body(FORM, "username=eve").send().await;
        assert_eq!(answer.status, 403, "{step}: {answer:?}");
    }
    assert_eq!(idp.hook.asked(Trigger::PreSignup).len(), 3);
    assert_eq!(slipped(&idp), [""; 0]);
    // It was learned once, from the provider's own page.
    assert_eq!(idp.stub.at("/realms/tg/protocol/openid-connect/registrations").len(), 1);
}

#[tokio::test]
async fn a_registration_in_any_spelling_is_consulted_or_refused() {
    let idp = closed().await;
    let base = "/realms/tg/login-actions/registration";
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\neve@example.com\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"password-confirm\"\r\n\r\nwhatever1\r\n--b--\r\n";
    for (why, path, content_type, body) in [
        ("trailing slash", "/realms/tg/login-actions/registration/", FORM, FIELDS),
        ("upper case", "/REALMS/tg/LOGIN-ACTIONS/Registration", FORM, FIELDS),
        (
            "encoded names",
            base,
            FORM,
            "%65mail=eve%40example.com&password%2dconfirm=whatever1",
        ),
        ("multipart", base, "multipart/form-data; boundary=b", multipart),
        (
            "multipart elsewhere",
            "/realms/tg/login-actions/authenticate",
            "multipart/form-data; boundary=b",
            multipart,
        ),
        (
            "encoded elsewhere",
            "/realms/tg/login-actions/authenticate/",
            FORM,
            "%65mail=eve%40example.com&x=1",
        ),
        ("without an e-mail", base, FORM, "username=eve&password=whatever1"),
    ] {
        let asked = idp.hook.asked(Trigger::PreSignup).len();
        let answer = idp.post(path).body(content_type, body).send().await;
        assert_eq!(answer.status, 403, "{why}: {answer:?}");
        assert_eq!(idp.hook.asked(Trigger::PreSignup).len(), asked + 1, "{why}");
    }
    for (why, path, content_type, body) in [
        (
            "e-mail twice",
            base,
            FORM,
            "email=a%40example.com&email=eve%40example.com&password-confirm=x",
        ),
        (
            "e-mail twice, once encoded",
            base,
            FORM,
            "email=a%40example.com&%65mail=eve%40example.com",
        ),
        (
            "what it is recognised by, twice",
            "/realms/tg/login-actions/authenticate",
            FORM,
            "password-confirm=x&password-confirm=y",
        ),
        (
            "query and body",
            "/realms/tg/login-actions/registration?email=a%40example.com",
            FORM,
            FIELDS,
        ),
        (
            "execution twice",
            &format!("/realms/tg/login-actions/authenticate?execution=x&execution={EXECUTION}"),
            FORM,
            "username=eve",
        ),
        ("JSON", base, "application/json", "{\"email\":\"eve@example.com\"}"),
        (
            "JSON elsewhere",
            "/realms/tg/login-actions/authenticate",
            "application/json",
            "{\"email\":\"eve@example.com\"}",
        ),
        (
            "text elsewhere",
            "/realms/tg/login-actions/authenticate",
            "text/plain",
            FIELDS,
        ),
        (
            "utf-16",
            base,
            "application/x-www-form-urlencoded; charset=utf-16",
            FIELDS,
        ),
        (
            "matrix parameter",
            "/realms;abc/tg/login-actions/registration",
            FORM,
            FIELDS,
        ),
        (
            "matrix parameter at the end",
            "/realms/tg/login-actions/registration;x",
            FORM,
            FIELDS,
        ),
        ("//", "/realms//tg/login-actions/registration", FORM, FIELDS),
        ("dots", "/realms/tg/x/../login-actions/registration", FORM, FIELDS),
        (
            "encoded dots",
            "/realms/tg/x/%2e%2e/login-actions/registration",
            FORM,
            FIELDS,
        ),
        ("encoded slash", "/realms%2Ftg/login-actions/registration", FORM, FIELDS),
        (
            "encoded letter",
            "/realms/tg/login-actions/%72egistration",
            FORM,
            FIELDS,
        ),
        ("backslash", "/realms/tg/login-actions\\registration", FORM, FIELDS),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\nHost: {{host}}\nConnection: close\nContent-Type: {content_type}\nContent-Length: {}\n",
            body.len()
        );
        let answer = idp.raw(&head, body.as_bytes()).await;
        assert!(matches!(status(&answer), 400 | 415), "{why}: {answer}");
    }
    assert_eq!(slipped(&idp), [""; 0]);
}

#[tokio::test]
async fn a_plain_login_passes_unasked() {
    let idp = closed().await;
    let path = "/realms/tg/login-actions/authenticate?session_code=x&execution=another&client_id=web&tab_id=t";
    let body = "username=ada&password=correct-horse&credentialId=";
    let answer = idp.post(path).body(FORM, body).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = idp.stub.at("/realms/tg/login-actions/authenticate").pop().unwrap();
    assert_eq!(seen.target, path);
    assert_eq!(seen.text(), body);
    assert!(idp.hook.all().is_empty());
    assert!(idp.audit().is_empty());
}

#[tokio::test]
async fn every_way_of_making_an_account_for_somebody_is_an_invitation() {
    let idp = closed().await;
    let user = json!({"username": "eve", "email": "eve@example.com", "firstName": "Eve"});
    for (method, path, body) in [
        ("POST", "/admin/realms/tg/users", user.clone()),
        ("POST", "/admin/realms/tg/users/", user.clone()),
        ("POST", "/ADMIN/realms/tg/Users", user.clone()),
        ("POST", "/admin/realms/tg/users?realm=x", user.clone()),
        ("POST", "/admin/realms/tg/partialImport", json!({"users": [user]})),
        ("POST", "/admin/realms", json!({"realm": "new", "users": [user]})),
        (
            "POST",
            "/realms/tg/scim/v2/Users",
            json!({"userName": "eve", "emails": [{"value": "eve@example.com"}]}),
        ),
    ] {
        let asked = idp.hook.asked(Trigger::PreUserInvitation).len();
        let answer = idp.call(method, path).json(&body).send().await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert_eq!(idp.hook.asked(Trigger::PreUserInvitation).len(), asked + 1, "{path}");
        let event = idp.hook.event(Trigger::PreUserInvitation);
        assert_eq!(event["data"]["user"]["email"], "eve@example.com", "{path}");
    }
    let organization = "/admin/realms/tg/organizations/o1/members";
    for (path, content_type, body) in [
        (format!("{organization}/invite-user"), FORM, "email=eve%40example.com"),
        (format!("{organization}/invite-existing-user"), FORM, "id=u1"),
        (organization.to_owned(), "application/json", "\"u1\""),
        (
            "/admin/realms/tg/organizations/o1/invitations/i1/resend".to_owned(),
            FORM,
            "",
        ),
    ] {
        let asked = idp.hook.asked(Trigger::PreUserInvitation).len();
        let answer = idp.post(&path).body(content_type, body).send().await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert_eq!(idp.hook.asked(Trigger::PreUserInvitation).len(), asked + 1, "{path}");
        let event = idp.hook.event(Trigger::PreUserInvitation);
        assert_eq!(event["data"]["organization"]["id"], "o1", "{path}");
    }
    // Keycloak takes the spaces off and invites.
    let spaced = idp
        .post(&format!("{organization}/invite-user"))
        .body(FORM, "email=+eve%40evil.example+");
    assert_eq!(spaced.send().await.status, 403);
    let event = idp.hook.event(Trigger::PreUserInvitation);
    assert_eq!(event["data"]["user"]["email"], "eve@evil.example");
    for mail in ["execute-actions-email", "reset-password-email", "send-verify-email"] {
        let path = format!("/admin/realms/tg/users/u1/{mail}?lifespan=60");
        for body in [
            idp.call("PUT", &path).json(&json!(["UPDATE_PASSWORD"])),
            idp.call("PUT", &path),
        ] {
            let asked = idp.hook.asked(Trigger::PreUserInvitation).len();
            assert_eq!(body.send().await.status, 403, "{mail}");
            assert_eq!(idp.hook.asked(Trigger::PreUserInvitation).len(), asked + 1, "{mail}");
            assert_eq!(
                idp.hook.event(Trigger::PreUserInvitation)["data"]["user"]["id"],
                "u1",
                "{mail}"
            );
        }
    }
    assert_eq!(slipped(&idp), [""; 0]);
}

#[tokio::test]
async fn an_import_of_several_users_asks_about_each_and_one_denial_ends_it() {
    let idp = Idp::keycloak().await;
    let users = |n: usize| -> Value {
        let users = (0..n).map(|n| json!({"username": format!("u{n}"), "email": format!("u{n}@example.com")}));
        json!({"ifResourceExists": "SKIP", "users": users.collect::<Vec<_>>()})
    };
    let import = |body: Value| idp.post("/admin/realms/tg/partialImport").json(&body).send();
    assert_eq!(import(users(3)).await.status, 200);
    let asked: Vec<_> = idp
        .hook
        .asked(Trigger::PreUserInvitation)
        .iter()
        .map(|a| a.event["data"]["user"]["username"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(asked, ["u0", "u1", "u2"]);
    assert_eq!(idp.audit().len(), 3);
    let seen: Value = serde_json::from_slice(&idp.stub.at("/admin/realms/tg/partialImport")[0].body).unwrap();
    assert_eq!(seen, users(3));

    idp.stub.forget();
    let too_many: Answer = import(users(51)).await;
    assert_eq!(too_many.status, 400, "{too_many:?}");
    let no_list = import(json!({"users": {"username": "eve"}})).await;
    assert_eq!(no_list.status, 400, "{no_list:?}");
    idp.hook.deny(Trigger::PreUserInvitation, "No");
    assert_eq!(import(users(3)).await.status, 403);
    assert_eq!(slipped(&idp), [""; 0]);
    assert_eq!(
        import(json!({"clients": []})).await.status,
        200,
        "no user, nobody to ask about"
    );
}

#[tokio::test]
async fn a_user_in_an_unreadable_document_is_refused() {
    let idp = closed().await;
    for (why, content_type, body) in [
        (
            "twice",
            "application/json",
            "{\"email\":\"a@example.com\",\"email\":\"eve@example.com\"}",
        ),
        ("a second document", "application/json", "{\"username\":\"eve\"}{}"),
        (
            "a byte-order mark",
            "application/json",
            "\u{feff}{\"username\":\"eve\"}",
        ),
        ("a form", FORM, "username=eve"),
        (
            "a form in parts",
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\neve\r\n--b--\r\n",
        ),
        ("charset", "application/json; charset=utf-32", "{\"username\":\"eve\"}"),
    ] {
        let answer = idp.post("/admin/realms/tg/users").body(content_type, body).send().await;
        assert!(matches!(answer.status, 400 | 415), "{why}: {answer:?}");
    }
    let untyped = idp
        .post("/admin/realms/tg/users")
        .bytes("{\"username\":\"eve\"}")
        .send()
        .await;
    assert!(matches!(untyped.status, 400 | 415), "{untyped:?}");
    assert!(idp.hook.all().is_empty());
    assert_eq!(slipped(&idp), [""; 0]);
}

#[tokio::test]
async fn keycloaks_token_endpoint_is_held_for_every_realm_and_spelling() {
    let idp = Idp::keycloak().await;
    idp.hook.deny(Trigger::PreSessionCreation, "No");
    idp.hands_out(idp.good_tokens());
    let path = idp.endpoints().token;
    for path in [
        path.to_owned(),
        format!("{path}/"),
        path.to_uppercase().replace("/TG/", "/tg/"),
    ] {
        let answer = idp
            .post(&path)
            .basic("web", "web-secret")
            .form(&[("grant_type", "authorization_code"), ("code", "x")])
            .send()
            .await;
        assert!(!answer.text().contains("eyJ"), "{path}: {answer:?}");
    }
    assert!(!idp.hook.asked(Trigger::PreSessionCreation).is_empty());
    let event = idp.hook.event(Trigger::PreSessionCreation);
    assert_eq!(event["interceptor_context"]["realm"], "tg");
}

#[tokio::test]
async fn ways_out_that_are_not_served_are_refused_and_not_forwarded() {
    let idp = closed().await;
    for (method, path) in [
        ("GET", "/realms/tg/protocol/docker-v2/auth?service=x"),
        ("GET", "/realms/tg/.well-known/jwt-vc-issuer"),
        ("GET", "/.well-known/jwt-vc-issuer/realms/tg"),
        ("GET", "/realms/tg/.well-known/openid-credential-issuer"),
        ("GET", "/.well-known/openid-credential-issuer/realms/tg"),
        ("POST", "/realms/tg/protocol/oid4vc/credential"),
    ] {
        let answer = idp.call(method, path).send().await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(!answer.json()["error_description"].as_str().unwrap().is_empty());
    }
    let grant = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
    let answer = idp.grant(&[("grant_type", grant)]).await;
    assert_eq!(answer.json()["error"], "unsupported_grant_type");
    let exchange = idp
        .grant(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:saml2"),
        ])
        .await;
    assert_eq!(exchange.status, 400);
    assert_eq!(exchange.json()["error"], "invalid_request");
    assert_eq!(slipped(&idp), [""; 0]);
}
