//! The invariants of `docs/ARCHITECTURE.md`, one file each, named after them.

mod a_slipped_token_is_worthless;
mod any_replica_can_do_it;
mod no_decision_without_its_record;
mod no_token_without_a_verdict;
mod no_way_around;
mod secrets_stay;
mod the_provider_works_as_before;
mod whole_configurations_only;
