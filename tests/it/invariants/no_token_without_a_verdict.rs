//! Invariant 1: No byte of a token response reaches a client before every interceptor of its trigger has answered or its failure
//! policy has spoken.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tollgate::{
    demo::provider::{DEVICE_CODE, TOKEN_EXCHANGE},
    event::Trigger,
    verdict::{DecidedBy, Effect},
};

use crate::world::{CALLBACK, Reply, Setup, VERIFIER, World, keys, until};

/// A connection on which a token request was sent, so that its bytes can be watched.
async fn ask_for_tokens(world: &World, client: Option<(&str, &str)>, form: &[(&str, &str)]) -> TcpStream {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let authorization = client.map_or_else(String::new, |(id, secret)| {
        format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{id}:{secret}")))
    });
    let request = format!(
        "POST /token HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        world.address,
        body.len()
    );
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// While the interceptor thinks, the upstream has long answered and the client has read nothing; afterwards it gets a token.
async fn is_held(world: &World, trigger: Trigger, client: Option<(&str, &str)>, form: &[(&str, &str)]) {
    let held = world.hook.hold(trigger);
    let asked = world.hook.asked(trigger).len();
    let issued = world.provider.issued().len();
    let mut stream = ask_for_tokens(world, client, form).await;
    until("the interceptor is asked", || async {
        world.hook.asked(trigger).len() > asked
    })
    .await;
    assert!(world.provider.issued().len() > issued, "the upstream has not answered");
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
    assert!(early.is_err(), "bytes came before the verdict");

    held.release();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("access_token"),
        "{answer}"
    );
}

#[tokio::test]
async fn of_no_grant_a_byte_is_seen_before_the_interceptor_answered() {
    let world = World::start("").await;
    let web = Some(("web", "web-secret"));
    let first = world.log_in().await;
    let session = Trigger::PreSessionCreation;

    let code = world.code("web").await;
    let by_code = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    is_held(&world, session, web, &by_code).await;
    let by_refresh = [("grant_type", "refresh_token"), ("refresh_token", &first.refresh)];
    is_held(&world, session, web, &by_refresh).await;
    let by_password = [
        ("grant_type", "password"),
        ("username", "ada@example.com"),
        ("password", "correct-horse"),
    ];
    is_held(&world, session, web, &by_password).await;
    let again = world.log_in().await;
    let by_exchange = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", again.access.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    is_held(&world, session, web, &by_exchange).await;
    let device_code = world.paired_device().await;
    let by_device = [
        ("grant_type", DEVICE_CODE),
        ("client_id", "cli"),
        ("device_code", &device_code),
    ];
    is_held(&world, session, None, &by_device).await;
    let by_itself = [("grant_type", "client_credentials")];
    is_held(
        &world,
        Trigger::PreM2mTokenCreation,
        Some(("batch", "batch-secret")),
        &by_itself,
    )
    .await;
}

#[tokio::test]
async fn every_interceptor_of_the_trigger_has_answered_before() {
    let world = World::start(
        "[[interceptor]]\nname = \"second\"\ntrigger = \"PRE_SESSION_CREATION\"\nendpoint = \"{hooks}/second\"\n\
         secret = { file = \"hook.key\" }\non_failure = \"deny\"",
    )
    .await;
    let held = world.hook.hold("second");
    let code = world.code("web").await;
    let redeemed = world.redeem(&code);
    tokio::pin!(redeemed);
    let second_is_asked = until("the second is asked", || async {
        world.hook.asked("second").len() == 1
    });
    tokio::select! {
        answer = &mut redeemed => panic!("before the verdict: {answer:?}"),
        () = second_is_asked => {}
    }
    assert_eq!(world.hook.asked(Trigger::PreSessionCreation).len(), 1);
    held.release();
    assert_eq!(redeemed.await.status, 200);
}

