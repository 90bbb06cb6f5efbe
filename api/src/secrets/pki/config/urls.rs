//! `config/urls`: where certificates say that more is to be found.

use serde_json::json;
use signet_storage::{Batch, Expect};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{CommaList, NoParams, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::aia::GivenUrls;
use crate::secrets::pki::records::{AiaConfig, URLS_CONFIG};

pub(in crate::secrets::pki) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, URLS_CONFIG)];
    const HELP: &'static str = "Read the URLs that certificates point to.";

    async fn handle(cx: Cx<'_, Pki>, _params: NoParams) -> Result<Reply, ApiError> {
        reply(&cx.engine.state.state().await?.urls)
    }
}

params! {
    pub(in crate::secrets::pki) struct UrlsParams {
        /// URLs of the issuer's certificate.
        issuing_certificates: Option<CommaList>,
        /// URLs of the CRL.
        crl_distribution_points: Option<CommaList>,
        /// URLs of the delta CRL.
        delta_crl_distribution_points: Option<CommaList>,
        /// URLs of the OCSP responder.
        ocsp_servers: Option<CommaList>,
        /// Fill in `{{issuer_id}}`, `{{cluster_path}}` and `{{cluster_aia_path}}`.
        enable_templating: Option<bool>,
    }
}

pub(in crate::secrets::pki) struct Write;

impl Endpoint for Write {
    type Engine = Pki;
    type Params = UrlsParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, URLS_CONFIG)];
    const HELP: &'static str = "Set the URLs that certificates point to; the rest stays.";

    async fn handle(cx: Cx<'_, Pki>, params: UrlsParams) -> Result<Reply, ApiError> {
        let view = &cx.engine.env.view;
        let stored = view.record::<AiaConfig>(URLS_CONFIG).await?;
        let expect = stored
            .as_ref()
            .map_or(Expect::Absent, |stored| Expect::Version(stored.version));
        let mut config = stored.map(|stored| stored.value).unwrap_or_default();
        config.change(GivenUrls {
            issuing_certificates: params.issuing_certificates,
            crl_distribution_points: params.crl_distribution_points,
            delta_crl_distribution_points: params.delta_crl_distribution_points,
            ocsp_servers: params.ocsp_servers,
        });
        if let Some(enable) = params.enable_templating {
            config.enable_templating = enable;
        }
        config.check()?;
        let mut batch = Batch::default();
        view.expect(&mut batch, URLS_CONFIG, expect);
        view.put_record(&mut batch, URLS_CONFIG, &config)?;
        cx.commit(batch).await?;
        let state = cx.engine.state.state().await?;
        // Tried with any issuer: what is missing is missing for all.
        let issuer = state.issuers.first();
        let warning = issuer.and_then(|it| config.warning(&it.record.id, &state.cluster));
        Ok(reply(&config)?.warn_all(warning))
    }
}

fn reply(config: &AiaConfig) -> Result<Reply, ApiError> {
    Reply::data(json!({
        "issuing_certificates": config.issuing_certificates,
        "crl_distribution_points": config.crl_distribution_points,
        "delta_crl_distribution_points": config.delta_crl_distribution_points,
        "ocsp_servers": config.ocsp_servers,
        "enable_templating": config.enable_templating,
    }))
}
