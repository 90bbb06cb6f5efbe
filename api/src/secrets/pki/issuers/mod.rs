//! `issuers` and `issuer/`: the authorities of the mount.

pub(super) mod revoke;
pub(super) mod update;

use serde_json::{Map, Value, json};
use signet_pki::key::SignatureAlgorithm;
use signet_storage::Batch;

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{PageParams, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::authorities::Draft;
use crate::secrets::pki::ca;
use crate::secrets::pki::conditional::Condition;
use crate::secrets::pki::records::AiaConfig;
use crate::secrets::pki::state::{IssuerState, RoleRecord, State};

pub(super) struct List;

impl Endpoint for List {
    type Engine = Pki;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::List, "issuers")];
    const HELP: &'static str = "List the issuers.";

    async fn handle(cx: Cx<'_, Pki>, page: PageParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let (after, limit) = page.bounds();
        let issuers = state
            .issuers
            .iter()
            .filter(|issuer| after.is_none_or(|after| issuer.record.id.as_str() > after))
            .take(limit);
        let mut keys = Vec::new();
        let mut info = Map::new();
        for issuer in issuers {
            let record = &issuer.record;
            keys.push(record.id.as_str());
            let entry = json!({
                "issuer_name": record.name,
                "is_default": record.id == state.issuers_config.default,
                "serial_number": issuer.certificate.serial().to_colon_hex(),
                "key_id": record.key_id,
            });
            info.insert(record.id.clone(), entry);
        }
        if keys.is_empty() {
            return Err(ApiError::not_found());
        }
        Reply::data(json!({ "keys": keys, "key_info": info }))
    }
}

params! {
    pub(super) struct IssuerParams {
        /// Reference to the issuer: its id, its name or `default`.
        issuer_ref: String,
    }
}

pub(super) struct Read;

impl Endpoint for Read {
    type Engine = Pki;
    type Params = IssuerParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Read, "issuer/{issuer_ref}")];
    const HELP: &'static str = "Read an issuer.";

    async fn handle(cx: Cx<'_, Pki>, params: IssuerParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let issuer = find(&state, &params.issuer_ref)?;
        Ok(Reply::data(view(issuer))?.warn_all(pss_warning(issuer)))
    }
}

/// The certificate in JSON, for everybody.
pub(super) struct FetchJson;

impl Endpoint for FetchJson {
    type Engine = Pki;
    type Params = IssuerParams;

    const ROUTES: &'static [Route] =
        &[Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/json")];
    const HELP: &'static str = "Fetch an issuer's certificate and chain.";

    async fn handle(cx: Cx<'_, Pki>, params: IssuerParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let issuer = find(&state, &params.issuer_ref)?;
        condition(cx, &params.issuer_ref, issuer).reply(|| {
            Reply::data(json!({
                "issuer_id": issuer.record.id,
                "issuer_name": issuer.record.name,
                "certificate": issuer.link.pem,
                "ca_chain": chain(issuer),
            }))
        })
    }
}

/// The certificate alone, for everybody.
pub(super) struct Fetch;

impl Endpoint for Fetch {
    type Engine = Pki;
    type Params = IssuerParams;

    const ROUTES: &'static [Route] = &[
        Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/der"),
        Route::unauthenticated(Op::Read, "issuer/{issuer_ref}/pem"),
    ];
    const HELP: &'static str = "Fetch an issuer's certificate.";

    async fn handle(cx: Cx<'_, Pki>, params: IssuerParams) -> Result<Reply, ApiError> {
        let is_pem = cx.relative_path().ends_with("/pem");
        let state = cx.engine.state.state().await?;
        let issuer = find(&state, &params.issuer_ref)?;
        condition(cx, &params.issuer_ref, issuer).reply(|| {
            Ok(if is_pem {
                Reply::raw(ca::PEM, issuer.link.pem.clone())
            } else {
                Reply::raw(ca::DER, issuer.link.der.clone())
            })
        })
    }
}

pub(super) struct Delete;

impl Endpoint for Delete {
    type Engine = Pki;
    type Params = IssuerParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Delete, "issuer/{issuer_ref}")];
    const HELP: &'static str = "Delete an issuer; its key and its certificates stay.";

    async fn handle(cx: Cx<'_, Pki>, params: IssuerParams) -> Result<Reply, ApiError> {
        let state = cx.engine.state.state().await?;
        let Ok(issuer) = state.issuer(&params.issuer_ref) else {
            return Ok(Reply::empty_data());
        };
        let record = &issuer.record;
        let mut draft = Draft::new(cx.engine, &state, cx.now);
        let mut batch = Batch::default();
        draft.remove_issuers(std::slice::from_ref(&record.id), &mut batch);
        draft.write(&mut batch)?;
        cx.commit(batch).await?;
        let mut reply = Reply::empty_data()
            .warn_all(reference_warning(cx, &record.name).await?)
            .warn_all(reference_warning(cx, &record.id).await?);
        if record.id == state.issuers_config.default {
            let text = format!(
                "Deleted issuer {} (via issuer_ref {}); this was configured as the default \
                 issuer. Operations without an explicit issuer will not work until a new default \
                 is configured.",
                record.id, params.issuer_ref
            );
            reply = reply
                .warn(text)
                .warn_all(reference_warning(cx, DEFAULT).await?);
        }
        Ok(reply)
    }
}

