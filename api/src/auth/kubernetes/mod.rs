//! `auth/kubernetes/`: workloads of a cluster log in with the token of their service account.
//!
//! The API server of the cluster says whose token it is (`TokenReview`); what the token says of
//! itself only serves to refuse it early.

mod config;
mod login;
mod roles;
mod selector;

use std::collections::BTreeMap;
use std::sync::Arc;

use signet_storage::{Stored, View};

use crate::auth::role_path::role_path;
use crate::config_cache::ConfigCache;
use crate::endpoint::{Row, row};
use crate::engine::{Engine, RenewTerms};
use crate::error::ApiError;
use crate::mount::{MountEnvironment, Settings};
use crate::node::Environment;

use config::{CONFIG, Cluster, Config};
use roles::Role;

/// One mount of the method.
#[derive(Debug)]
pub struct Kubernetes {
    view: View,
    settings: Arc<Settings>,
    environment: Environment,
    cluster: Arc<ConfigCache<Cluster>>,
}

/// Under this name the grant of a login notes its role, for the renewals of its token.
const ROLE: &str = "role";

impl Kubernetes {
    #[must_use]
    pub fn open(environment: MountEnvironment) -> Self {
        Self {
            cluster: ConfigCache::watching(&environment.view, CONFIG),
            view: environment.view,
            settings: environment.settings,
            environment: environment.environment,
        }
    }

    async fn config(&self) -> Result<Option<Config>, ApiError> {
        let stored = self.view.record::<Config>(CONFIG).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// The cluster as it is configured; `None` before.
    async fn cluster(&self) -> Result<Option<Arc<Cluster>>, ApiError> {
        let load = async {
            let config = self.config().await?;
            config
                .map(|config| Cluster::new(config, &self.environment))
                .transpose()
        };
        self.cluster.get(load).await
    }

    /// The role of this name, in any case.
    async fn role(&self, name: &str) -> Result<Option<Stored<Role>>, ApiError> {
        match role_path(name) {
            None => Ok(None),
            Some(path) => Ok(self.view.record(&path).await?),
        }
    }
}

impl Engine for Kubernetes {
    const KIND: &'static str = "kubernetes";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<config::Read>(),
        row::<config::Write>(),
        row::<login::Login>(),
        row::<roles::List>(),
        row::<roles::Read>(),
        row::<roles::Write>(),
        row::<roles::Delete>(),
    ];
    const HELP: &'static str = "The Kubernetes Auth Backend allows authentication for Kubernetes \
        service accounts.";

    async fn renew_terms(
        &self,
        internal: &BTreeMap<String, String>,
    ) -> Result<Option<RenewTerms>, ApiError> {
        let name = internal.get(ROLE).map_or("", String::as_str);
        match self.role(name).await? {
            Some(stored) => Ok(Some(stored.value.tokens.renew_terms())),
            None => Err(ApiError::bad_request(format!(
                "role {name} does not exist during renewal"
            ))),
        }
    }
}
