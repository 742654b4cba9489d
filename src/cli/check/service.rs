//! Whether the operator's service account can do what it is there for.

use std::io::Write;

use http::HeaderMap;

use super::{super::outcome::Stop, findings::Findings};
use crate::{
    config::Config,
    event::Trigger,
    exchange::Outside,
    preset::Preset,
    route::Captures,
    upstream::{ServiceAccount, ServiceError, Upstream},
};

/// What an operator who is asked about signups should know of those without a form.
pub(super) fn note(config: &Config, findings: &mut Findings<'_, impl Write>) -> Result<(), Stop> {
    let asked = |trigger| config.interceptors.iter().any(|i| i.enabled && i.trigger == trigger);
    let knows_accounts = config.preset().is_ok_and(|preset| preset.accounts.is_some());
    if !knows_accounts || !asked(Trigger::PreSignup) {
        return Ok(());
    }
    match config.upstream.late_signup {
        Some(late) => findings.ok(
            "late signups",
            format!(
                "accounts made since {} get no token before PRE_SIGNUP was asked about them",
                late.since
            ),
        ),
        None => findings.note(
            "late signups",
            "not noticed: accounts that come into being without a form (first login through another provider) are not \
             asked about; `late_signup` in `[upstream]` asks at their first token",
        ),
    }
}

/// The account, if one is configured and can be built.
pub(super) fn build(
    config: &Config,
    preset: &Preset,
    upstream: &Upstream,
    outside: &Outside,
    findings: &mut Findings<'_, impl Write>,
) -> Result<Option<ServiceAccount>, Stop> {
    let Some(settings) = &config.upstream.service_account else {
        return Ok(None);
    };
    let mut headers = HeaderMap::new();
    outside.stamp(&mut headers, None);
    match ServiceAccount::new(settings, preset.accounts.as_ref(), upstream, headers, &config.base) {
        Ok(service) => Ok(Some(service)),
        Err(wrong) => {
            findings.misconfigured("service account", &wrong)?;
            Ok(None)
        }
    }
}

/// Gets a token and looks for accounts and marks; changes nothing.
pub(super) async fn check(
    service: &ServiceAccount,
    realm: &str,
    subject: &str,
    findings: &mut Findings<'_, impl Write>,
) -> Result<(), Stop> {
    let name = service.client_id();
    let accounts = service.accounts();
    let values: Captures = [("realm", realm), ("username", "nobody"), ("mark", &accounts.mark.name)]
        .into_iter()
        .collect();
    for call in [&accounts.by_username, &accounts.mark.find] {
        let (what, mend) = match service.call(call, &values).await {
            Ok(_) => continue,
            Err(error @ ServiceError::NoToken(..)) => (
                error.to_string(),
                "make a confidential client with service accounts of that name, and give its secret; `realm` says where \
                 it is, if it is one for all realms"
                    .to_owned(),
            ),
            Err(error) => (
                format!("the service account `{name}` may not look at accounts: {error}"),
                format!("give its service account {}", accounts.rights),
            ),
        };
        return findings.fail(subject, what, &mend);
    }
    findings.ok(
        subject,
        format!("the service account `{name}` may look at accounts and marks"),
    )
}
