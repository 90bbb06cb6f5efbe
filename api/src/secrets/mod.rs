//! Secrets engines. Their folders never import each other.

pub mod cubbyhole;
pub mod kv;
pub mod pki;
