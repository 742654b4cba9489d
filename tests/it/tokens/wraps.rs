//! Wraps where they do not belong: none is taken, and no answer tells which part of it was wrong.

use serde_json::json;
use tollgate::{
    event::Trigger,
    secret::Secret,
    token::{AccessWrap, AlgorithmChoice, KeyRing, Memory, RefreshWrap, Reissuer, Sealer, Wrap},
};

use crate::world::{Answer, Idp, Setup, Tokens, keys};

fn reusing() -> Setup {
    Setup::generic().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"deny\"\non_refresh = \"reuse\"",
    )
}

/// Tokens of a session of `web`, both wrapped.
async fn session(idp: &Idp, number: u32) -> Tokens {
    idp.hook.claims(Trigger::PreSessionCreation, json!({"plan": "gold"}));
    idp.hands_out(json!({
        "access_token": format!("opaque-{number}"), "refresh_token": format!("refresh-{number}"), "token_type": "Bearer",
    }));
    Tokens::of(&idp.redeem().await)
}

/// Wraps of an installation with our signing keys and another capsule secret.
fn sealed_elsewhere(idp: &Idp) -> [String; 2] {
    let ring = KeyRing::load(&keys::shared().join("signing")).unwrap();
    let sealer = Sealer::new(&Secret::new(vec![9; 32]), None).unwrap();
    let reissuer = Reissuer::new(ring, sealer, AlgorithmChoice::Match).unwrap();
    let original = "opaque-1".to_owned();
    let memory = Memory {
        issuer: idp.issuer.clone(),
        client_id: Some("web".into()),
        ..Memory::default()
    };
    let access = Wrap::Access(AccessWrap {
        original: original.clone(),
        ..AccessWrap::default()
    });
    [access, Wrap::Refresh(RefreshWrap { original, memory })]
        .map(|wrap| reissuer.wrap(&wrap, jiff::Timestamp::UNIX_EPOCH).unwrap())
}

/// Every way by which a token travels upstream, with the kinds of wrap that belong there.
const WAYS: [(&str, &str); 10] = [
    ("bearer at userinfo", "access"),
    ("bearer at any path", "access"),
    ("bearer at an invitation", "access"),
    ("access_token at userinfo", "access"),
    ("token at introspection", "either"),
    ("token at revocation", "either"),
    ("subject_token", "access"),
    ("actor_token", "access"),
    ("refresh_token at the token endpoint", "refresh"),
    ("refresh_token at logout", "refresh"),
];

async fn present(idp: &Idp, way: &str, token: &str) -> Answer {
    let form = |path: &'static str, fields: Vec<(&'static str, &str)>| {
        let call = idp.post(path).basic("web", "web-secret");
        call.form(&fields).send()
    };
    match way {
        "bearer at userinfo" => idp.get("/userinfo").bearer(token).send().await,
        "bearer at any path" => idp.get("/anything").bearer(token).send().await,
        "bearer at an invitation" => {
            let call = idp.post("/api/users").bearer(token);
            call.json(&json!({"email": "guest@example.com"})).send().await
        }
        "access_token at userinfo" => idp.post("/userinfo").form(&[("access_token", token)]).send().await,
        "token at introspection" => form("/introspect", vec![("token", token)]).await,
        "token at revocation" => form("/revoke", vec![("token", token)]).await,
        "subject_token" | "actor_token" => {
            let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
            let name = if way == "subject_token" {
                "subject_token"
            } else {
                "actor_token"
            };
            form("/token", vec![("grant_type", exchange), (name, token)]).await
        }
        "refresh_token at the token endpoint" => {
            form(
                "/token",
                vec![("grant_type", "refresh_token"), ("refresh_token", token)],
            )
            .await
        }
        "refresh_token at logout" => form("/logout", vec![("refresh_token", token)]).await,
        _ => panic!("{way}"),
    }
}

/// What a client sees of a refusal, without the id of the request. Pages are compared by their status.
fn seen(answer: &Answer) -> (u16, Option<String>, String) {
    let challenge = answer.header("www-authenticate").map(str::to_owned);
    let is_page = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"));
    let text = if is_page { String::new() } else { answer.text() };
    (answer.status, challenge, text)
}

