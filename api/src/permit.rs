//! The proof that a request may reach its handler.

use crate::acl::{AccessRequest, Acl, Operation};
use crate::endpoint::Access;
use crate::error::ApiError;
use crate::mesh::Caller;

/// Only the functions here make one; the pipeline runs no handler without it.
#[derive(Debug)]
pub struct Permit {
    /// Policies that granted the operation, for the audit log.
    granting_policies: Vec<String>,
    /// The request makes an object that does not exist yet.
    creates: bool,
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
            creates: access.operation == Operation::Create,
        })
    }

    /// For routes that are declared to need no token.
    pub(crate) fn without_token(access: Access) -> Result<Self, ApiError> {
        if access.needs_token() {
            return Err(ApiError::permission_denied());
        }
        Ok(Self {
            granting_policies: Vec::new(),
            creates: false,
        })
    }

    /// For help, which any valid token may read.
    pub(crate) fn to_read_help(_acl: &Acl) -> Self {
        Self {
            granting_policies: Vec::new(),
            creates: false,
        }
    }

    /// For the open endpoints of a sealed server: no policy can be read.
    pub(crate) fn while_sealed() -> Self {
        Self {
            granting_policies: Vec::new(),
            creates: false,
        }
    }

    /// For workloads of a mesh, which get a certificate of their own name and nothing else.
    pub(crate) fn for_workload(_caller: &Caller) -> Self {
        Self {
            granting_policies: Vec::new(),
            creates: false,
        }
    }

    /// For the certificate of the listener that serves the mesh, whose names the operator's file says.
    pub(crate) fn for_serving_certificate() -> Self {
        Self {
            granting_policies: Vec::new(),
            creates: false,
        }
    }

    #[must_use]
    pub fn granting_policies(&self) -> &[String] {
        &self.granting_policies
    }

    /// Does the request make an object that does not exist yet?
    #[must_use]
    pub fn creates(&self) -> bool {
        self.creates
    }
}
