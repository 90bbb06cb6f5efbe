//! The controller against an API server in memory, in virtual time.

#[path = "../../../tests/support/fake_kubernetes.rs"]
pub(super) mod fake_kubernetes;

mod election;
mod istiod;
mod pods;
mod root_maps;
mod stage;
