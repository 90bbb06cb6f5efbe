//! `config`: which API server is asked, and with whose right.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use signet_storage::{Batch, Record};
use zeroize::Zeroizing;

use super::Kubernetes;
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::jwt::KeySet;
use crate::kubernetes::{Bearer, ReviewerSettings, TokenReviewer};
use crate::node::Environment;
use crate::params::{CommaList, NoParams, SecretText, params};
use crate::reply::Reply;

pub(super) const CONFIG: &str = "config";

/// For one question to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    host: String,
    ca_cert: String,
    token_reviewer_jwt: Zeroizing<String>,
    pem_keys: Vec<String>,
    issuer: String,
    disable_iss_validation: bool,
    disable_local_ca_jwt: bool,
}

impl Record for Config {
    const FORMAT: u8 = 1;
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// The cluster as a configuration has it.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) reviewer: TokenReviewer,
    /// Keys of the cluster's issuer; `None`: the API server checks signatures.
    pub(super) keys: Option<KeySet>,
    /// The only `iss` that is taken; `None` for any.
    pub(super) issuer: Option<String>,
}

impl Cluster {
    pub(super) fn new(config: Config, environment: &Environment) -> Result<Self, ApiError> {
        let keys = key_set(&config.pem_keys)?;
        let issuer =
            (!config.disable_iss_validation && !config.issuer.is_empty()).then_some(config.issuer);
        let bearer = if !config.token_reviewer_jwt.is_empty() {
            Bearer::Given(config.token_reviewer_jwt)
        } else if config.disable_local_ca_jwt {
            Bearer::Reviewed
        } else {
            Bearer::Local
        };
        let settings = ReviewerSettings {
            host: config.host,
            ca_pem: config.ca_cert,
            bearer,
            timeout: TIMEOUT,
        };
        Ok(Self {
            reviewer: TokenReviewer::new(
                settings,
                environment.outbound.clone(),
                environment.local_cluster.clone(),
            ),
            keys,
            issuer,
        })
    }
}

fn key_set(pem_keys: &[String]) -> Result<Option<KeySet>, ApiError> {
    let sets: Vec<KeySet> = pem_keys
        .iter()
        .map(|pem| KeySet::from_pem(pem))
        .collect::<Result<_, _>>()
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok((!sets.is_empty()).then(|| KeySet::joined(sets)))
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = Kubernetes;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "config")];
    const HELP: &'static str = "Shows the configuration without the token.";

    async fn handle(cx: Cx<'_, Kubernetes>, _params: NoParams) -> Result<Reply, ApiError> {
        let Some(config) = cx.engine.config().await? else {
            return Ok(Reply::nothing());
        };
        Reply::data(json!({
            "disable_iss_validation": config.disable_iss_validation,
            "disable_local_ca_jwt": config.disable_local_ca_jwt,
            "issuer": config.issuer,
            "kubernetes_ca_cert": config.ca_cert,
            "kubernetes_host": config.host,
            "pem_keys": config.pem_keys,
            "token_reviewer_jwt_set": !config.token_reviewer_jwt.is_empty(),
        }))
    }
}

params! {
    pub(super) struct ConfigParams {
        /// (DEPRECATED) Disable JWT issuer validation
        disable_iss_validation: bool = true,
        /// Disable defaulting to the local CA cert and service account JWT when running in a Kubernetes pod
        disable_local_ca_jwt: bool,
        /// (DEPRECATED) The issuer that tokens must have, when the validation is not disabled.
        issuer: String,
        /// PEM encoded CA cert for use by the TLS client used to talk with the API.
        kubernetes_ca_cert: String,
        /// Host must be a host string, a host:port pair, or a URL to the base of the Kubernetes API server.
        kubernetes_host: String,
        /// Optional list of PEM-formated public keys or certificates used to verify the signatures of kubernetes service account JWTs. If a certificate is given, its public key will be extracted. Not every installation of Kubernetes exposes these keys.
        pem_keys: CommaList,
        /// A service account JWT (or other token) used as a bearer token to access the TokenReview API to validate other JWTs during login. If not set the JWT used for login will be used to access the API.
        token_reviewer_jwt: SecretText,
    }
}

pub(super) struct Write;

impl Endpoint for Write {
    type Engine = Kubernetes;
    type Params = ConfigParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "config")];
    const HELP: &'static str =
        "Configures the JWT Public Key and Kubernetes API information, in place of what was there.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, Kubernetes>, params: ConfigParams) -> Result<Reply, ApiError> {
        if params.kubernetes_host.trim().is_empty() {
            return Err(ApiError::bad_request("no host provided"));
        }
        if params.disable_local_ca_jwt && params.kubernetes_ca_cert.is_empty() {
            return Err(ApiError::bad_request(
                "kubernetes_ca_cert must be given when disable_local_ca_jwt is true",
            ));
        }
        key_set(&params.pem_keys.0)?;
        let config = Config {
            host: params.kubernetes_host,
            ca_cert: params.kubernetes_ca_cert,
            token_reviewer_jwt: params.token_reviewer_jwt.0,
            pem_keys: params.pem_keys.0,
            issuer: params.issuer,
            disable_iss_validation: params.disable_iss_validation,
            disable_local_ca_jwt: params.disable_local_ca_jwt,
        };
        let mut batch = Batch::default();
        cx.engine.view.put_record(&mut batch, CONFIG, &config)?;
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}
