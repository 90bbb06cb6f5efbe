//! Auth methods. Their folders never import each other.

pub mod approle;
pub mod token;
pub(crate) mod unavailable;
