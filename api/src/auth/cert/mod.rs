//! `auth/cert/`: machines log in with the certificate of their TLS connection.
//!
//! The listener proves that the client has the key; who the certificate makes it is decided here.

mod config;
mod constraints;
mod crls;
mod describe;
mod login;
mod ocsp;
mod role;
mod roles;
mod state;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoint::{Row, row};
use crate::engine::{Engine, RenewTerms};
use crate::error::ApiError;
use crate::mount::{MountEnvironment, Settings};
use crate::outbound::Outbound;
use crate::request::Request;
use crate::time::Timestamp;

use state::Store;

/// One mount of the method.
#[derive(Debug)]
pub struct CertAuth {
    store: Store,
    settings: Arc<Settings>,
    outbound: Arc<dyn Outbound>,
}

/// Under these names the grant of a login notes what its renewals need.
const CERT_NAME: &str = "cert_name";
const POLICIES: &str = "policies";
/// SHA-256 of the certificate, in hexadecimal.
const FINGERPRINT: &str = "certificate_sha256";

impl CertAuth {
    pub fn open(environment: MountEnvironment) -> Self {
        Self {
            store: Store::open(environment.view),
            settings: environment.settings,
            outbound: environment.environment.outbound,
        }
    }
}

impl Engine for CertAuth {
    const KIND: &'static str = "cert";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<config::Read>(),
        row::<config::Write>(),
        row::<crls::Delete>(),
        row::<crls::List>(),
        row::<crls::Read>(),
        row::<crls::Write>(),
        row::<login::Login>(),
        row::<roles::Delete>(),
        row::<roles::List>(),
        row::<roles::Read>(),
        row::<roles::Write>(),
    ];
    const HELP: &'static str = "The \"cert\" credential provider allows authentication using TLS \
        client certificates. A client connects to Vault and uses the \"login\" endpoint to generate \
        a client token.";

    async fn periodic(&self, now: Timestamp) -> Result<(), ApiError> {
        crls::refresh(&self.store, self.outbound.as_ref(), now).await
    }

    async fn renew_terms(
        &self,
        internal: &BTreeMap<String, String>,
    ) -> Result<Option<RenewTerms>, ApiError> {
        let name = internal.get(CERT_NAME).map_or("", String::as_str);
        let state = self.store.state().await?;
        let Some(role) = state.role(name) else {
            return Err(ApiError::bad_request("certificate role no longer exists"));
        };
        let token = &role.role.token;
        if internal.get(POLICIES) != Some(&token.policies_text()) {
            return Err(ApiError::bad_request("policies have changed, not renewing"));
        }
        Ok(Some(token.renew_terms()))
    }

    async fn check_renewal(
        &self,
        internal: &BTreeMap<String, String>,
        request: &Request,
    ) -> Result<(), ApiError> {
        login::check_renewal(&self.store, internal, request).await
    }
}
