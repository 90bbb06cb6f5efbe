//! `config`: whose tokens are taken.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signet_storage::{Batch, Record};
use zeroize::Zeroizing;

use super::issuer::{Issuer, Unusable};
use super::{JwtAuth, Kind};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::jwt::Algorithm;
use crate::params::{CommaList, NoParams, SecretText, params};
use crate::reply::Reply;

pub(super) const CONFIG: &str = "config";

/// Key sets of `jwks_pairs`; each costs a request now and then.
const MAX_PAIRS: usize = 16;

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) bound_issuer: String,
    /// Lower case; empty for none.
    pub(super) default_role: String,
    pub(super) jwks_ca_pem: String,
    pub(super) jwks_pairs: Vec<JwksPair>,
    pub(super) jwks_url: String,
    pub(super) jwt_supported_algs: Vec<String>,
    pub(super) jwt_validation_pubkeys: Vec<String>,
    namespace_in_state: bool,
    oidc_client_id: String,
    oidc_client_secret: Zeroizing<String>,
    pub(super) oidc_discovery_ca_pem: String,
    pub(super) oidc_discovery_url: String,
    oidc_response_mode: String,
    oidc_response_types: Vec<String>,
}

impl Record for Config {
    const FORMAT: u8 = 1;
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JwksPair {
    pub(super) jwks_url: String,
    #[serde(default)]
    pub(super) jwks_ca_pem: String,
}

params! {
    pub(super) struct ConfigParams {
        /// The value against which to match the 'iss' claim in a JWT. Optional.
        bound_issuer: String,
        /// The default role to use if none is provided during login. If not set, a role is required during login.
        default_role: String,
        /// The CA certificate or chain of certificates, in PEM format, to use to validate connections to the JWKS URL. If not set, system certificates are used.
        jwks_ca_pem: String,
        /// Set of JWKS Url and CA certificate (or chain of certificates) pairs, as a list of objects with jwks_url and jwks_ca_pem. Cannot be used with "jwks_url".
        jwks_pairs: Value,
        /// JWKS URL to use to authenticate signatures. Cannot be used with "oidc_discovery_url" or "jwt_validation_pubkeys".
        jwks_url: String,
        /// A list of supported signing algorithms. Defaults to all that fit the keys.
        jwt_supported_algs: CommaList,
        /// A list of PEM-encoded public keys to use to authenticate signatures locally. Cannot be used with "jwks_url" or "oidc_discovery_url".
        jwt_validation_pubkeys: CommaList,
        /// Pass namespace in the OIDC state parameter instead of as a separate query parameter.
        namespace_in_state: bool = true,
        /// The OAuth Client ID configured with your OIDC provider.
        oidc_client_id: String,
        /// The OAuth Client Secret configured with your OIDC provider.
        oidc_client_secret: SecretText,
        /// The CA certificate or chain of certificates, in PEM format, to use to validate connections to the OIDC Discovery URL. If not set, system certificates are used.
        oidc_discovery_ca_pem: String,
        /// The base URL of the OIDC Discovery URL without ".well-known/openid-configuration" component. Cannot be used with "jwks_url" or "jwt_validation_pubkeys".
        oidc_discovery_url: String,
        /// The response mode to be used in the OAuth2 request. Allowed values are 'query' and 'form_post'.
        oidc_response_mode: String,
        /// The response types to request. Allowed values are 'code' and 'id_token'. Defaults to 'code'.
        oidc_response_types: CommaList,
        /// A list of hostnames to accept when performing TLS validation; not available.
        override_allowed_server_names: CommaList,
        /// Provider-specific configuration; not available.
        provider_config: Map<String, Value>,
        /// When true and oidc_discovery_url or jwks_url are specified, if the connection fails to load, a warning will be issued and status can be checked later by reading the config endpoint.
        skip_jwks_validation: bool,
    }
}

impl ConfigParams {
    fn check(&self, pairs: &[JwksPair]) -> Result<(), ApiError> {
        let refuse = |text: String| Err(ApiError::bad_request(text));
        for (is_given, name) in [
            (
                !self.override_allowed_server_names.0.is_empty(),
                "override_allowed_server_names",
            ),
            (!self.provider_config.is_empty(), "provider_config"),
        ] {
            if is_given {
                return refuse(format!("'{name}' is not available on this server"));
            }
        }
        let ways = [
            !self.jwt_validation_pubkeys.0.is_empty(),
            !self.jwks_url.is_empty(),
            !pairs.is_empty(),
            !self.oidc_discovery_url.is_empty(),
        ];
        if ways.iter().filter(|is_given| **is_given).count() != 1 {
            return refuse(
                "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', \
                 'oidc_discovery_url', or 'provider_config' must be set"
                    .into(),
            );
        }
        let has_secret = !self.oidc_client_secret.0.is_empty();
        if self.oidc_client_id.is_empty() == has_secret {
            return refuse(
                "both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC".into(),
            );
        }
        if has_secret && self.oidc_discovery_url.is_empty() {
            return refuse("'oidc_discovery_url' must be set for OIDC".into());
        }
        if !matches!(self.oidc_response_mode.as_str(), "" | "query" | "form_post") {
            return refuse(format!(
                "invalid response_mode: {:?}",
                self.oidc_response_mode
            ));
        }
        let types = &self.oidc_response_types.0;
        if !types
            .iter()
            .all(|kind| matches!(kind.as_str(), "code" | "id_token"))
        {
            return refuse(format!(
                "invalid response_types [{}]. 'code' and 'id_token' are allowed",
                types.join(" ")
            ));
        }
        for name in &self.jwt_supported_algs.0 {
            if Algorithm::from_name(name).is_none() {
                return refuse(format!(
                    "invalid jwt_supported_algs: unsupported signing algorithm {name:?}"
                ));
            }
        }
        Ok(())
    }

