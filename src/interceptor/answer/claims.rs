//! Which claims an interceptor may set, and where they end up.

use serde_json::{Map, Value};

use super::invalid;
use crate::{
    event::{TokenClaims, Trigger},
    misconfigured::Misconfigured,
    verdict::{Additions, Claims, Failure},
};

/// How one interceptor's claims are put into the tokens.
#[derive(Clone, Copy, Debug)]
pub(in crate::interceptor) struct Placing<'a> {
    pub(in crate::interceptor) trigger: Trigger,
    pub(in crate::interceptor) claims_at: Option<&'a str>,
    pub(in crate::interceptor) may_override: &'a [String],
}

impl Placing<'_> {
    /// Judges the claims against what nobody may set, what the upstream has set and what `earlier` interceptors set,
    /// and returns this interceptor's additions with a warning for each token that gets large.
    ///
    /// Where `claims_at` names an object that the upstream's token or an earlier interceptor has, the addition is that
    /// object with the claims put into it.
    pub(in crate::interceptor) fn place(
        &self,
        claims: &Claims,
        existing: &TokenClaims,
        earlier: &Additions,
    ) -> Result<(Additions, Vec<String>), Failure> {
        let mut warnings = Vec::new();
        let mut token = |name, own: Map<_, _>, existing, earlier| -> Result<_, Failure> {
            let added = self.for_token(own, existing, earlier)?;
            warnings.extend(self.weigh(name, &added, earlier)?);
            Ok(added)
        };
        let access_token = merge(&claims.both, &claims.access_token, "access_token")?;
        let access_token = token(
            "access token",
            access_token,
            &existing.access_token,
            &earlier.access_token,
        )?;
        let id_token = match self.trigger {
            Trigger::PreSessionCreation => merge(&claims.both, &claims.id_token, "id_token")?,
            _ => Map::new(),
        };
        let id_token = token("ID token", id_token, &existing.id_token, &earlier.id_token)?;
        let additions = Additions {
            access_token,
            id_token,
            organization_membership: None,
        };
        Ok((additions, warnings))
    }

    fn for_token(
        &self,
        own: Map<String, Value>,
        existing: &Map<String, Value>,
        earlier: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Failure> {
        let mut top = Map::new();
        let mut below = Map::new();
        for (name, value) in own {
            self.may_be_set(&name, &value)?;
            // `aud` and `scope` change the token itself, which they could not do anywhere else.
            let target = if GRANTS.contains(&name.as_str()) {
                &mut top
            } else {
                &mut below
            };
            target.insert(name, value);
        }
        self.collide(&top, existing, earlier)?;
        match self.claims_at {
            None => {
                self.collide(&below, existing, earlier)?;
                top.extend(below);
            }
            Some(_) if below.is_empty() => {}
            Some(at) => {
                let inside = |map: &Map<String, Value>| match map.get(at) {
                    None => Ok(Map::new()),
                    Some(Value::Object(members)) => Ok(members.clone()),
                    Some(_) => Err(invalid(format!("the claim `{at}` is already set and is not an object"))),
                };
                let existing = inside(existing)?;
                let mut earlier = inside(earlier)?;
                // An earlier interceptor's object has the upstream's members in it, which it did not set.
                earlier.retain(|name, value| existing.get(name) != Some(value));
                self.collide(&below, &existing, &earlier)?;
                let mut object = existing;
                object.extend(earlier);
                object.extend(below);
                top.insert(at.to_owned(), Value::Object(object));
            }
        }
        Ok(top)
    }

    fn may_be_set(&self, name: &str, value: &Value) -> Result<(), Failure> {
        let shown = shown(name);
        if RESERVED.contains(&name) || name == CAPSULE {
            return Err(invalid(format!(
                "`response.claims.{shown}` may not be set by an interceptor"
            )));
        }
        if !GRANTS.contains(&name) {
            return Ok(());
        }
        if self.trigger != Trigger::PreM2mTokenCreation {
            return Err(invalid(format!(
                "`response.claims.{shown}` may be set at {} only",
                Trigger::PreM2mTokenCreation
            )));
        }
        let texts = |items: &Vec<Value>| !items.is_empty() && items.iter().all(Value::is_string);
        if !(value.is_string() || name == "aud" && value.as_array().is_some_and(texts)) {
            return Err(invalid(format!(
                "`response.claims.{shown}` has another type than RFC 9068 gives it"
            )));
        }
        Ok(())
    }

    fn collide(
        &self,
        own: &Map<String, Value>,
        existing: &Map<String, Value>,
        earlier: &Map<String, Value>,
    ) -> Result<(), Failure> {
        for (name, value) in own {
            match earlier.get(name) {
                Some(other) if other != value => {
                    return Err(invalid(format!(
                        "`response.claims.{}` differs from what an earlier interceptor set",
                        shown(name)
                    )));
                }
                Some(_) => continue,
                None => {}
            }
            let free = GRANTS.contains(&name.as_str()) || self.may_override.contains(name);
            if existing.contains_key(name) && !free {
                return Err(invalid(format!(
                    "`response.claims.{}` is already set by the upstream and `may_override` does not list it",
                    shown(name)
                )));
            }
        }
        Ok(())
    }

    /// Judges the size of what all interceptors so far add to one token.
    fn weigh(
        &self,
        token: &str,
        added: &Map<String, Value>,
        earlier: &Map<String, Value>,
    ) -> Result<Option<String>, Failure> {
        if added.is_empty() {
            return Ok(None);
        }
        let mut sum = earlier.clone();
        sum.extend(added.clone());
        let size = Value::Object(sum).to_string().len();
        if size > MAX_CLAIMS {
            return Err(invalid(format!(
                "the claims for the {token} take {size} bytes; at most {MAX_CLAIMS} fit"
            )));
        }
        let large = size > LARGE_CLAIMS;
        Ok(large
            .then(|| format!("the claims for the {token} take {size} bytes; many clients have little room for tokens")))
    }
}

