//! The API in process: memory storage, a clock that stands still, seeded randomness.

mod cubbyhole;
mod pki_chain;
mod pki_crl;
mod pki_fetch;
mod pki_fixture;
mod pki_leaf;
mod pki_ocsp;
mod pki_revoke;
mod pki_roles;
mod pki_tidy;
mod support;