    fn into_config(self, jwks_pairs: Vec<JwksPair>) -> Config {
        Config {
            bound_issuer: self.bound_issuer,
            default_role: self.default_role.to_lowercase(),
            jwks_ca_pem: self.jwks_ca_pem,
            jwks_pairs,
            jwks_url: self.jwks_url,
            jwt_supported_algs: self.jwt_supported_algs.0,
            jwt_validation_pubkeys: self.jwt_validation_pubkeys.0,
            namespace_in_state: self.namespace_in_state,
            oidc_client_id: self.oidc_client_id,
            oidc_client_secret: self.oidc_client_secret.0,
            oidc_discovery_ca_pem: self.oidc_discovery_ca_pem,
            oidc_discovery_url: self.oidc_discovery_url,
            oidc_response_mode: self.oidc_response_mode,
            oidc_response_types: self.oidc_response_types.0,
        }
    }
}

fn read_pairs(given: &Value) -> Result<Vec<JwksPair>, ApiError> {
    let refused = || ApiError::bad_request("invalid 'jwks_pairs'");
    // A command line sends the list as a text.
    let pairs = match given {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) if text.is_empty() => return Ok(Vec::new()),
        Value::String(text) => serde_json::from_str(text).ok(),
        other => serde_json::from_value(other.clone()).ok(),
    };
    let pairs: Vec<JwksPair> = pairs.ok_or_else(refused)?;
    if pairs.len() > MAX_PAIRS || pairs.iter().any(|pair| pair.jwks_url.is_empty()) {
        return Err(refused());
    }
    Ok(pairs)
}

pub(super) struct Write<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Write<K> {
    type Engine = JwtAuth<K>;
    type Params = ConfigParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "config")];
    const HELP: &'static str =
        "Configures the JWT authentication backend, in place of what was there.";
    const ONE_COMMIT: bool = true;

    async fn handle(cx: Cx<'_, JwtAuth<K>>, params: ConfigParams) -> Result<Reply, ApiError> {
        let mount = &cx.engine.mount;
        let pairs = read_pairs(&params.jwks_pairs)?;
        params.check(&pairs)?;
        let may_be_away = params.skip_jwks_validation;
        let config = params.into_config(pairs);
        let issuer = Issuer::new(config.clone(), &mount.environment.outbound)?;
        let mut reply = Reply::nothing();
        if let Err(Unusable { told, why }) = issuer.try_out(cx.now).await {
            if !may_be_away {
                return Err(ApiError::bad_request(
                    why.map_or(told.to_owned(), |why| format!("{told}: {why}")),
                ));
            }
            reply = reply.warn(told);
        }
        let mut batch = Batch::default();
        mount.view.put_record(&mut batch, CONFIG, &config)?;
        cx.commit(batch).await?;
        Ok(reply)
    }
}

pub(super) struct Read<K>(PhantomData<K>);

impl<K: Kind> Endpoint for Read<K> {
    type Engine = JwtAuth<K>;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "config")];
    const HELP: &'static str = "Shows the configuration without the client's secret.";

    async fn handle(cx: Cx<'_, JwtAuth<K>>, _params: NoParams) -> Result<Reply, ApiError> {
        let mount = &cx.engine.mount;
        let (Some(config), Some(issuer)) = (mount.config().await?, mount.issuer().await?) else {
            return Ok(Reply::nothing());
        };
        let status = match issuer.try_out(cx.now).await {
            Ok(()) => "valid".to_owned(),
            Err(Unusable { told, .. }) => told.to_owned(),
        };
        let no_names: [&str; 0] = [];
        Reply::data(json!({
            "bound_issuer": config.bound_issuer,
            "default_role": config.default_role,
            "jwks_ca_pem": config.jwks_ca_pem,
            "jwks_pairs": config.jwks_pairs,
            "jwks_url": config.jwks_url,
            "jwt_supported_algs": config.jwt_supported_algs,
            "jwt_validation_pubkeys": config.jwt_validation_pubkeys,
            "namespace_in_state": config.namespace_in_state,
            "oidc_client_id": config.oidc_client_id,
            "oidc_discovery_ca_pem": config.oidc_discovery_ca_pem,
            "oidc_discovery_url": config.oidc_discovery_url,
            "oidc_response_mode": config.oidc_response_mode,
            "oidc_response_types": config.oidc_response_types,
            "override_allowed_server_names": no_names,
            "provider_config": {},
            "status": status,
        }))
    }
}
