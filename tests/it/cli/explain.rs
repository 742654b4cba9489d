//! `tollgate explain`.

use super::with_interceptor;

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
            .contains("what it is    The token endpoint, whatever the grant\n"),
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

#[test]
fn a_recording_shows_what_no_route_fits_and_suggests_one_without_a_value() {
    let place = with_interceptor("http://127.0.0.1:1", "http://127.0.0.1:1/");
    let posted = |path: &str, mime: &str, text: &str, answer: &str| {
        serde_json::json!({
            "request": {"method": "POST", "url": format!("https://id.example.com{path}"), "headers": [],
                        "postData": {"mimeType": mime, "text": text}},
            "response": {"status": 200, "headers": [], "content": {"text": answer}, "redirectURL": ""},
        })
    };
    let form = "application/x-www-form-urlencoded";
    let recording = serde_json::json!({"log": {"entries": [
        {"request": {"method": "GET", "url": "https://id.example.com/realms/customers/account/"}},
        posted("/realms/customers/login-actions/registration?client_id=web", form, "email=ada%40example.org&password=hunter22", ""),
        posted("/realms/customers/extra/sign-up", form, "email=ada%40example.org&firstName=Ada&password=hunter22", ""),
        posted("/api/teams/4711/invitations", "application/json", "{\"email\": \"bob@example.org\", \"role\": \"hunter22\"}", ""),
        posted("/mobile/login", "application/json", "{\"pin\": \"hunter22\"}", "{\"token\": \"eyJhbGciOiJub25lIn0.hunter22\"}"),
    ]}});
    std::fs::write(place.path().join("browser.har"), recording.to_string()).unwrap();
    let har = place.path().join("browser.har");
    let said = place.say(&["explain", "--record", har.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    for line in [
        "recognised    `registration`, 1 of them\n",
        "passes        1 that look like nothing that would be asked about\n",
        "no route      POST /realms/customers/extra/sign-up looks like a signup\n",
        "no route      POST /api/teams/{id}/invitations looks like an invitation, or an account made for somebody else\n",
        "no route      POST /mobile/login looks like tokens\n",
        "path = \"/realms/customers/extra/sign-up\"\ndoes = \"consult\"\ntrigger = \"PRE_SIGNUP\"\nbodies = [\"form\"]\n",
        "\"user.email\" = \"form:email\"\n\"user.given_name\" = \"form:firstName\"\n",
        "\"user.email\" = \"json:/email\"\n\"organization.id\" = \"path:id\"\n",
    ] {
        assert!(said.out.contains(line), "{line}\n{}", said.out);
    }
    for secret in ["hunter22", "ada", "bob", "4711"] {
        assert!(!said.out.contains(secret), "{}", said.out);
    }

    // What is suggested can be taken as it stands, and then nothing is left.
    let suggested: Vec<_> = said
        .out
        .split("\n[[route]]")
        .skip(1)
        .map(|part| part.split("\n\nno route").next().unwrap())
        .collect();
    let file = place.path().join("proxy.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    for route in suggested {
        text.push_str(&format!("\n[[route]]{route}\n"));
    }
    std::fs::write(&file, text).unwrap();
    let said = place.say(&["explain", "--record", har.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("recognised    `own-invite-invitations`, 1 of them"),
        "{}",
        said.out
    );

    let said = place.say(&["explain", "--record", "nonesuch.har"]);
    assert_eq!(said.code, 2, "{}", said.out);
}
