//! The real program, started, spoken to over sockets, signalled and killed.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod dev;
#[expect(
    clippy::indexing_slicing,
    dead_code,
    reason = "JSON without a field is null; each test program uses its part"
)]
#[path = "../support/fake_kubernetes.rs"]
mod fake_kubernetes;
mod http;
mod kubernetes;
mod kubernetes_login;
mod lifecycle;
mod support;
mod tls;
#[path = "../support/token_review.rs"]
mod token_review;
