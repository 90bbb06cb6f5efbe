//! The API in process: memory storage, a clock that stands still, seeded randomness.

mod approle_login;
mod approle_roles;
mod approle_secret_ids;
mod audit;
mod audit_canary;
mod cubbyhole;
mod interleaved;
mod leases;
mod lockout;
mod mounts;
mod pki_chain;
mod policies;
mod quotas;
mod seal;
mod support;
mod sys;
mod table;
mod token_create;
mod token_lookup;
mod token_renew;
mod token_revoke;
mod token_roles;
mod token_support;
mod token_uses;
mod wrapping;
