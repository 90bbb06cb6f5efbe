//! Every call, and each certificate of the listener itself, leaves the same two entries in the audit log as a
//! request of the HTTP API.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::authenticate::Caller;
use super::error::MeshError;
use super::{CertificateCall, Context, IssuedWorkload, Mesh, Mount, Request, ServingSettings};
use crate::audit::Event;
use crate::call::{Call, Op, Peer};
use crate::permit::Permit;
use crate::random::uuid;
use crate::reply::Envelope;
use crate::secrets::pki::workload::ServingPair;

/// The call as the log is to show it: the token is its token, and its path is below the mount.
pub(super) fn request(
    mesh: &Mesh,
    context: &Context,
    mount: Option<&Arc<Mount>>,
    call: &CertificateCall,
) -> Result<Request, MeshError> {
    let settings = &context.settings;
    let mut data = Map::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            data.insert(name.into(), value.into());
        }
    };
    if context.core.audit.is_enabled() {
        put("csr", &call.csr);
    }
    put("cluster_id", &call.cluster_id);
    put(
        "impersonated_identity",
        call.impersonated.as_deref().unwrap_or_default(),
    );
    data.insert("validity_duration".into(), call.validity_secs.into());
    let path = format!("{}{PATH}{}", settings.mount, settings.role);
    let (token, peer) = (call.bearer.clone(), call.peer.clone());
    logged(mesh, context, mount, (path, data), token, peer)
}

/// The issuance of the listener's own certificate, which nobody asks for.
pub(super) fn serving_request(
    mesh: &Mesh,
    context: &Context,
    mount: Option<&Arc<Mount>>,
) -> Result<Request, MeshError> {
    let settings = &context.settings;
    let ServingSettings { names, ttl_secs } = &settings.serving;
    let data = Map::from_iter([
        ("names".to_owned(), names.clone().into()),
        ("ttl".to_owned(), (*ttl_secs).into()),
    ]);
    let path = format!("{}{SERVING_PATH}", settings.mount);
    let this_process = Peer {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        certificates: Arc::new([]),
    };
    logged(mesh, context, mount, (path, data), None, this_process)
}

fn logged(
    mesh: &Mesh,
    context: &Context,
    mount: Option<&Arc<Mount>>,
    (path, data): (String, Map<String, Value>),
    token: Option<Zeroizing<String>>,
    peer: Peer,
) -> Result<Request, MeshError> {
    let call = Call {
        id: uuid(mesh.node.rng())?,
        op: Op::Write,
        path,
        data,
        raw_body: Bytes::new(),
        token,
        wrap: None,
        peer,
        headers: Vec::new(),
    };
    Ok(Request {
        node: mesh.node.clone(),
        core: Some(context.core.clone()),
        call: Arc::new(call),
        mount: mount.cloned().unwrap_or_else(crate::sys::sealed_mount),
        now: context.now,
        token: None,
        acl: None,
        token_use: parking_lot::Mutex::default(),
    })
}

/// Who it turned out to be, beside what was sent.
pub(super) fn with_caller(context: &Context, request: Request, caller: &Caller) -> Request {
    if !context.core.audit.is_enabled() {
        return request;
    }
    let mut data = request.call.data.clone();
    data.insert("identity".into(), caller.identity.to_string().into());
    data.insert("proof".into(), caller.proof.name().into());
    if let Some(asked_by) = &caller.asked_by {
        data.insert("asked_by".into(), asked_by.to_string().into());
    }
    if let Some(id) = &caller.token_id {
        data.insert("token_id".into(), id.as_str().into());
    }
    let call = &request.call;
    let call = Call {
        id: call.id.clone(),
        op: call.op,
        path: call.path.clone(),
        data,
        raw_body: Bytes::new(),
        token: call.token.clone(),
        wrap: None,
        peer: call.peer.clone(),
        headers: Vec::new(),
    };
    Request {
        call: Arc::new(call),
        ..request
    }
}

/// # Errors
/// When no device takes the entry; nothing may be issued then.
pub(super) async fn accepted(
    context: &Context,
    request: &Request,
    permit: &Permit,
) -> Result<(), MeshError> {
    let audit = &context.core.audit;
    if !audit.is_enabled() {
        return Ok(());
    }
    let event = Event {
        request,
        permit: Some(permit),
        error: None,
    };
    Ok(audit.request(&event).await?)
}

/// # Errors
/// When no device takes the entry; nothing may be answered then.
pub(super) async fn answered<T: Issued>(
    context: &Context,
    request: &Request,
    permit: &Permit,
    issued: Result<&T, &MeshError>,
) -> Result<(), MeshError> {
    let audit = &context.core.audit;
    if !audit.is_enabled() {
        return Ok(());
    }
    let error = issued.err().map(MeshError::to_api_error);
    let event = Event {
        request,
        permit: Some(permit),
        error: error.as_ref(),
    };
    let envelope = issued.ok().map(|issued| Envelope {
        data: Some(issued.answer_data()),
        ..Envelope::default()
    });
    Ok(audit.response(&event, envelope.as_ref()).await?)
}

pub(super) async fn refused(
    context: &Context,
    request: &Request,
    error: &MeshError,
) -> Result<(), MeshError> {
    let audit = &context.core.audit;
    if !audit.is_enabled() {
        return Ok(());
    }
    let error = error.to_api_error();
    let event = Event {
        request,
        permit: None,
        error: Some(&error),
    };
    audit.request(&event).await?;
    Ok(audit.response(&event, None).await?)
}

/// What the log says of a certificate that was issued.
pub(super) trait Issued {
    fn answer_data(&self) -> Map<String, Value>;
}

impl Issued for IssuedWorkload {
    fn answer_data(&self) -> Map<String, Value> {
        let certificate = self.chain.first().map_or("", |pem| pem.as_str());
        Map::from_iter([
            ("certificate".to_owned(), certificate.into()),
            ("expiration".to_owned(), self.validity.not_after.0.into()),
            ("key_sha256".to_owned(), self.key_sha256.as_str().into()),
            ("serial_number".to_owned(), self.serial.as_str().into()),
        ])
    }
}

impl Issued for ServingPair {
    fn answer_data(&self) -> Map<String, Value> {
        Map::from_iter([
            ("certificate".to_owned(), self.pem.as_str().into()),
            ("expiration".to_owned(), self.validity.not_after.0.into()),
            ("serial_number".to_owned(), self.serial.as_str().into()),
        ])
    }
}

/// Between mount and role; no endpoint of the HTTP API has it.
const PATH: &str = "istio-csr/";
/// Below the mount, for the listener's own certificate.
const SERVING_PATH: &str = "istio-csr-serving";
