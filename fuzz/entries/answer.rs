//! What an interceptor answers. Never a decision that a lenient reader would not see.
//!
//! Input: the body of an answer.

use serde_json::Value;
use tollgate::{
    event::Trigger,
    interceptor::{RawAnswer, decision},
    verdict::Effect,
};

pub(crate) fn run(bytes: &[u8]) {
    let answer = RawAnswer {
        status: 200,
        headers: Vec::new(),
        body: bytes.to_vec().into(),
    };
    let lenient: Option<Value> = serde_json::from_slice(bytes).ok();
    let said = lenient.as_ref().and_then(|document| document.get("decision"));
    for trigger in Trigger::ALL {
        match decision(&answer, trigger) {
            Ok(Effect::Allow) => assert_eq!(said, Some(&"ALLOW".into())),
            Ok(Effect::Deny) => assert_eq!(said, Some(&"DENY".into())),
            Err(failure) => assert!(!failure.detail.is_empty()),
        }
    }
}
