//! What an interceptor answers. Never an ALLOW that a lenient reader would not see, and claims that nobody may set are named.
//!
//! Input: the body of an answer.

use std::sync::OnceLock;

use serde_json::Value;
use tollgate::{
    clock::{Clock, Period},
    event::{TokenClaims, Trigger},
    interceptor::{Interceptors, RawAnswer, decision},
    verdict::Effect,
};

pub(crate) fn run(bytes: &[u8]) {
    let answer = RawAnswer {
        status: 200,
        headers: Vec::new(),
        body: bytes.to_vec().into(),
    };
    let lenient: Option<Value> = serde_json::from_slice(bytes).ok();
    let said = lenient
        .as_ref()
        .and_then(|document| document.get("decision"))
        .and_then(Value::as_str);
    for trigger in Trigger::ALL {
        match decision(&answer, trigger) {
            Ok(Effect::Allow) => assert_eq!(said, Some("ALLOW")),
            Ok(Effect::Deny) => assert_eq!(said, Some("DENY")),
            Err(failure) => assert!(!failure.detail.is_empty()),
        }
        let Some(document) = &lenient else { continue };
        let existing = TokenClaims::default();
        for interceptor in interceptors().iter() {
            let refused = interceptor.refused_claims(document, trigger, &existing);
            for claim in ["iss", "sub", "azp", "exp", "tgc"] {
                let sets = document.pointer(&format!("/response/claims/{claim}")).is_some();
                assert!(
                    !sets || refused.iter().any(|refused| refused.name == claim),
                    "`{claim}` may be set"
                );
            }
        }
    }
}

fn interceptors() -> &'static Interceptors {
    static ASKED: OnceLock<Interceptors> = OnceLock::new();
    ASKED.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "name = \"fuzz\"\ntrigger = \"PRE_SESSION_CREATION\"\nendpoint = \"https://hooks.example.com\"\nsecret = { file = \"key\" }\non_failure = \"deny\"\n";
        std::fs::write(folder.path().join("key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a file");
        let settings = toml::from_str(text).expect("settings");
        Interceptors::build(&[settings], Period::secs(10), folder.path(), Clock::system()).expect("an interceptor")
    })
}