#[tokio::test]
async fn no_wrap_is_taken_where_or_as_what_it_is_not_and_all_refusals_are_one() {
    let idp = Idp::generic(reusing()).await;
    let (one, other) = (session(&idp, 1).await, session(&idp, 2).await);
    let [foreign_access, foreign_refresh] = sealed_elsewhere(&idp);
    let forged_jwt = {
        idp.hands_out(idp.good_tokens());
        let token = Tokens::of(&idp.redeem().await).access;
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        let mut claims = keys::claims(&token);
        claims.insert("sub".into(), json!("somebody-else"));
        parts[1] = keys::b64(serde_json::to_string(&claims).unwrap().as_bytes());
        parts.join(".")
    };

    let mut accepted = 0;
    let mut tried = 0;
    for (way, belongs) in WAYS {
        let expected = seen(&present(&idp, way, &forged_jwt).await);
        let at_token = ["subject_token", "actor_token", "refresh_token at the token endpoint"].contains(&way);
        assert_eq!(expected.0, if at_token { 400 } else { 401 }, "{way}");
        let mut wrong = Vec::new();
        for (kind, ours, theirs, foreign) in [
            ("access", &one.access, &other.access, &foreign_access),
            ("refresh", &one.refresh, &other.refresh, &foreign_refresh),
        ] {
            // Under another secret, and that with the id of ours.
            wrong.push(foreign.clone());
            wrong.push(format!("{}{}", &ours[..10], &foreign[10..]));
            if belongs != "either" && belongs != kind {
                wrong.push(ours.clone());
            }
            // The seal of one session around the contents of another, at every joint.
            for at in [5, 6, 11, 12, 27, 28, ours.len() / 2, ours.len() - 22] {
                wrong.push(format!("{}{}", &ours[..at], &theirs[at..]));
            }
            for at in [4, 5, 8, 20, ours.len() / 2, ours.len() - 1] {
                wrong.push(ours[..at].to_owned());
                let mut bytes = ours.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                wrong.push(String::from_utf8(bytes).unwrap());
            }
            let letter = if kind == "access" { "tg1.a" } else { "tg1.r" };
            let swapped = if kind == "access" { "tg1.r" } else { "tg1.a" };
            wrong.push(ours.replacen(letter, swapped, 1));
            wrong.push(format!("{ours}A"));
            wrong.push(format!("{ours}."));
        }
        idp.stub.forget();
        for token in wrong.iter().filter(|token| {
            ![&one, &other]
                .iter()
                .any(|s| (belongs != "refresh" && s.access == **token) || (belongs != "access" && s.refresh == **token))
        }) {
            let answer = present(&idp, way, token).await;
            assert_eq!(seen(&answer), expected, "{way}: {}", &token[..token.len().min(12)]);
            accepted += usize::from(answer.status < 400);
            tried += 1;
        }
        assert!(idp.stub.arrivals().is_empty(), "{way}: something went upstream");
    }
    assert_eq!(accepted, 0);
    assert!(tried > 300, "{tried}");
}

#[tokio::test]
async fn a_refresh_token_of_another_client_is_refused_before_the_provider_sees_it() {
    let idp = Idp::generic(reusing()).await;
    idp.hands_out(idp.good_tokens());
    let held = Tokens::of(&idp.redeem().await);
    idp.stub.forget();
    for (path, fields) in [
        (
            "/token",
            vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", held.refresh.as_str()),
            ],
        ),
        ("/revoke", vec![("token", held.refresh.as_str())]),
        ("/logout", vec![("refresh_token", held.refresh.as_str())]),
    ] {
        let answer = idp.post(path).basic("other", "x").form(&fields).send().await;
        let refused = if path == "/token" { 400 } else { 401 };
        assert_eq!(answer.status, refused, "{path}");
        let named = [fields, vec![("client_id", "other")]].concat();
        assert_eq!(idp.post(path).form(&named).send().await.status, refused, "{path}");
    }
    assert!(idp.stub.arrivals().is_empty());
}

#[tokio::test]
async fn a_refresh_token_of_one_realm_is_none_of_another() {
    let setup = Setup::keycloak().policy(
        Trigger::PreSessionCreation,
        "on_failure = \"deny\"\non_refresh = \"reuse\"",
    );
    let idp = Idp::keycloak_with(setup).await;
    idp.hands_out(idp.good_tokens());
    let held = Tokens::of(&idp.redeem().await);
    let there = format!("{}/realms/other", idp.url);
    let document = json!({"issuer": there, "jwks_uri": format!("{}{}", idp.url, idp.endpoints().jwks)});
    idp.stub.fate(
        "/realms/other/.well-known/openid-configuration",
        crate::world::Fate::Answer(200, "application/json", document.to_string()),
    );
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", held.refresh.as_str()),
    ];
    let path = "/realms/other/protocol/openid-connect/token";
    let answer = idp.post(path).basic("web", "web-secret").form(&fields).send().await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json()["error"], "invalid_grant");
    assert!(idp.stub.at(path).is_empty());
}
