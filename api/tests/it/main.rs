//! The API in process: memory storage, a clock that stands still, seeded randomness.

mod cubbyhole;
mod pki_chain;
mod support;
