//! The PKI secrets engine: a certificate authority at a path.
//!
//! ```text
//! endpoint file --> vet (role, request) --> issuance: build, sign, record --> one commit
//!                     ^ state: issuers, keys and configuration, parsed once, fed by watch
//! ```

mod authorities;
mod format;
mod intermediate;
mod issuance;
mod leaf;
mod records;
mod roles;
mod root;
mod state;

use std::sync::Arc;

use crate::endpoint::{Row, row};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::mount::MountEnvironment;
use crate::secrets::pki::state::StateCache;

/// One PKI mount.
#[derive(Debug)]
pub struct Pki {
    env: MountEnvironment,
    state: Arc<StateCache>,
}

impl Engine for Pki {
    const KIND: &'static str = "pki";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<intermediate::Generate>(),
        row::<intermediate::Import>(),
        row::<intermediate::Sign>(),
        row::<leaf::Issue>(),
        row::<leaf::Sign>(),
        row::<leaf::SignVerbatim>(),
        row::<roles::Delete>(),
        row::<roles::List>(),
        row::<roles::Patch>(),
        row::<roles::Read>(),
        row::<roles::Write>(),
        row::<root::Generate>(),
    ];
    const HELP: &'static str = "The PKI backend dynamically generates X509 server and client \
                                certificates.";
}

impl Pki {
    pub(crate) fn open(env: MountEnvironment) -> Result<Self, ApiError> {
        let state = StateCache::new(&env);
        Ok(Self { env, state })
    }
}
