//! The mount of this server whose roots are published and which issues.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use signet_api::acl::{Acl, Policy};
use signet_api::call::{Call, Op, Peer};
use signet_api::error::ApiError;
use signet_api::node::Node;
use signet_api::random::uuid;
use signet_api::secrets::pki::root_bundle;
use signet_api::time::Timestamp;
use time::OffsetDateTime;

/// A PKI mount of this process; asked directly, not over HTTP.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    node: Arc<Node>,
    mount: String,
}

/// Why the mount does not help.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    #[error("{0}")]
    Api(String),
    #[error("{path} was refused with status {status}: {errors}")]
    Refused {
        path: String,
        status: u16,
        errors: String,
    },
    #[error("the server is sealed")]
    Sealed,
}

impl From<ApiError> for AuthorityError {
    fn from(error: ApiError) -> Self {
        Self::Api(error.text(false))
    }
}

impl Authority {
    pub(super) fn new(node: Arc<Node>, mount: String) -> Self {
        Self { node, mount }
    }

    pub(super) fn is_unsealed(&self) -> bool {
        self.node.core().is_some()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.node.now()
    }

    /// A name that no other process has.
    pub(super) fn unique_name(&self) -> Result<String, AuthorityError> {
        Ok(uuid(self.node.rng())?)
    }

    /// See [`root_bundle`].
    pub(super) async fn roots(&self) -> Result<String, AuthorityError> {
        let core = self.node.core().ok_or(AuthorityError::Sealed)?;
        Ok(root_bundle(&core, &self.mount).await?)
    }

    /// Has `role` issue a certificate; the data of the answer, with the key in them. The request is in the audit log and
    /// the certificate in the mount, as if somebody had asked for it.
    pub(super) async fn issue(
        &self,
        role: &str,
        fields: Map<String, Value>,
    ) -> Result<Map<String, Value>, AuthorityError> {
        let path = format!("{}/issue/{role}", self.mount);
        let acl = acl_for(&path)?;
        let call = Call {
            id: uuid(self.node.rng())?,
            op: Op::Write,
            path: path.clone(),
            data: fields,
            raw_body: bytes::Bytes::new(),
            token: None,
            wrap: None,
            peer: Peer {
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                certificates: Arc::new([]),
            },
            headers: Vec::new(),
        };
        let response = self.node.handle_own(call, acl).await;
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match (response.status, body) {
            (200, Value::Object(mut body)) => match body.remove("data") {
                Some(Value::Object(data)) => Ok(data),
                _ => Err(AuthorityError::Api(format!("{path}: no data"))),
            },
            (503, _) if !self.is_unsealed() => Err(AuthorityError::Sealed),
            (status, body) => Err(AuthorityError::Refused {
                path,
                status,
                errors: body
                    .get("errors")
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            }),
        }
    }
}

/// May write this one path.
fn acl_for(path: &str) -> Result<Arc<Acl>, AuthorityError> {
    let wrong = |error: &dyn std::fmt::Display| AuthorityError::Api(error.to_string());
    let rules = json!({"path": {path: {"capabilities": ["update"]}}});
    let policy = Policy::parse("kubernetes", &rules.to_string()).map_err(|error| wrong(&error))?;
    let acl = Acl::new(&[policy], &|_template| None, OffsetDateTime::UNIX_EPOCH)
        .map_err(|error| wrong(&error))?;
    Ok(Arc::new(acl))
}
