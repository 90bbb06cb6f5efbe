//! The API in process: memory storage, a clock that stands still, seeded randomness.

mod cubbyhole;
mod leases;
mod support;
mod token_create;
mod token_lookup;
mod token_renew;
mod token_revoke;
mod token_roles;
mod token_support;
mod token_uses;
mod wrapping;
