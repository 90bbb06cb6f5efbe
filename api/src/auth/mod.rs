//! Auth methods. Their folders never import each other.

pub mod approle;
pub mod cert;
pub mod jwt;
pub mod kubernetes;
pub(crate) mod role_path;
pub mod token;
pub(crate) mod token_fields;
pub(crate) mod unavailable;
pub mod userpass;
