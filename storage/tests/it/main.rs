//! Behaviour of the store as its callers see it.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod backends;
mod barrier;
mod crash;
mod model;
mod support;
