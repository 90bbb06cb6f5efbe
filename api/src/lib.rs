//! What every path of the API means: mounts, tokens, policies, engines.
//!
//! No HTTP, gRPC or command line in here; those are edges over [`node::Node::handle`] and, for
//! workload certificates, over the same issuance functions.

pub mod acl;
pub mod answer;
pub mod audit;
pub mod auth;
pub mod call;
pub mod certificate;
mod config_cache;
pub mod cors;
pub mod endpoint;
pub mod engine;
pub mod error;
pub mod expiry;
pub mod glob;
pub mod hcl;
mod help;
pub mod in_flight;
pub mod json;
pub mod jwt;
pub mod keys_ahead;
pub mod kubernetes;
pub mod lockout;
pub mod mesh;
pub mod metrics;
pub mod mount;
pub mod node;
pub mod offload;
mod openapi;
pub mod outbound;
pub mod params;
pub mod permit;
pub mod pipeline;
pub mod policy;
pub mod probe;
pub mod quota;
pub mod random;
pub mod registry;
pub mod reply;
pub mod request;
pub mod route;
pub mod seal;
pub mod secrets;
pub mod sys;
pub mod time;
pub mod token;
mod wrap;
