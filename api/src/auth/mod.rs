//! Auth methods. Their folders never import each other.

pub mod approle;
pub mod jwt;
pub mod kubernetes;
pub mod token;
pub(crate) mod unavailable;
