//! The API in process: memory storage, a clock that stands still, seeded randomness.

mod approle_login;
mod approle_roles;
mod approle_secret_ids;
mod audit;
mod audit_canary;
mod cubbyhole;
mod lockout;
mod pki_chain;
mod support;
