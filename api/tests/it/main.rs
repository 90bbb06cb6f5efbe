//! The API in process: memory storage, a clock that stands still, seeded randomness.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a step that fails fails the test"
)]

mod approle_commits;
mod approle_login;
mod approle_roles;
mod approle_secret_ids;
mod audit;
mod audit_canary;
mod auth_jwt;
mod auth_kubernetes;
mod cert;
mod cert_revocation;
mod cubbyhole;
mod interleaved;
mod jwt_remote;
mod jwt_verify;
mod keys_ahead;
mod kv;
mod kv_versions;
mod leases;
mod lockout;
mod mounts;
mod outbound;
mod own_requests;
mod pki_acme;
mod pki_chain;
mod pki_config;
mod pki_crl;
mod pki_fetch;
mod pki_fixture;
mod pki_import;
mod pki_issuers;
mod pki_keys;
mod pki_leaf;
mod pki_lists;
mod pki_ocsp;
mod pki_revoke;
mod pki_roles;
mod pki_root;
mod pki_root_bundle;
mod pki_sign_list;
mod pki_tidy;
mod policies;
mod probe;
mod quotas;
mod seal;
mod signer;
mod support;
mod sys;
mod table;
mod token_create;
mod token_lookup;
mod token_renew;
mod token_review;
mod token_revoke;
mod token_roles;
mod token_support;
mod token_uses;
mod userpass;
mod wrapping;
