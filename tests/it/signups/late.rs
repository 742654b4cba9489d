//! A user that appears without a consult is noticed at the first token.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tollgate::event::Trigger;

use crate::world::{Answer, Fate, Idp, Reply, Setup, stub};

const ADMIN: &str = "/admin/realms/tg";
const CONFIGURED: &str = "service_account = { client_id = \"keeper\", client_secret = { file = \"hook.key\" }, realm = \"master\" }\n\
                          late_signup = { since = \"2026-01-01T00:00:00Z\" }";

/// A provider with one user, made in 2026, and whether that user is marked.
struct Upstream {
    idp: Idp,
    marked: Arc<Mutex<bool>>,
}

impl Upstream {
    async fn start() -> Self {
        Self::with(Setup::keycloak().section("upstream", CONFIGURED)).await
    }

    async fn with(setup: Setup) -> Self {
        let idp = Idp::keycloak_with(setup).await;
        idp.hands_out(idp.good_tokens());
        let marked = Arc::new(Mutex::new(false));
        let upstream = Self { idp, marked };
        upstream.user("2026-06-01T00:00:00Z");
        upstream.answers(
            "/realms/master/protocol/openid-connect/token",
            json!({"access_token": "service-token", "expires_in": 60}),
        );
        upstream.answers(
            &format!("{ADMIN}/users/u-1/federated-identity"),
            json!([{"identityProvider": "partner"}]),
        );
        upstream.answers(
            &format!("{ADMIN}/groups"),
            json!([{"id": "g-0", "name": "tollgate-asked-not"}, {"id": "g-1", "name": "tollgate-asked"}]),
        );
        let marked = Arc::clone(&upstream.marked);
        upstream.by(&format!("{ADMIN}/users/u-1/groups"), move |_| {
            let marks = if *marked.lock().unwrap() {
                json!([{"id": "g-1", "name": "tollgate-asked"}])
            } else {
                json!([{"id": "g-0", "name": "tollgate-asked-not"}])
            };
            stub::json(200, &marks)
        });
        let marked = Arc::clone(&upstream.marked);
        upstream.by(&format!("{ADMIN}/users/u-1/groups/g-1"), move |_| {
            *marked.lock().unwrap() = true;
            stub::reply(204, "text/plain", "")
        });
        upstream
    }

    /// The account was made then.
    fn user(&self, created: &str) {
        let created: jiff::Timestamp = created.parse().unwrap();
        let user = json!({"id": "u-1", "username": "ada", "email": "ada@example.com", "firstName": "Ada", "lastName": "L",
            "createdTimestamp": created.as_millisecond()});
        self.answers(&format!("{ADMIN}/users/u-1"), user);
    }

    fn answers(&self, path: &str, document: Value) {
        self.idp
            .stub
            .fate(path, Fate::Answer(200, "application/json", document.to_string()));
    }

    fn by(&self, path: &str, answer: impl Fn(&stub::Arrival) -> axum::response::Response + Send + Sync + 'static) {
        self.idp.stub.fate(path, Fate::By(Arc::new(Box::new(answer))));
    }

    fn questions(&self) -> usize {
        self.idp.hook.asked(Trigger::PreSignup).len()
    }

    /// What was written to the admin API.
    fn written(&self) -> Vec<String> {
        let mut arrivals = self.idp.stub.arrivals();
        arrivals.retain(|a| a.path().starts_with(ADMIN) && a.method != "GET");
        arrivals
            .iter()
            .map(|a| format!("{} {} {}", a.method, a.target, a.text()))
            .collect()
    }
}

fn has_no_token(answer: &Answer) -> bool {
    !answer.text().contains("eyJ")
}

#[tokio::test]
async fn a_denied_user_gets_no_token_and_the_account_is_disabled() {
    let upstream = Upstream::start().await;
    upstream.idp.hook.deny(Trigger::PreSignup, "Ask your company");
    let answer = upstream.idp.redeem().await;
    assert_eq!(
        answer.json(),
        json!({"error": "access_denied", "error_description": "Ask your company"})
    );
    let event = upstream.idp.hook.event(Trigger::PreSignup);
    let context = &event["interceptor_context"];
    assert_eq!(context["late"], true);
    assert_eq!(context["operation"], "token");
    assert_eq!(context["connection_details"], json!([{"id": "partner"}]));
    assert_eq!(event["data"]["user"]["name"], "Ada L");
    assert_eq!(event["data"]["user"]["email_domain"], "example.com");
    assert!(event["data"].get("claims").is_none());
    assert!(upstream.idp.hook.asked(Trigger::PreSessionCreation).is_empty());
    assert_eq!(
        upstream.written(),
        ["PUT /admin/realms/tg/users/u-1 {\"enabled\":false}"]
    );
    let records = upstream.idp.audit();
    let disabled = records
        .iter()
        .filter(|r| r.entry.kind == tollgate::audit::Kind::Account);
    assert_eq!(disabled.count(), 1);
}

