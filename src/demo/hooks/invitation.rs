//! PRE_USER_INVITATION: a team grows as far as its plan goes.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

use super::{Answer, is_dry_run, text};

/// Who sits in which team. Yours would ask the database that knows, so that an invitation which fails later on does
/// not keep its seat.
pub(super) struct Seats {
    taken: Mutex<HashMap<String, HashSet<String>>>,
}

impl Seats {
    /// The demo's team, as it is before anybody is invited.
    pub(super) fn new() -> Self {
        let members = ["ada@example.com", "bob@example.com", "grace@bigcorp.example"];
        let team = members.map(str::to_owned).into_iter().collect();
        Self {
            taken: Mutex::new(HashMap::from([("org_tea".to_owned(), team)])),
        }
    }

    /// Denies whoever would need a seat beyond [`SEATS`].
    pub(super) fn decide(&self, event: &Value) -> Answer {
        let team = text(event, "/data/organization/id");
        let (Some(team), Some(email)) = (team, text(event, "/data/user/email")) else {
            return Answer::Deny("Invite people by e-mail address into a team.".into());
        };
        let email = email.to_ascii_lowercase();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = taken.entry(team.to_owned()).or_default();
        // Inviting somebody again takes no second seat.
        if seats.len() >= SEATS && !seats.contains(&email) {
            return Answer::Deny(format!("Your plan has {SEATS} seats and all of them are taken."));
        }
        if !is_dry_run(event) {
            seats.insert(email);
        }
        Answer::allow()
    }
}

const SEATS: usize = 4;
