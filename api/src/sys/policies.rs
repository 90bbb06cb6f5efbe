//! `sys/policies/acl` and the older `sys/policy`.

use serde_json::json;
use signet_storage::Batch;

use crate::acl::{Policy, decode_policy_text, normalize_policy_name};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{PageParams, params};
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct ListPolicies;

impl Endpoint for ListPolicies {
    type Engine = Sys;
    type Params = PageParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::List, "policies/acl")];
    const HELP: &'static str = "List the configured access control policies.";

    async fn handle(cx: Cx<'_, Sys>, page: PageParams) -> Result<Reply, ApiError> {
        let mut names = cx.core()?.policies.names().await?;
        names.retain(|name| *name > page.after);
        if let Ok(limit @ 1..) = usize::try_from(page.limit) {
            names.truncate(limit);
        }
        Reply::keys(names)
    }
}

pub(super) struct ListLegacyPolicies;

impl Endpoint for ListLegacyPolicies {
    type Engine = Sys;
    type Params = crate::params::NoParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::List, "policy"),
        Route::token(Op::Read, "policy"),
    ];
    const HELP: &'static str = "List the configured access control policies.";

    async fn handle(cx: Cx<'_, Sys>, _params: crate::params::NoParams) -> Result<Reply, ApiError> {
        let names = cx.core()?.policies.names().await?;
        Reply::flattened(json!({ "keys": names, "policies": names }))
    }
}

pub(super) struct ReadPolicy;

params! {
    pub(super) struct NameParams {
        /// The name of the policy. Example: "ops"
        name: String,
    }
}

impl Endpoint for ReadPolicy {
    type Engine = Sys;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Read, "policies/acl/{name:path}"),
        Route::token(Op::Read, "policy/{name:path}"),
    ];
    const HELP: &'static str = "Retrieve the policy body for the named policy.";

    async fn handle(cx: Cx<'_, Sys>, params: NameParams) -> Result<Reply, ApiError> {
        let name = checked_name(&params.name)?;
        let Some(text) = cx.core()?.policies.text(&name).await? else {
            return Ok(Reply::nothing());
        };
        if is_legacy(cx) {
            Reply::flattened(json!({ "name": name, "rules": text }))
        } else {
            Reply::data(json!({ "name": name, "policy": text }))
        }
    }
}

pub(super) struct WritePolicy;

params! {
    pub(super) struct WriteParams {
        /// The name of the policy. Example: "ops"
        name: String,
        /// The rules of the policy, in HCL or JSON, also base64-encoded.
        policy: String,
        /// Old name of "policy".
        rules: String,
    }
}

impl Endpoint for WritePolicy {
    type Engine = Sys;
    type Params = WriteParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Write, "policies/acl/{name:path}"),
        Route::token(Op::Write, "policy/{name:path}"),
    ];
    const HELP: &'static str = "Add a new or update an existing policy.";

    async fn handle(cx: Cx<'_, Sys>, params: WriteParams) -> Result<Reply, ApiError> {
        let name = checked_name(&params.name)?;
        let mut warnings = Vec::new();
        let text = if params.policy.is_empty() && !params.rules.is_empty() {
            warnings.push("'rules' is deprecated, please use 'policy' instead".to_owned());
            params.rules
        } else {
            params.policy
        };
        if text.is_empty() {
            return Err(ApiError::bad_request(
                "'policy' parameter not supplied or empty",
            ));
        }
        if matches!(name.as_str(), "response-wrapping" | "root") {
            return Err(ApiError::bad_request(format!(
                "cannot update {name:?} policy"
            )));
        }
        let policy = Policy::parse(&name, &text)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        warnings.extend(policy.warnings());
        let mut batch = Batch::default();
        let policies = &cx.core()?.policies;
        policies.stage(&mut batch, &name, &decode_policy_text(&text))?;
        cx.commit(batch).await?;
        Ok(Reply::nothing().warn_all(warnings))
    }
}

pub(super) struct DeletePolicy;

impl Endpoint for DeletePolicy {
    type Engine = Sys;
    type Params = NameParams;

    const ROUTES: &'static [Route] = &[
        Route::token(Op::Delete, "policies/acl/{name:path}"),
        Route::token(Op::Delete, "policy/{name:path}"),
    ];
    const HELP: &'static str = "Delete the policy with the given name.";

    async fn handle(cx: Cx<'_, Sys>, params: NameParams) -> Result<Reply, ApiError> {
        let name = checked_name(&params.name)?;
        match name.as_str() {
            "default" => return Err(ApiError::bad_request("cannot delete default policy")),
            "response-wrapping" | "root" => {
                return Err(ApiError::bad_request(format!(
                    "cannot delete {name:?} policy"
                )));
            }
            _ => {}
        }
        let mut batch = Batch::default();
        cx.core()?.policies.stage_deletion(&mut batch, &name);
        cx.commit(batch).await?;
        Ok(Reply::nothing())
    }
}

fn checked_name(name: &str) -> Result<String, ApiError> {
    normalize_policy_name(name.trim_end_matches('/'))
        .map_err(|error| ApiError::bad_request(error.to_string()))
}

fn is_legacy(cx: Cx<'_, Sys>) -> bool {
    cx.call.path.starts_with("sys/policy/")
}
