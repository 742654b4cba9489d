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
