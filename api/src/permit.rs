//! The proof that a request may reach its handler.

use crate::acl::{AccessRequest, Acl};
use crate::endpoint::Access;
use crate::error::ApiError;

/// Only the functions here make one; the pipeline runs no handler without it.
#[derive(Debug)]
pub struct Permit {
    /// Policies that granted the operation, for the audit log.
    granting_policies: Vec<String>,
}

impl Permit {
    /// Asks the caller's policies.
    pub(crate) fn authorize(acl: &Acl, access: &AccessRequest<'_>) -> Result<Self, ApiError> {
        let decision = acl.check(access);
        if !decision.allowed {
            return Err(ApiError::denied_by_policy());
        }
        Ok(Self {
            granting_policies: decision.granting_policies().map(str::to_owned).collect(),
        })
    }

    /// For routes that are declared to need no token.
    pub(crate) fn without_token(access: Access) -> Result<Self, ApiError> {
        if access.needs_token() {
            return Err(ApiError::permission_denied());
        }
        Ok(Self {
            granting_policies: Vec::new(),
        })
    }

    /// For the open endpoints of a sealed server: no policy can be read.
    pub(crate) fn while_sealed() -> Self {
        Self {
            granting_policies: Vec::new(),
        }
    }

    #[must_use]
    pub fn granting_policies(&self) -> &[String] {
        &self.granting_policies
    }
}
