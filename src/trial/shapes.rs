//! The shapes of the contract: events by trigger, and answers.

use super::shape::{
    Member, Others,
    Shape::{self, Address, Free, List, Object, Text, Time, Truth, Word},
};
use crate::event::Trigger;

/// An event of `trigger`, as it is sent.
pub(super) fn event(trigger: Trigger) -> Shape {
    match trigger {
        Trigger::PreSignup => const { Object(&members(&["PRE_SIGNUP"], SIGNUP), NOT_SENT) },
        Trigger::PreSessionCreation => const { Object(&members(&["PRE_SESSION_CREATION"], SESSION), NOT_SENT) },
        Trigger::PreUserInvitation => const { Object(&members(&["PRE_USER_INVITATION"], INVITATION), NOT_SENT) },
        Trigger::PreM2mTokenCreation => const { Object(&members(&["PRE_M2M_TOKEN_CREATION"], MACHINE), NOT_SENT) },
        Trigger::PreClientRegistration => {
            const { Object(&members(&["PRE_CLIENT_REGISTRATION"], REGISTRATION), NOT_SENT) }
        }
    }
}

/// An answer to any trigger.
pub(super) const ANSWER: Shape = Object(
    &[
        Member::must("decision", Word(&["ALLOW", "DENY"])),
        Member::or_null("response", RESPONSE),
        Member::or_null("error", ERROR),
    ],
    NOT_READ,
);

const RESPONSE: Shape = Object(
    &[
        Member::may("claims", Free),
        Member::or_null("access_token", TOKEN),
        Member::or_null("id_token", TOKEN),
        Member::or_null("create_organization_membership", MEMBERSHIP),
        Member::or_null("annotations", Free),
        Member::or_null("warnings", TEXTS),
        Member::or_null("reason", Text),
    ],
    NOT_READ,
);

const TOKEN: Shape = Object(&[Member::may("claims", Free)], NOT_READ);

const MEMBERSHIP: Shape = Object(
    &[
        Member::or_null("organization_id", Text),
        Member::or_null("external_organization_id", Text),
        Member::or_null("roles", TEXTS),
    ],
    NOT_READ,
);

const ERROR: Shape = Object(
    &[Member::or_null("message", Text), Member::or_null("reason", Text)],
    NOT_READ,
);

const fn members(trigger: &'static [&'static str], data: Shape) -> [Member; 4] {
    [
        Member::may("display_name", Text),
        Member::must("trigger_point", Word(trigger)),
        Member::must("interceptor_context", CONTEXT),
        Member::must("data", data),
    ]
}

const CONTEXT: Shape = Object(
    &[
        Member::should("environment_id", Text),
        Member::or_null("upstream", Text),
        Member::or_null("user_id", Text),
        Member::or_null("user_email", Text),
        Member::or_null("organization_id", Text),
        Member::or_null("client_id", Text),
        Member::may("connection_details", List(&CONNECTION)),
        Member::or_null("auth_request", AUTH_REQUEST),
        Member::or_null("device_type", Word(&["Desktop", "Mobile", "Tablet", "Unknown"])),
        Member::or_null("ip_address", Address),
        Member::or_null("region", Text),
        Member::or_null("city", Text),
        Member::or_null("user_agent", Text),
        Member::should("triggered_at", Time),
        Member::may("request_id", Text),
        Member::or_null("trace_id", Text),
        Member::or_null("realm", Text),
        Member::or_null("tenant", Text),
        Member::or_null("grant_type", Text),
        Member::or_null("issuer", Text),
        Member::or_null("operation", Text),
        Member::may("late", Truth),
        Member::may("dry_run", Truth),
    ],
    NOT_SENT,
);

const CONNECTION: Shape = Object(
    &[
        Member::must("id", Text),
        Member::or_null("type", Text),
        Member::or_null("provider", Text),
    ],
    NOT_SENT,
);

const AUTH_REQUEST: Shape = Object(
    &[
        Member::or_null("grant_type", Text),
        Member::or_null("scope", Text),
        Member::or_null("redirect_uri", Text),
        Member::or_null("acr_values", Text),
    ],
    NOT_SENT,
);

const USER: Shape = Object(
    &[
        Member::or_null("id", Text),
        Member::or_null("email", Text),
        Member::or_null("username", Text),
        Member::or_null("name", Text),
        Member::or_null("given_name", Text),
        Member::or_null("family_name", Text),
        Member::or_null("attributes", Free),
        Member::or_null("roles", TEXTS),
        Member::or_null("memberships", List(&Free)),
    ],
    Others::Free,
);

const CLAIMS: Shape = Object(
    &[Member::may("access_token", Free), Member::may("id_token", Free)],
    NOT_READ,
);

const SIGNUP: Shape = Object(&[Member::should("user", USER)], Others::Free);

const SESSION: Shape = Object(
    &[Member::should("user", USER), Member::should("claims", CLAIMS)],
    Others::Free,
);

const PARTY: Shape = Object(&[Member::or_null("id", Text)], Others::Free);

const INVITATION: Shape = Object(
    &[
        Member::should("user", USER),
        Member::or_null("organization", PARTY),
        Member::or_null("inviter", PARTY),
    ],
    Others::Free,
);

const MACHINE: Shape = Object(
    &[
        Member::should(
            "m2m_token_claims",
            Object(
                &[
                    Member::or_null("client_id", Text),
                    Member::should(
                        "claims",
                        Object(
                            &[
                                Member::or_null("custom_claims", Free),
                                Member::or_null("oid", Text),
                                Member::or_null("scope", Text),
                                Member::or_null("scopes", TEXTS),
                            ],
                            Others::Free,
                        ),
                    ),
                ],
                Others::Free,
            ),
        ),
        Member::should("claims", CLAIMS),
    ],
    Others::Free,
);

const REGISTRATION: Shape = Object(
    &[
        Member::should(
            "client",
            Object(
                &[
                    Member::or_null("client_name", Text),
                    Member::or_null("redirect_uris", TEXTS),
                    Member::or_null("grant_types", TEXTS),
                    Member::or_null("response_types", TEXTS),
                    Member::or_null("scope", Text),
                    Member::or_null("token_endpoint_auth_method", Text),
                ],
                Others::Free,
            ),
        ),
        Member::or_null("registrant", PARTY),
    ],
    Others::Free,
);

const TEXTS: Shape = List(&Text);
const NOT_SENT: Others = Others::Noted("is no part of an event, and is not sent");
const NOT_READ: Others = Others::Noted("is no part of the contract, and nobody reads it");

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::interceptor::sample;

    #[test]
    fn the_samples_have_the_shape_of_their_trigger_and_of_no_other() {
        for trigger in Trigger::ALL {
            let (event, _) = sample(trigger, Timestamp::UNIX_EPOCH);
            let document = serde_json::to_value(&event).unwrap();
            for other in Trigger::ALL {
                let mut marks = Vec::new();
                super::event(other).judge(&document, "", &mut marks);
                assert_eq!(marks.is_empty(), other == trigger, "{trigger} as {other}: {marks:?}");
            }
        }
    }
}
