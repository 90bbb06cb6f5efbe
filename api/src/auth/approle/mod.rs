//! `auth/approle/`: machines log in with the id of a role and a secret of it.
//!
//! A secret-id is stored only as an HMAC under a key of its role. Its use, and the token that the
//! use is worth, are one commit.

mod cidr;
mod destroy;
mod generate;
mod login;
mod lookup;
mod metadata;
mod params;
mod role;
mod roles;
mod secret_id;
mod store;
mod sub_path;
mod tidy;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoint::{Row, row};
use crate::engine::{Engine, RenewTerms};
use crate::error::ApiError;
use crate::mount::{MountEnvironment, Settings};
use crate::time::Timestamp;

use role::LoadedRole;
use store::Store;
use sub_path::SubPath;

/// One mount of the method.
#[derive(Debug)]
pub struct AppRole {
    store: Arc<Store>,
    settings: Arc<Settings>,
    /// Stands in for a role that does not exist, so that a login with an unknown role id costs the
    /// same as one with a wrong secret.
    decoy: LoadedRole,
}

/// Longest role id or secret-id, in bytes.
const MAX_ID_BYTES: usize = 4096;

/// Under this name the grant of a login notes its role, for the renewals of its token.
const ROLE_NAME: &str = "role_name";

impl AppRole {
    pub fn open(environment: MountEnvironment) -> Result<Self, ApiError> {
        Ok(Self {
            store: Store::open(environment.view),
            settings: environment.settings,
            decoy: LoadedRole::decoy(environment.environment.rng.as_ref())?,
        })
    }
}

impl Engine for AppRole {
    const KIND: &'static str = "approle";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<login::Login>(),
        row::<roles::List>(),
        row::<roles::Read>(),
        row::<roles::Write>(),
        row::<roles::Delete>(),
        row::<SubPath<0>>(),
        row::<SubPath<1>>(),
        row::<SubPath<2>>(),
        row::<SubPath<3>>(),
        row::<SubPath<4>>(),
        row::<SubPath<5>>(),
        row::<SubPath<6>>(),
        row::<SubPath<7>>(),
        row::<SubPath<8>>(),
        row::<SubPath<9>>(),
        row::<SubPath<10>>(),
        row::<SubPath<11>>(),
        row::<SubPath<12>>(),
        row::<generate::Generate>(),
        row::<generate::Custom>(),
        row::<lookup::List>(),
        row::<lookup::BySecretId>(),
        row::<lookup::ByAccessor>(),
        row::<destroy::BySecretId>(),
        row::<destroy::ByAccessor>(),
        row::<tidy::Tidy>(),
    ];
    const HELP: &'static str = "Any registered Role can authenticate itself with Vault. The \
        credentials depend on the constraints that are set on the Role.";

    async fn periodic(&self, now: Timestamp) -> Result<(), ApiError> {
        self.store.tidy(now).await
    }

    async fn renew_terms(
        &self,
        internal: &BTreeMap<String, String>,
    ) -> Result<Option<RenewTerms>, ApiError> {
        let name = internal.get(ROLE_NAME).map_or("", String::as_str);
        let Some(loaded) = self.store.role(name).await? else {
            return Err(ApiError::bad_request(format!(
                "role {name:?} does not exist during renewal"
            )));
        };
        Ok(Some(loaded.role.token.renew_terms()))
    }
}

fn no_such_role(name: &str) -> String {
    format!("role {name:?} does not exist")
}
