//! The API in process: memory storage, a clock that stands still, seeded randomness.

mod approle_login;
mod approle_roles;
mod approle_secret_ids;
mod audit;
mod audit_canary;
mod cubbyhole;
mod lockout;
mod pki_chain;
mod pki_config;
mod pki_crl;
mod pki_fetch;
mod pki_fixture;
mod pki_import;
mod pki_issuers;
mod pki_keys;
mod pki_leaf;
mod pki_ocsp;
mod pki_revoke;
mod pki_roles;
mod pki_root;
mod pki_tidy;
mod support;
