//! `config/cluster`: where clients reach this mount.

use serde_json::json;
use signet_storage::{Batch, Expect};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::aia::is_url;
use crate::secrets::pki::records::{CLUSTER_CONFIG, ClusterConfig};

pub(in crate::secrets::pki) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, CLUSTER_CONFIG)];
    const HELP: &'static str = "Read where clients reach this mount.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        reply(&cx.engine.state.state().await?.cluster)
    }
}

params! {
    pub(in crate::secrets::pki) struct ClusterParams {
        /// Base URL of this mount: `https://signet.example.com:8200/v1/pki`.
        path: Option<String>,
        /// Base URL for what is fetched without TLS: certificates, CRLs and OCSP.
        aia_path: Option<String>,
    }
}

pub(in crate::secrets::pki) struct Write;

impl Endpoint for Write {
    type Engine = Pki;
    type Params = ClusterParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, CLUSTER_CONFIG)];
    const HELP: &'static str = "Set where clients reach this mount; the rest stays.";

    async fn handle(cx: Cx<'_, Pki>, params: ClusterParams) -> Result<Reply, ApiError> {
        let view = &cx.engine.env.view;
        let stored = view.record::<ClusterConfig>(CLUSTER_CONFIG).await?;
        let expect = stored
            .as_ref()
            .map_or(Expect::Absent, |stored| Expect::Version(stored.version));
        let mut config = stored.map(|stored| stored.value).unwrap_or_default();
        if let Some(path) = params.path {
            if !is_url(&path) {
                let text = format!("invalid, non-URL path given to cluster: {path}");
                return Err(ApiError::bad_request(text));
            }
            config.path = path;
        }
        if let Some(path) = params.aia_path {
            if !is_url(&path) {
                let text = format!("invalid, non-URL aia_path given to cluster: {path}");
                return Err(ApiError::bad_request(text));
            }
            config.aia_path = path;
        }
        let mut batch = Batch::default();
        view.expect(&mut batch, CLUSTER_CONFIG, expect);
        view.put_record(&mut batch, CLUSTER_CONFIG, &config)?;
        cx.commit(batch).await?;
        reply(&config)
    }
}

fn reply(config: &ClusterConfig) -> Result<Reply, ApiError> {
    Reply::data(json!({ "path": config.path, "aia_path": config.aia_path }))
}
