//! `auth/jwt/` and `auth/oidc/`: logins with a token that somebody else signed.
//!
//! The keys of the issuer are configured, fetched from a URL or found by discovery. The login of
//! people by a browser, which is the other half of `oidc`, is not there; its paths say so.

mod bound_claims;
mod browser;
mod config;
mod issuer;
mod login;
mod roles;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use signet_storage::{Stored, View};

use crate::auth::role_path::role_path;
use crate::config_cache::ConfigCache;
use crate::endpoint::{Row, row};
use crate::engine::{Engine, RenewTerms};
use crate::error::ApiError;
use crate::mount::{MountEnvironment, Settings};
use crate::node::Environment;

use config::{CONFIG, Config};
use issuer::Issuer;
use roles::Role;

/// One mount of type `jwt`.
pub type Jwt = JwtAuth<AsJwt>;
/// One mount of type `oidc`, which is the same under another name.
pub type Oidc = JwtAuth<AsOidc>;

/// The type in the mount table: an engine's kind belongs to its type.
pub trait Kind: Send + Sync + 'static {
    const NAME: &'static str;
}

#[derive(Debug)]
pub struct AsJwt;

#[derive(Debug)]
pub struct AsOidc;

impl Kind for AsJwt {
    const NAME: &'static str = "jwt";
}

impl Kind for AsOidc {
    const NAME: &'static str = "oidc";
}

#[derive(Debug)]
pub struct JwtAuth<K> {
    mount: Mount,
    kind: PhantomData<K>,
}

/// What a mount is, whatever its type is called.
#[derive(Debug)]
struct Mount {
    view: View,
    settings: Arc<Settings>,
    environment: Environment,
    issuer: Arc<ConfigCache<Issuer>>,
}

/// Under this name the grant of a login notes its role, for the renewals of its token.
const ROLE: &str = "role";

impl<K: Kind> JwtAuth<K> {
    #[must_use]
    pub fn open(environment: MountEnvironment) -> Self {
        Self {
            mount: Mount {
                issuer: ConfigCache::watching(&environment.view, CONFIG),
                view: environment.view,
                settings: environment.settings,
                environment: environment.environment,
            },
            kind: PhantomData,
        }
    }
}

impl Mount {
    async fn config(&self) -> Result<Option<Config>, ApiError> {
        let stored = self.view.record::<Config>(CONFIG).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// Whose tokens are taken, as it is configured; `None` before.
    async fn issuer(&self) -> Result<Option<Arc<Issuer>>, ApiError> {
        let load = async {
            let config = self.config().await?;
            config
                .map(|config| Issuer::new(config, &self.environment.outbound))
                .transpose()
        };
        self.issuer.get(load).await
    }

    /// The role of this name, in any case.
    async fn role(&self, name: &str) -> Result<Option<Stored<Role>>, ApiError> {
        match role_path(name) {
            None => Ok(None),
            Some(path) => Ok(self.view.record(&path).await?),
        }
    }
}

impl<K: Kind> Engine for JwtAuth<K> {
    const KIND: &'static str = K::NAME;
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<browser::Browser<K>>(),
        row::<config::Read<K>>(),
        row::<config::Write<K>>(),
        row::<login::Login<K>>(),
        row::<roles::List<K>>(),
        row::<roles::Read<K>>(),
        row::<roles::Write<K>>(),
        row::<roles::Delete<K>>(),
    ];
    const HELP: &'static str =
        "The JWT backend plugin allows authentication using JWTs (including OIDC).";

    async fn renew_terms(
        &self,
        internal: &BTreeMap<String, String>,
    ) -> Result<Option<RenewTerms>, ApiError> {
        let name = internal.get(ROLE).map_or("", String::as_str);
        match self.mount.role(name).await? {
            Some(stored) => Ok(Some(stored.value.tokens.renew_terms())),
            None => Err(ApiError::bad_request(format!(
                "role {name} does not exist during renewal"
            ))),
        }
    }
}