#[tokio::test]
async fn an_allowed_user_is_marked_and_asked_about_once() {
    let upstream = Upstream::start().await;
    for _ in 0..3 {
        assert!(!has_no_token(&upstream.idp.redeem().await));
    }
    assert_eq!(upstream.questions(), 1);
    assert_eq!(upstream.written(), ["PUT /admin/realms/tg/users/u-1/groups/g-1 "]);
    assert!(*upstream.marked.lock().unwrap());
    assert_eq!(upstream.idp.hook.asked(Trigger::PreSessionCreation).len(), 3);
}

#[tokio::test]
async fn a_marked_user_and_one_from_before_are_not_asked_about() {
    let upstream = Upstream::start().await;
    upstream.idp.hook.deny(Trigger::PreSignup, "No");
    *upstream.marked.lock().unwrap() = true;
    assert!(!has_no_token(&upstream.idp.redeem().await));
    let upstream = Upstream::start().await;
    upstream.idp.hook.deny(Trigger::PreSignup, "No");
    upstream.user("2025-12-31T23:59:59Z");
    assert!(!has_no_token(&upstream.idp.redeem().await));
    assert_eq!(upstream.questions(), 0);
}

#[tokio::test]
async fn where_the_upstream_does_not_tell_the_question_is_asked() {
    let upstream = Upstream::start().await;
    upstream.idp.hook.deny(Trigger::PreSignup, "No");
    for path in [
        format!("{ADMIN}/users/u-1"),
        "/realms/master/protocol/openid-connect/token".to_owned(),
    ] {
        upstream
            .idp
            .stub
            .fate(&path, Fate::Answer(500, "text/plain", "down".into()));
        assert!(has_no_token(&upstream.idp.redeem().await), "{path}");
    }
    assert_eq!(upstream.questions(), 2);
}

#[tokio::test]
async fn an_endpoint_that_is_away_denies_the_token_and_leaves_the_account_alone() {
    let upstream = Upstream::start().await;
    let away = Reply::Raw(503, "text/plain", String::new());
    upstream.idp.hook.reply(Trigger::PreSignup, away);
    assert!(has_no_token(&upstream.idp.redeem().await));
    assert_eq!(upstream.written(), [""; 0]);
}

#[tokio::test]
async fn a_token_of_the_service_account_that_no_longer_counts_is_replaced_once() {
    let upstream = Upstream::start().await;
    let tokens = Arc::new(Mutex::new(0));
    let issued = Arc::clone(&tokens);
    upstream.by("/realms/master/protocol/openid-connect/token", move |_| {
        let mut issued = issued.lock().unwrap();
        *issued += 1;
        stub::json(200, &json!({"access_token": format!("t{issued}"), "expires_in": 60}))
    });
    let user = json!({"id": "u-1", "createdTimestamp": 0});
    upstream.by(&format!("{ADMIN}/users/u-1"), move |arrival| {
        if arrival.header("authorization") == Some("Bearer t1") {
            return stub::json(401, &json!({}));
        }
        stub::json(200, &user)
    });
    upstream.idp.hook.deny(Trigger::PreSignup, "No");
    assert!(!has_no_token(&upstream.idp.redeem().await));
    assert_eq!(*tokens.lock().unwrap(), 2);
    assert_eq!(upstream.questions(), 0);
}

#[tokio::test]
async fn without_the_setting_nobody_looks() {
    let upstream = Upstream::with(Setup::keycloak()).await;
    upstream.idp.hook.deny(Trigger::PreSignup, "No");
    assert!(!has_no_token(&upstream.idp.redeem().await));
    assert!(
        upstream
            .idp
            .stub
            .arrivals()
            .iter()
            .all(|a| !a.path().starts_with(ADMIN))
    );
}
