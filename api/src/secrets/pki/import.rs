//! `issuers/import/`, `intermediate/set-signed` and `config/ca`: certificates and keys from
//! elsewhere.

use serde_json::json;
use signet_pki::bundle::{Bundle, Keys};
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{SecretText, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::aia::NO_URLS;
use crate::secrets::pki::authorities::{Draft, Placed};

pub(super) struct Import;

params! {
    pub(super) struct ImportParams {
        /// Certificates, and keys where the path allows them, as PEM.
        pem_bundle: SecretText,
        /// Certificates as PEM.
        certificate: SecretText,
    }
}

impl Endpoint for Import {
    type Engine = Pki;
    type Params = ImportParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "intermediate/set-signed"),
        Route::token(Op::Write, "issuers/import/cert"),
        Route::token(Op::Write, "issuers/import/bundle"),
        Route::token(Op::Write, "config/ca"),
    ];
    const HELP: &'static str = "Import the specified issuing certificates.";

    async fn handle(cx: Cx<'_, Pki>, params: ImportParams) -> Result<Reply, ApiError> {
        let text = if params.pem_bundle.0.is_empty() {
            params.certificate.0
        } else {
            params.pem_bundle.0
        };
        if text.is_empty() {
            return Err(ApiError::bad_request(
                "'pem_bundle' and 'certificate' parameters were empty",
            ));
        }
        let keys_allowed = match cx.relative_path() {
            "config/ca" | "issuers/import/bundle" => Keys::Allow,
            _ => Keys::Refuse,
        };
        let bundle = Bundle::parse(&text, keys_allowed)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let state = cx.engine.state.state().await?;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let mut keys = Vec::new();
        for key in &bundle.keys {
            keys.push(draft.add_key(key, "")?);
        }
        let mut issuers = Vec::new();
        for certificate in &bundle.certificates {
            issuers.push(draft.add_issuer(certificate, "", "")?);
        }
        let choice_warning = draft.choose_default(&issuers);
        let keyless_warning = keyless_default(&draft, &issuers);
        let mapping = draft.mapping(&issuers);
        let mut batch = Batch::default();
        draft.write(&mut batch)?;
        cx.commit(batch).await?;

        let crl_warnings = if issuers.iter().all(|issuer| issuer.existed) {
            Vec::new()
        } else {
            let state = cx.engine.state.state().await?;
            cx.engine.crls.warnings(&state)
        };
        let data = json!({
            "imported_issuers": ids(&issuers, false),
            "imported_keys": ids(&keys, false),
            "existing_issuers": ids(&issuers, true),
            "existing_keys": ids(&keys, true),
            "mapping": mapping,
        });
        Ok(Reply::data(data)?
            .warn_all(keyless_warning)
            .warn_all(choice_warning)
            .warn_all((!state.urls.has_urls()).then(|| NO_URLS.to_owned()))
            .warn_all(crl_warnings))
    }
}

/// Warns if the default issuer is among `issuers` and has no key.
fn keyless_default(draft: &Draft<'_>, issuers: &[Placed]) -> Option<String> {
    let default = &draft.issuers_config.default;
    let is_here = issuers.iter().any(|issuer| issuer.id == *default);
    (is_here && draft.key_of(default).is_empty()).then(|| {
        "The default issuer has no key associated with it. Some operations like issuing \
         certificates and signing CRLs will be unavailable with the requested default issuer \
         until a key is imported or the default issuer is changed."
            .to_owned()
    })
}

/// `None` instead of an empty list.
fn ids(placed: &[Placed], existed: bool) -> Option<Vec<&str>> {
    let ids: Vec<&str> = placed
        .iter()
        .filter(|placed| placed.existed == existed)
        .map(|placed| placed.id.as_str())
        .collect();
    (!ids.is_empty()).then_some(ids)
}
