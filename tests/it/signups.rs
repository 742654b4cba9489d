//! Accounts and clients that come into being in other ways than by the form, in front of a stub with Keycloak's admin API.

mod late;
mod registration;
mod saml;