/// What is wrong with the names in `claims_at` and `may_override`.
pub(in crate::interceptor) fn name_findings(claims_at: Option<&str>, may_override: &[String]) -> Vec<Misconfigured> {
    let taken = |name: &str| RESERVED.contains(&name) || GRANTS.contains(&name) || name == CAPSULE;
    let mut found = Vec::new();
    if claims_at.is_some_and(|name| name.is_empty() || taken(name)) {
        found.push(
            Misconfigured::new("claims_at", "claims cannot be put below this name")
                .hint("write a claim of your own, like `claims_at = \"custom_claims\"`"),
        );
    }
    for (index, name) in may_override.iter().enumerate() {
        if RESERVED.contains(&name.as_str()) || name == CAPSULE {
            found.push(
                Misconfigured::new(
                    format!("may_override.{index}"),
                    format!("the claim `{name}` may not be set by an interceptor"),
                )
                .hint("leave it out"),
            );
        }
    }
    found
}

/// `response.claims` and the claims for one token. The same name twice with two values could be read in two ways.
fn merge(both: &Map<String, Value>, one: &Map<String, Value>, member: &str) -> Result<Map<String, Value>, Failure> {
    let differing = one
        .iter()
        .find(|(name, value)| both.get(*name).is_some_and(|other| other != *value));
    if let Some((name, _)) = differing {
        let name = shown(name);
        return Err(invalid(format!(
            "`response.claims.{name}` and `response.{member}.claims.{name}` differ"
        )));
    }
    let mut merged = both.clone();
    merged.extend(one.clone());
    Ok(merged)
}

/// A claim's name comes from the endpoint: it is shown on one line and not at any length.
fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Whoever sets one of these changes whom the token speaks of, who made it, or what proves that.
const RESERVED: [&str; 20] = [
    "iss",
    "sub",
    "exp",
    "nbf",
    "iat",
    "jti",
    "azp",
    "client_id",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "cnf",
    "act",
    "may_act",
    "typ",
];

const GRANTS: [&str; 2] = ["aud", "scope"];

/// The claim in which Tollgate keeps what restores the upstream's token.
const CAPSULE: &str = "tgc";

