//! PRE_SIGNUP: no account with a disposable e-mail address.

use serde_json::Value;

use super::{Answer, domain, text};

/// Denies the domains of [`DISPOSABLE`] and everything below them.
pub(super) fn decide(event: &Value) -> Answer {
    let email = text(event, "/data/user/email").unwrap_or_default();
    let Some(domain) = domain(email) else {
        // A rule that cannot see what it judges must not wave it through.
        return Answer::Deny("Please sign up with an e-mail address.".into());
    };
    let disposable = DISPOSABLE.iter().any(|known| {
        domain
            .strip_suffix(known)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    if disposable {
        return Answer::Deny("Please sign up with a permanent e-mail address, not a disposable one.".into());
    }
    Answer::allow()
}

/// Yours would come from a maintained list.
const DISPOSABLE: [&str; 4] = ["mailinator.com", "guerrillamail.com", "10minutemail.com", "yopmail.com"];
