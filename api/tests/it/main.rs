//! The API in process: memory storage, a clock that stands still, seeded randomness.

mod cubbyhole;
mod mounts;
mod pki_chain;
mod policies;
mod quotas;
mod seal;
mod support;
mod sys;
mod table;