/// The issuer that a client names; the answer to an unknown one is a 500 that clients know.
fn find<'s>(
    state: &'s State,
    reference: &str,
) -> Result<&'s std::sync::Arc<IssuerState>, ApiError> {
    state
        .issuer(reference)
        .map_err(|error| ApiError::listed(ErrorKind::Internal, error.to_string()))
}

/// All that callers with a token see of an issuer.
fn view(issuer: &IssuerState) -> Map<String, Value> {
    let record = &issuer.record;
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| data.insert(name.to_owned(), value);
    put("issuer_id", json!(record.id));
    put("issuer_name", json!(record.name));
    put("key_id", json!(record.key_id));
    put("certificate", json!(issuer.link.pem));
    let manual_chain = (!record.manual_chain.is_empty()).then_some(&record.manual_chain);
    put("manual_chain", json!(manual_chain));
    put("ca_chain", json!(chain(issuer)));
    let behavior = update::behavior_name(record.leaf_not_after);
    put("leaf_not_after_behavior", json!(behavior));
    put("usage", json!(record.usage.names()));
    put(
        "revocation_signature_algorithm",
        json!(record.revocation_signature_algorithm),
    );
    put("revoked", json!(record.revoked_at.is_some()));
    if let Some(revoked_at) = record.revoked_at {
        put("revocation_time", json!(revoked_at.secs()));
        put("revocation_time_rfc3339", json!(revoked_at.rfc3339()));
    }
    let none = AiaConfig::default();
    let urls = record.aia.as_ref().unwrap_or(&none);
    for (name, list) in urls.lists() {
        // An issuer with URLs of its own shows that it has none of a kind with a null.
        let is_unset = record.aia.is_some() && list.is_empty();
        put(name, if is_unset { Value::Null } else { json!(list) });
    }
    if record.aia.is_some() {
        put("enable_aia_url_templating", json!(urls.enable_templating));
    }
    data
}

fn chain(issuer: &IssuerState) -> Vec<&str> {
    issuer.chain.iter().map(|link| link.pem.as_str()).collect()
}

fn condition(cx: Cx<'_, Pki>, reference: &str, issuer: &IssuerState) -> Condition {
    let resource = format!("issuer/{}", reference.to_ascii_lowercase());
    let record = &issuer.record;
    let content = (&record.id, &record.name, &record.certificate, chain(issuer));
    Condition::check(cx, &resource, &content)
}

fn pss_warning(issuer: &IssuerState) -> Option<String> {
    let name = &issuer.record.revocation_signature_algorithm;
    let is_pss = matches!(
        SignatureAlgorithm::from_name(name),
        Some(SignatureAlgorithm::RsaPss(_))
    );
    is_pss.then(|| {
        "Issuer uses a PSS Revocation Signature Algorithm. This algorithm will be downgraded to \
         PKCS#1v1.5 signature scheme on OCSP responses, due to limitations in the OCSP library."
            .to_owned()
    })
}

/// Warns of roles that name an issuer by `reference`, which is about to mean nothing.
async fn reference_warning(cx: Cx<'_, Pki>, reference: &str) -> Result<Option<String>, ApiError> {
    if reference.is_empty() {
        return Ok(None);
    }
    let view = &cx.engine.env.view;
    let mut count = 0_usize;
    let mut after: Option<String> = None;
    loop {
        let page = view
            .scan_records::<RoleRecord>("role/", after.as_deref(), ROLES_PER_PAGE)
            .await?;
        let names = |stored: &&RoleRecord| stored.0.issuer_ref == reference;
        count += page
            .iter()
            .map(|(_, stored)| &stored.value)
            .filter(names)
            .count();
        if page.len() < ROLES_PER_PAGE {
            break;
        }
        after = page.into_iter().next_back().map(|(name, _)| name);
    }
    Ok((count > 0).then(|| format!("{count} roles reference {reference}")))
}

/// How roles name whichever issuer is the default one.
const DEFAULT: &str = "default";
const ROLES_PER_PAGE: usize = 500;