/// Bytes of JSON that all claims for one token may take together, and from where on that is worth a warning.
const MAX_CLAIMS: usize = 16 * 1024;
const LARGE_CLAIMS: usize = 3 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SESSION: Placing<'_> = Placing {
        trigger: Trigger::PreSessionCreation,
        claims_at: None,
        may_override: &[],
    };
    const MACHINE: Placing<'_> = Placing {
        trigger: Trigger::PreM2mTokenCreation,
        ..SESSION
    };

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn both(value: Value) -> Claims {
        Claims {
            both: object(value),
            ..Claims::default()
        }
    }

    fn upstream() -> TokenClaims {
        TokenClaims {
            access_token: object(
                json!({"sub": "1", "scope": "a", "aud": "x", "plan": "free", "custom_claims": {"oid": 7}}),
            ),
            id_token: object(json!({"sub": "1"})),
        }
    }

    fn place(placing: Placing<'_>, claims: &Claims, earlier: &Additions) -> Result<Additions, String> {
        let placed = placing.place(claims, &upstream(), earlier);
        placed.map(|(additions, _)| additions).map_err(|failure| failure.detail)
    }

    #[test]
    fn claims_go_into_both_tokens_or_into_the_one_that_is_named() {
        let claims = Claims {
            both: object(json!({"a": 1})),
            access_token: object(json!({"b": 2})),
            id_token: object(json!({"c": 3})),
        };
        let added = place(SESSION, &claims, &Additions::default()).unwrap();
        assert_eq!(Value::from(added.access_token), json!({"a": 1, "b": 2}));
        assert_eq!(Value::from(added.id_token), json!({"a": 1, "c": 3}));
        let added = place(MACHINE, &both(json!({"a": 1})), &Additions::default()).unwrap();
        assert!(added.id_token.is_empty());
    }

    #[test]
    fn claims_that_nobody_may_set_are_named_and_their_values_are_not() {
        for name in RESERVED.into_iter().chain([CAPSULE, "aud", "scope"]) {
            let detail = place(SESSION, &both(json!({name: "s3cret"})), &Additions::default()).unwrap_err();
            assert!(detail.contains(&format!("`response.claims.{name}`")), "{detail}");
            assert!(!detail.contains("s3cret"));
        }
    }

    #[test]
    fn a_machine_token_may_get_another_scope_and_audience_of_the_right_type() {
        let claims = both(json!({"scope": "a b", "aud": ["x", "y"]}));
        let placing = Placing {
            claims_at: Some("custom_claims"),
            ..MACHINE
        };
        let added = place(placing, &claims, &Additions::default()).unwrap();
        assert_eq!(
            Value::from(added.access_token),
            json!({"scope": "a b", "aud": ["x", "y"]})
        );
        for wrong in [
            json!({"scope": ["a"]}),
            json!({"aud": []}),
            json!({"aud": [1]}),
            json!({"aud": null}),
        ] {
            assert!(place(MACHINE, &both(wrong), &Additions::default()).is_err());
        }
    }

    #[test]
    fn a_claim_of_the_upstream_is_replaced_only_where_may_override_lists_it() {
        let claims = both(json!({"plan": "gold"}));
        assert!(
            place(SESSION, &claims, &Additions::default())
                .unwrap_err()
                .contains("may_override")
        );
        let may_override = ["plan".to_owned()];
        let placing = Placing {
            may_override: &may_override,
            ..SESSION
        };
        assert!(place(placing, &claims, &Additions::default()).is_ok());
    }

    #[test]
    fn claims_at_puts_them_beside_what_is_there_already() {
        let placing = Placing {
            claims_at: Some("custom_claims"),
            ..SESSION
        };
        let first = place(placing, &both(json!({"plan": "gold"})), &Additions::default()).unwrap();
        assert_eq!(
            Value::from(first.access_token.clone()),
            json!({"custom_claims": {"oid": 7, "plan": "gold"}})
        );
        assert_eq!(
            Value::from(first.id_token.clone()),
            json!({"custom_claims": {"plan": "gold"}})
        );
        let second = place(placing, &both(json!({"seats": 4})), &first).unwrap();
        assert_eq!(
            Value::from(second.id_token),
            json!({"custom_claims": {"plan": "gold", "seats": 4}})
        );
        assert!(place(placing, &both(json!({"oid": 8})), &Additions::default()).is_err());
        let plan = Placing {
            claims_at: Some("plan"),
            ..SESSION
        };
        assert!(
            place(plan, &both(json!({"a": 1})), &Additions::default())
                .unwrap_err()
                .contains("not an object")
        );
    }

    #[test]
    fn two_values_for_one_claim_are_a_conflict_and_one_value_twice_is_not() {
        let earlier = place(SESSION, &both(json!({"seats": 4})), &Additions::default()).unwrap();
        assert!(place(SESSION, &both(json!({"seats": 4})), &earlier).is_ok());
        assert!(
            place(SESSION, &both(json!({"seats": 5})), &earlier)
                .unwrap_err()
                .contains("earlier")
        );
        let claims = Claims {
            access_token: object(json!({"a": 2})),
            ..both(json!({"a": 1}))
        };
        assert!(
            place(SESSION, &claims, &Additions::default())
                .unwrap_err()
                .contains("differ")
        );
    }

    #[test]
    fn large_claims_are_warned_of_and_oversized_ones_refused_summed_over_interceptors() {
        let claims = |name: &str, size: usize| both(json!({name: "x".repeat(size)}));
        let none = Additions::default();
        let (first, warnings) = SESSION.place(&claims("a", 9_000), &upstream(), &none).unwrap();
        assert_eq!(warnings.len(), 2);
        assert!(
            SESSION
                .place(&claims("a", 3_000), &upstream(), &none)
                .unwrap()
                .1
                .is_empty()
        );
        assert!(
            place(SESSION, &claims("b", 9_000), &first)
                .unwrap_err()
                .contains("bytes")
        );
        assert!(place(SESSION, &claims("a", 17_000), &none).is_err());
    }

    #[test]
    fn claims_are_large_or_oversized_from_the_first_byte_above_the_limit() {
        let none = Additions::default();
        // As JSON the claim has eight bytes around its value.
        let of = |size: usize| both(json!({"a": "x".repeat(size - 8)}));
        let warnings = |size| SESSION.place(&of(size), &upstream(), &none).unwrap().1.len();
        assert_eq!([warnings(LARGE_CLAIMS), warnings(LARGE_CLAIMS + 1)], [0, 2]);
        assert_eq!(warnings(MAX_CLAIMS), 2);
        assert!(place(SESSION, &of(MAX_CLAIMS + 1), &none).is_err());
    }

    #[test]
    fn names_that_nobody_may_set_are_found_in_the_settings() {
        let found = name_findings(Some("sub"), &["plan".to_owned(), "exp".to_owned()]);
        let keys: Vec<_> = found.iter().map(|f| f.key.as_str()).collect();
        assert_eq!(keys, ["claims_at", "may_override.1"]);
    }
}
