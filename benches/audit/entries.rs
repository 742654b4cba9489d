//! Records like those of a busy sidecar.

use serde_json::{Value, json};
use tollgate::{
    audit::{Decider, Entry, Fault, Kind},
    event::Trigger,
    verdict::{DecidedBy, Effect},
};

/// The same number gives the same record.
pub(crate) fn entry(number: u64) -> Entry {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
    let trigger = match spread % 10 {
        0..6 => Trigger::PreSessionCreation,
        6..8 => Trigger::PreM2mTokenCreation,
        8 => Trigger::PreSignup,
        _ => Trigger::PreUserInvitation,
    };
    let user = spread % 200_000;
    let email = format!("user{user}@customer{}.example", user % 1_000);
    let client = format!("client-{}", spread % 50);
    let request = format!("{:032x}", u128::from(spread) << 40 | u128::from(number));
    let entry = Entry {
        request_id: request.clone(),
        trigger: Some(trigger),
        operation: Some("token".into()),
        realm: Some(
            if spread.is_multiple_of(20) {
                "staff"
            } else {
                "customers"
            }
            .into(),
        ),
        client_id: Some(client.clone()),
        user_id: Some(format!("{user:08x}-0000-4000-8000-{user:012x}")),
        user_email: Some(email.clone()),
        ip_address: Some([203, 0, 113, u8::try_from(spread % 250).unwrap_or(0)].into()),
        ..Entry::new(Kind::Consult)
    };
    if spread.is_multiple_of(500) {
        return Entry {
            failure: Some(Fault {
                kind: "unverified_token".into(),
                detail: "the ID token's `at_hash` is wrong".into(),
            }),
            ..Entry {
                kind: Kind::Failure,
                ..entry
            }
        };
    }
    let (decision, by) = match spread % 1_000 {
        0..20 => (Effect::Deny, DecidedBy::Endpoint),
        20..24 => (Effect::Allow, DecidedBy::OnFailure),
        24..26 => (Effect::Deny, DecidedBy::Breaker),
        _ => (Effect::Allow, DecidedBy::Endpoint),
    };
    Entry {
        interceptor: Some(format!("Interceptor {}", spread % 3)),
        consult_id: Some(format!("msg_{spread:022x}")),
        decision: Some(decision),
        decided_by: Some(Decider::Interceptor(by)),
        status: Some(if by == DecidedBy::Endpoint { 200 } else { 503 }),
        attempts: Some(1),
        duration_ms: Some(5 + spread % 60),
        reason: (spread % 10_000 == 1).then(|| "close to the seat limit".into()),
        event: Some(event(&request, &email, &client)),
        answer: Some(json!({"decision": "ALLOW", "response": {"claims": {"plan": "gold", "seats": 40}}})),
        ..entry
    }
}

fn event(request: &str, email: &str, client: &str) -> Value {
    json!({
        "trigger_point": "PRE_SESSION_CREATION",
        "interceptor_context": {
            "environment_id": "production", "request_id": request, "client_id": client, "user_email": email, "realm": "customers",
            "operation": "token", "dry_run": false, "triggered_at": "2026-11-23T10:15:00.123Z", "ip_address": "203.0.113.9",
        },
        "data": {
            "user": {"email": email, "roles": ["admin", "billing"], "email_verified": true},
            "claims": {"access_token": {"sub": "u-1", "plan": "free", "scope": "openid profile email"}, "id_token": {"sub": "u-1", "name": "Ada"}},
        },
    })
}
