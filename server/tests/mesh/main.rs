//! The Istio CSR protocol over the wire: clients that behave as Istio's agents and ztunnel do,
//! against the real program.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod agent;
mod answer;
mod bursts;
mod callers;
mod fixture;
mod hostile;
mod issuing;
mod kubernetes;
mod lifecycle;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
