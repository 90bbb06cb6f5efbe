//! `auth/token/`: tokens made by tokens.

use crate::endpoint::Row;
use crate::engine::Engine;

/// The auth method that every server has.
#[derive(Debug)]
pub struct TokenAuth;

impl Engine for TokenAuth {
    const KIND: &'static str = "token";
    const ENDPOINTS: &'static [Row<Self>] = &[];
    const HELP: &'static str =
        "The token credential backend is always enabled and builtin to Vault.";
}
