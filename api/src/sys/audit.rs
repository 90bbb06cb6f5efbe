//! `sys/audit`, `sys/audit-hash`, `sys/config/auditing`: audit devices and what they log.

use serde_json::{Map, Value, json};
use signet_storage::Batch;

use crate::audit::{DeviceRecord, HeaderSetting};
use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::ApiError;
use crate::params::{NoParams, Pairs, SecretText, params};
use crate::reply::Reply;
use crate::sys::Sys;

pub(super) struct ListDevices;

impl Endpoint for ListDevices {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Read, "audit")];
    const HELP: &'static str = "List the currently enabled audit backends.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        let devices = cx.core()?.audit.devices().into_iter();
        let shown = devices.map(|(path, device)| {
            let path = format!("{path}/");
            let entry = json!({
                "description": device.description,
                "local": device.local,
                "options": device.options,
                "path": path,
                "type": device.kind,
            });
            (path, entry)
        });
        Reply::flattened(shown.collect::<Map<String, Value>>())
    }
}

pub(super) struct Enable;

params! {
    pub(super) struct EnableParams {
        /// The name of the backend. Cannot be delimited. Example: "mysql"
        path: String,
        /// The type of the backend. Example: "file"
        r#type: String,
        /// User-friendly description for this audit backend.
        description: String,
        /// Configuration options for the audit backend.
        options: Pairs,
        /// Mark the mount as a local mount, which is not replicated and is unaffected by replication.
        local: bool,
    }
}

impl Endpoint for Enable {
    type Engine = Sys;
    type Params = EnableParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Write, "audit/{path:path}")];
    const HELP: &'static str = "Enable a new audit backend at the supplied path.";

    async fn handle(cx: Cx<'_, Sys>, params: EnableParams) -> Result<Reply, ApiError> {
        let EnableParams {
            path,
            r#type,
            description,
            options,
            local,
        } = params;
        let rng = cx.node.rng();
        let record = DeviceRecord::new(r#type, description, local, options.0, rng)?;
        let audit = &cx.core()?.audit;
        let mut batch = Batch::default();
        let device = audit
            .prepare(&mut batch, &path, record, &cx.call.id, cx.now)
            .await?;
        cx.commit(batch).await?;
        audit.add(device);
        Ok(Reply::nothing())
    }
}

params! {
    pub(super) struct PathParams {
        /// The name of the backend. Cannot be delimited. Example: "mysql"
        path: String,
    }
}

pub(super) struct Disable;

impl Endpoint for Disable {
    type Engine = Sys;
    type Params = PathParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Delete, "audit/{path:path}")];
    const HELP: &'static str = "Disable the audit backend at the given path.";

    async fn handle(cx: Cx<'_, Sys>, params: PathParams) -> Result<Reply, ApiError> {
        let path = params.path.trim_end_matches('/');
        let audit = &cx.core()?.audit;
        let mut batch = Batch::default();
        audit.prepare_removal(&mut batch, path);
        cx.commit(batch).await?;
        audit.remove(path);
        Ok(Reply::nothing())
    }
}

pub(super) struct Hash;

params! {
    pub(super) struct HashParams {
        /// The name of the backend. Cannot be delimited. Example: "mysql"
        path: String,
        /// The text to hash as the backend hashes it.
        input: SecretText,
    }
}

impl Endpoint for Hash {
    type Engine = Sys;
    type Params = HashParams;

    const ROUTES: &'static [Route] = &[Route::token(Op::Write, "audit-hash/{path:path}")];
    const HELP: &'static str = "The hash of the given string via the given audit backend.";

    async fn handle(cx: Cx<'_, Sys>, params: HashParams) -> Result<Reply, ApiError> {
        if params.input.0.is_empty() {
            return Err(ApiError::bad_request("the \"input\" parameter is empty"));
        }
        let hash = cx.core()?.audit.hash(&params.path, &params.input.0);
        let hash = hash.ok_or_else(|| {
            let path = format!("{}/", params.path);
            ApiError::bad_request(format!("unknown audit backend {path:?}"))
        })?;
        Reply::flattened(json!({ "hash": hash }))
    }
}

pub(super) struct ListHeaders;

impl Endpoint for ListHeaders {
    type Engine = Sys;
    type Params = NoParams;

    const ROUTES: &'static [Route] = &[Route::sudo(Op::Read, "config/auditing/request-headers")];
    const HELP: &'static str = "Lists the headers configured to be audited.";

    async fn handle(cx: Cx<'_, Sys>, _params: NoParams) -> Result<Reply, ApiError> {
        Reply::flattened(json!({ "headers": cx.core()?.audit.headers() }))
    }
}

params! {
    pub(super) struct HeaderParams {
        /// The name of the header.
        header: String,
        /// Log its value hashed.
        hmac: bool,
    }
}

pub(super) struct ReadHeader;

impl Endpoint for ReadHeader {
    type Engine = Sys;
    type Params = HeaderParams;

    const ROUTES: &'static [Route] = &[Route::sudo(
        Op::Read,
        "config/auditing/request-headers/{header:any}",
    )];
    const HELP: &'static str = "List the information for the given request header.";

    async fn handle(cx: Cx<'_, Sys>, params: HeaderParams) -> Result<Reply, ApiError> {
        let headers = cx.core()?.audit.headers();
        let setting = headers
            .get(&params.header.to_lowercase())
            .ok_or_else(|| ApiError::bad_request("Could not find header in config"))?;
        Reply::flattened(Map::from_iter([(params.header, json!(setting))]))
    }
}

pub(super) struct WriteHeader;

impl Endpoint for WriteHeader {
    type Engine = Sys;
    type Params = HeaderParams;

    const ROUTES: &'static [Route] = &[Route::sudo(
        Op::Write,
        "config/auditing/request-headers/{header:any}",
    )];
    const HELP: &'static str = "Enable auditing of a header.";

    async fn handle(cx: Cx<'_, Sys>, params: HeaderParams) -> Result<Reply, ApiError> {
        let setting = HeaderSetting { hmac: params.hmac };
        set_header(cx, &params.header, Some(setting)).await
    }
}

pub(super) struct DeleteHeader;

impl Endpoint for DeleteHeader {
    type Engine = Sys;
    type Params = HeaderParams;

    const ROUTES: &'static [Route] = &[Route::sudo(
        Op::Delete,
        "config/auditing/request-headers/{header:any}",
    )];
    const HELP: &'static str = "Disable auditing of the given request header.";

    async fn handle(cx: Cx<'_, Sys>, params: HeaderParams) -> Result<Reply, ApiError> {
        set_header(cx, &params.header, None).await
    }
}

async fn set_header(
    cx: Cx<'_, Sys>,
    name: &str,
    setting: Option<HeaderSetting>,
) -> Result<Reply, ApiError> {
    let audit = &cx.core()?.audit;
    let mut batch = Batch::default();
    audit.set_header(&mut batch, name, setting).await?;
    cx.commit(batch).await?;
    audit.reload_headers().await?;
    Ok(Reply::nothing())
}
