//! What is refused of an authorization request, wherever it says it: what comes of the others is judged when it comes.

use serde_json::{Value, json};

use crate::world::{Idp, Setup, keys::b64};

/// An authorization request with these parameters, in the query or the form.
async fn authorize(idp: &Idp, by_form: bool, parameters: &[(&str, &str)]) -> crate::world::Answer {
    let path = idp.endpoints().authorize;
    let mut all = vec![("client_id", "web"), ("redirect_uri", crate::world::CALLBACK)];
    all.extend_from_slice(parameters);
    if by_form {
        return idp.post(path).form(&all).send().await;
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(all)
        .finish();
    idp.get(&format!("{path}?{query}")).send().await
}

async fn both() -> [Idp; 2] {
    [Idp::generic(Setup::generic()).await, Idp::keycloak().await]
}

fn object(claims: &Value) -> String {
    format!(
        "{}.{}.c2ln",
        b64(b"{\"alg\":\"RS256\"}"),
        b64(claims.to_string().as_bytes())
    )
}

#[tokio::test]
async fn response_types_are_the_upstreams_to_judge() {
    for idp in both().await {
        let path = idp.endpoints().authorize;
        for by_form in [false, true] {
            for response_type in ["code", "id_token token", "token id_token", "CODE", "a type of tomorrow"] {
                let asked = [("response_type", response_type), ("state", "a b+c")];
                let answer = authorize(&idp, by_form, &asked).await;
                assert_eq!(answer.status, 200, "{response_type}: {answer:?}");
            }
        }
        assert_eq!(idp.stub.at(path).len(), 10);
    }
}

#[tokio::test]
async fn response_modes_that_nobody_can_look_into_are_refused_in_query_and_form() {
    for idp in both().await {
        for by_form in [false, true] {
            for mode in ["web_message", "JWT", "query.jwt ", ""] {
                let asked = [("response_type", "code"), ("response_mode", mode)];
                let answer = authorize(&idp, by_form, &asked).await;
                assert_eq!(answer.status, 400, "{mode}: {answer:?}");
            }
        }
        assert!(idp.stub.at(idp.endpoints().authorize).is_empty());
        for mode in [
            "query",
            "fragment",
            "form_post",
            "jwt",
            "query.jwt",
            "fragment.jwt",
            "form_post.jwt",
        ] {
            let asked = [("response_type", "code"), ("response_mode", mode)];
            assert_eq!(authorize(&idp, false, &asked).await.status, 200, "{mode}");
        }
    }
}

#[tokio::test]
async fn a_parameter_twice_or_in_query_and_form_is_refused() {
    for idp in both().await {
        let path = idp.endpoints().authorize;
        let twice = format!("{path}?client_id=web&response_type=code&response_type=token");
        assert_eq!(idp.get(&twice).send().await.status, 400);
        let mixed = format!("{path}?client_id=web&response_type=code");
        let answer = idp.post(&mixed).form(&[("response_type", "token")]).send().await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let encoded = format!("{path}?client_id=web&response_type=code&respons%65_type=token");
        assert_eq!(idp.get(&encoded).send().await.status, 400);
        assert!(idp.stub.at(path).is_empty());
    }
}

#[tokio::test]
async fn a_request_object_is_looked_into() {
    for idp in both().await {
        for (why, claims) in [
            (
                "a mode",
                json!({"response_type": "code", "response_mode": "web_message"}),
            ),
            ("no text", json!({"response_mode": ["query"]})),
        ] {
            let request = object(&claims);
            let answer = authorize(&idp, false, &[("response_type", "code"), ("request", &request)]).await;
            assert_eq!(answer.status, 400, "{why}: {answer:?}");
        }
        let twice = format!(
            "{}.{}.c2ln",
            b64(b"{\"alg\":\"none\"}"),
            b64(b"{\"response_type\":\"code\",\"response_type\":\"token\"}")
        );
        for request in [twice.as_str(), "a.b.c.d.e", "nonsense", "a.b.c", &object(&json!([1]))] {
            let answer = authorize(&idp, false, &[("response_type", "code"), ("request", request)]).await;
            assert_eq!(answer.status, 400, "{request}: {answer:?}");
        }
        assert!(idp.stub.at(idp.endpoints().authorize).is_empty());
        let request = object(&json!({"response_type": "code", "client_id": "web"}));
        let answer = authorize(&idp, false, &[("response_type", "code"), ("request", &request)]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_object_by_reference_must_have_been_pushed_to_us() {
    for idp in both().await {
        let elsewhere = [
            ("response_type", "code"),
            ("request_uri", "https://evil.example/request.jwt"),
        ];
        assert_eq!(authorize(&idp, false, &elsewhere).await.status, 400);
        assert!(idp.stub.at(idp.endpoints().authorize).is_empty());
        let pushed = [("request_uri", "urn:ietf:params:oauth:request_uri:abc")];
        assert_eq!(authorize(&idp, false, &pushed).await.status, 200);
    }
}

#[tokio::test]
async fn a_pushed_request_is_held_to_the_same_rules() {
    for idp in both().await {
        let path = format!(
            "{}/protocol/openid-connect/ext/par/request",
            idp.issuer.strip_prefix(&idp.url).unwrap()
        );
        let request = object(&json!({"response_mode": "web_message"}));
        for form in [
            &[("response_type", "code"), ("response_mode", "web_message")][..],
            &[("response_type", "code"), ("request", &request)],
            &[("request_uri", "urn:ietf:params:oauth:request_uri:abc")],
        ] {
            let answer = idp.post(&path).basic("web", "web-secret").form(form).send().await;
            assert_eq!(answer.status, 400, "{form:?}: {answer:?}");
        }
        assert!(idp.stub.at(&path).is_empty());
        let answer = idp
            .post(&path)
            .basic("web", "web-secret")
            .form(&[("response_type", "code")])
            .send()
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn keycloaks_other_doors_to_the_login_page_are_held_to_the_same_rules() {
    let idp = Idp::keycloak().await;
    for page in ["registrations", "forgot-credentials", "auth"] {
        let path = format!("/realms/tg/protocol/openid-connect/{page}");
        let answer = idp
            .get(&format!(
                "{path}?client_id=web&response_type=code&response_mode=web_message"
            ))
            .send()
            .await;
        assert_eq!(answer.status, 400, "{page}: {answer:?}");
        assert!(idp.stub.at(&path).is_empty());
        let answer = idp
            .get(&format!("{path}?client_id=web&response_type=code"))
            .send()
            .await;
        assert_eq!(answer.status, 200, "{page}: {answer:?}");
    }
}