#[tokio::test]
async fn an_interceptor_that_takes_too_long_ends_as_its_policy_says() {
    for (policy, status) in [("deny", 400), ("allow", 200)] {
        let setup = Setup::generic().policy(
            Trigger::PreSessionCreation,
            &format!("timeout = \"50ms\"\non_failure = \"{policy}\""),
        );
        let world = World::with(setup).await;
        let _held = world.hook.hold(Trigger::PreSessionCreation);
        let code = world.code("web").await;
        let answer = world.redeem(&code).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let record = &world.audit()[0].entry;
        assert_eq!(record.failure.as_ref().unwrap().kind, "down");
        assert_eq!(
            serde_json::to_value(&record.decided_by).unwrap(),
            serde_json::to_value(DecidedBy::OnFailure).unwrap()
        );
        if policy == "allow" {
            keys::verified(answer.json()["id_token"].as_str().unwrap(), &world.jwks().await);
        }
    }
}

#[tokio::test]
async fn a_wrong_answer_denies_also_where_an_outage_would_allow() {
    let setup = Setup::generic().policy(Trigger::PreSessionCreation, "on_failure = \"allow\"");
    let world = World::with(setup).await;
    for (status, content_type, body) in [
        (200, "text/html", "{\"decision\": \"ALLOW\"}"),
        (201, "application/json", "{\"decision\": \"ALLOW\"}"),
        (302, "application/json", "{\"decision\": \"ALLOW\"}"),
        (200, "application/json", "{\"decision\": \"allow\"}"),
        (
            200,
            "application/json",
            "{\"decision\": \"ALLOW\", \"decision\": \"DENY\"}",
        ),
        (200, "application/json", "{\"decision\": \"ALLOW\"} {}"),
        (200, "application/json", "{\"decision\": \"ALL"),
        (200, "application/json", ""),
        (
            200,
            "application/json",
            "{\"decision\": \"ALLOW\", \"response\": {\"claims\": {\"sub\": \"root\"}}}",
        ),
    ] {
        let reply = Reply::Raw(status, content_type, body.to_owned());
        world.hook.reply(Trigger::PreSessionCreation, reply);
        let code = world.code("web").await;
        let answer = world.redeem(&code).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert_eq!(answer.json()["error"], "access_denied");
    }
    for record in world.audit() {
        if let Some(failure) = record.entry.failure {
            assert_eq!(failure.kind, "invalid");
        }
    }
    world.hook.reply(
        Trigger::PreSessionCreation,
        Reply::Raw(503, "text/plain", String::new()),
    );
    let code = world.code("web").await;
    assert_eq!(world.redeem(&code).await.status, 200, "an outage");
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_its_record() {
    let world = World::start("").await;
    world.hook.deny(Trigger::PreSessionCreation, "No");
    let held = world.hook.hold(Trigger::PreSessionCreation);
    let code = world.code("web").await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let stream = ask_for_tokens(&world, Some(("web", "web-secret")), &form).await;
    world.hook.was_asked(Trigger::PreSessionCreation).await;
    drop(stream);
    held.release();
    let record = world
        .recorded("the verdict is recorded", |r| r.entry.decision == Some(Effect::Deny))
        .await;
    assert_eq!(record.entry.message.as_deref(), Some("No"));
    world
        .recorded("the tokens are revoked", |r| {
            r.entry.reason.as_deref() == Some("refresh_token revoked")
        })
        .await;
}

#[tokio::test]
async fn a_denied_signup_or_invitation_never_reaches_the_upstream() {
    let world = World::start("").await;
    let tokens = world.log_in().await;
    world.hook.deny(Trigger::PreSignup, "Work e-mail only");
    world.hook.deny(Trigger::PreUserInvitation, "All seats are taken");
    let page = world.sign_up("mallory@gmail.com").await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("Work e-mail only"));
    assert!(!world.provider.has_user("mallory@gmail.com"));
    assert_eq!(world.arrived("/signup"), 0);

    let answer = world.invite(&tokens.access, "guest@example.com").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error_description"], "All seats are taken");
    assert!(!world.provider.has_user("guest@example.com"));
    assert_eq!(world.arrived("/api/users"), 0);
    assert_eq!(
        world.hook.event(Trigger::PreSignup)["data"]["user"]["email"],
        "mallory@gmail.com"
    );
}
