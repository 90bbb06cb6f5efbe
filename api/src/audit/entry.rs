//! The entries, one JSON object per line.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::call::Op;
use crate::error::{ApiError, ErrorKind};
use crate::mount::MountConfig;
use crate::permit::Permit;
use crate::reply::{Auth, Envelope, WrapInfo};
use crate::request::Request;
use crate::time::Timestamp;
use crate::token::Token;

use super::Event;
use super::client_certificate::serial_number;
use super::device::Device;
use super::fields::{
    AuthPart, Entry, GrantingPolicy, MountPart, Namespace, PolicyResults, RequestPart,
    ResponsePart, Secret, WrapPart,
};
use super::headers::Headers;
use super::redaction::{Data, Redaction};

/// The entry written before a request is handled, or with its refusal.
pub(super) fn request(
    device: &Device,
    headers: &Headers,
    event: &Event<'_>,
) -> Result<Vec<u8>, ApiError> {
    let config = event.request.mount.settings.config();
    let parts = Parts::new(device, headers, event, &config);
    line(&Entry {
        time: event.request.node.now().rfc3339(),
        kind: "request",
        auth: parts.caller(),
        request: parts.request(),
        response: None,
        error: event
            .error
            .and_then(|error| shown_error(error, event.request.token.is_some())),
    })
}

/// The entry written when a request was handled, before it is answered.
pub(super) fn response(
    device: &Device,
    headers: &Headers,
    event: &Event<'_>,
    answer: Option<&Envelope>,
) -> Result<Vec<u8>, ApiError> {
    let config = event.request.mount.settings.config();
    let parts = Parts::new(device, headers, event, &config);
    let granted = answer.and_then(|answer| answer.auth.as_ref());
    let is_listed = event.permit.is_none() || event.request.token.is_some();
    let failure = event.error.and_then(|error| parts.failure(error));
    line(&Entry {
        time: event.request.node.now().rfc3339(),
        kind: "response",
        auth: match granted {
            Some(granted) => parts.granted(granted),
            None => parts.caller(),
        },
        request: parts.request(),
        response: Some(parts.response(answer, failure.as_ref())),
        error: event.error.and_then(|error| shown_error(error, is_listed)),
    })
}

/// The first entry of a device: proof that it can be written.
pub(super) fn test(id: &str, now: Timestamp) -> Result<Vec<u8>, ApiError> {
    line(&json!({
        "time": now.rfc3339(),
        "type": "request",
        "auth": {"token_type": "default"},
        "request": {
            "id": id,
            "operation": "update",
            "namespace": {"id": "root"},
            "path": "sys/audit/test",
        },
    }))
}

fn line(entry: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    let bytes = crate::json::to_bytes(entry).map_err(ApiError::internal)?;
    Ok(bytes.into())
}

const NO_TOKEN: &str = "default";

/// What the parts of an entry are made from.
struct Parts<'a> {
    redaction: &'a Redaction,
    headers: &'a Headers,
    event: &'a Event<'a>,
    config: &'a MountConfig,
}

impl<'a> Parts<'a> {
    fn new(
        device: &'a Device,
        headers: &'a Headers,
        event: &'a Event<'a>,
        config: &'a MountConfig,
    ) -> Self {
        Self {
            redaction: &device.redaction,
            headers,
            event,
            config,
        }
    }

    fn caller(&self) -> AuthPart<'a> {
        let request = self.event.request;
        let Some(token) = &request.token else {
            return AuthPart {
                policy_results: self.event.permit.map(|_| self.policy_results()),
                token_type: NO_TOKEN,
                ..AuthPart::default()
            };
        };
        AuthPart {
            client_token: self.sent_token(),
            accessor: self.redaction.accessor(&token.accessor),
            display_name: &token.display_name,
            policies: &token.policies,
            token_policies: &token.policies,
            identity_policies: &[],
            policy_results: Some(self.policy_results()),
            metadata: Some(&token.metadata).filter(|metadata| !metadata.is_empty()),
            remaining_uses: remaining_uses(token),
            entity_id: &token.entity_id,
            token_type: token.kind.name(),
            token_ttl: token.creation_ttl_secs,
            token_issue_time: Some(Timestamp::from_secs(token.created_at.secs()).rfc3339()),
        }
    }

    fn granted(&self, auth: &'a Auth) -> AuthPart<'a> {
        AuthPart {
            client_token: self.redaction.secret(&auth.client_token),
            accessor: self.redaction.accessor(&auth.accessor),
            display_name: &auth.display_name,
            policies: &auth.policies,
            token_policies: &auth.token_policies,
            identity_policies: &auth.identity_policies,
            policy_results: None,
            metadata: auth.metadata.as_ref(),
            remaining_uses: auth.num_uses,
            entity_id: &auth.entity_id,
            token_type: auth.token_type,
            token_ttl: auth.lease_duration,
            token_issue_time: None,
        }
    }

    fn policy_results(&self) -> PolicyResults<'a> {
        let names = self.event.permit.map_or(&[][..], Permit::granting_policies);
        PolicyResults {
            allowed: self.event.permit.is_some(),
            granting_policies: names
                .iter()
                .map(|name| GrantingPolicy {
                    name,
                    namespace_id: "root",
                    kind: "acl",
                })
                .collect(),
        }
    }

    fn sent_token(&self) -> String {
        let sent = self.event.request.call.token.as_ref();
        sent.map(|token| self.redaction.secret(token))
            .unwrap_or_default()
    }

    fn request(&self) -> RequestPart<'a> {
        let request = self.event.request;
        let call = &request.call;
        let token = request.token.as_ref();
        RequestPart {
            id: &call.id,
            client_id: token.map(|token| client_id(token)).unwrap_or_default(),
            operation: self.operation(),
            mount: self.mount().map(|mount| MountPart {
                version: Some(running_version(request)),
                ..mount
            }),
            client_token: self.sent_token(),
            client_token_accessor: token
                .map(|token| self.redaction.accessor(&token.accessor))
                .unwrap_or_default(),
            namespace: Namespace { id: "root" },
            path: &call.path,
            data: (!call.data.is_empty())
                .then(|| self.data(&call.data, &self.config.audit_non_hmac_request_keys)),
            remote_address: call.peer.address.ip().to_canonical().to_string(),
            remote_port: call.peer.address.port(),
            wrap_ttl: call.wrap.map(|wrap| wrap.ttl_secs),
            headers: self.headers.of(call, self.redaction),
            client_certificate_serial_number: call
                .peer
                .certificates
                .first()
                .and_then(|certificate| serial_number(certificate)),
        }
    }

    /// Nothing for a path where nothing is mounted: such a request carries a stand-in.
    fn mount(&self) -> Option<MountPart<'a>> {
        let Request { call, mount, .. } = self.event.request;
        let is_mounted =
            call.path.starts_with(&mount.path) || mount.path.strip_suffix('/') == Some(&call.path);
        is_mounted.then(|| MountPart {
            point: &mount.path,
            kind: mount.kind(),
            accessor: &mount.record.accessor,
            version: None,
            plugin_version: None,
            class: if mount.is_auth() { "auth" } else { "secret" },
        })
    }

    fn operation(&self) -> &'static str {
        match self.event.request.call.op {
            Op::Delete => "delete",
            Op::Help => "help",
            Op::List => "list",
            Op::Patch => "patch",
            Op::Read => "read",
            Op::Write if self.event.permit.is_some_and(Permit::creates) => "create",
            Op::Write => "update",
        }
    }

    fn response(
        &self,
        answer: Option<&'a Envelope>,
        failure: Option<&'a Map<String, Value>>,
    ) -> ResponsePart<'a> {
        let request = self.event.request;
        let lease_id = answer.map_or("", |answer| answer.lease.id.as_str());
        let data = answer.and_then(|answer| answer.data.as_ref()).or(failure);
        ResponsePart {
            auth: answer
                .and_then(|answer| answer.auth.as_ref())
                .map(|auth| self.granted(auth)),
            mount: self.mount().map(|mount| MountPart {
                plugin_version: Some(running_version(request)),
                ..mount
            }),
            secret: (!lease_id.is_empty()).then_some(Secret { lease_id }),
            data: data.map(|data| Data {
                elided: self.redaction.elides_lists && request.call.op == Op::List,
                ..self.data(data, &self.config.audit_non_hmac_response_keys)
            }),
            // They repeat what was sent.
            warnings: answer
                .into_iter()
                .flat_map(|answer| &answer.warnings)
                .map(|warning| self.redaction.secret(warning))
                .collect(),
            wrap_info: answer
                .and_then(|answer| answer.wrap_info.as_ref())
                .map(|wrap| self.wrap(wrap)),
        }
    }

    fn wrap(&self, wrap: &'a WrapInfo) -> WrapPart<'a> {
        WrapPart {
            ttl: wrap.ttl,
            token: self.redaction.secret(&wrap.token),
            accessor: self.redaction.accessor(&wrap.accessor),
            creation_time: &wrap.creation_time,
            creation_path: &wrap.creation_path,
            wrapped_accessor: self.redaction.accessor(&wrap.wrapped_accessor),
        }
    }

    fn data(&self, map: &'a Map<String, Value>, plain_keys: &'a [String]) -> Data<'a> {
        Data {
            map,
            redaction: self.redaction,
            plain_keys,
            elided: false,
        }
    }

    /// The text that the client gets, hashed like all data: it may quote what was sent.
    fn failure(&self, error: &ApiError) -> Option<Map<String, Value>> {
        let text = error.text(self.event.request.token.is_some());
        (!text.is_empty()).then(|| Map::from_iter([("error".to_owned(), text.into())]))
    }
}

/// What kind of error it was, in words that quote nothing of the request.
fn shown_error(error: &ApiError, is_listed: bool) -> Option<String> {
    let text = match error.kind() {
        ErrorKind::NotFound if error.text(false).is_empty() => return None,
        ErrorKind::BadRequest | ErrorKind::NotFound => "invalid request",
        ErrorKind::Conflict | ErrorKind::Internal => "internal error",
        ErrorKind::Forbidden => "permission denied",
        ErrorKind::Overloaded => "server is overloaded",
        ErrorKind::RateLimited => "rate limit quota exceeded",
        ErrorKind::Sealed => "Vault is sealed",
        ErrorKind::UnsupportedMediaType => "unsupported media type",
        ErrorKind::UnsupportedOperation => "unsupported operation",
        ErrorKind::UnsupportedPath => "unsupported path",
    };
    Some(if is_listed {
        format!("1 error occurred:\n\t* {text}\n\n")
    } else {
        text.to_owned()
    })
}

fn running_version(request: &Request) -> String {
    format!("v{}+builtin.vault", request.node.settings.version)
}

/// Uses left after this one; 0 for a token that is not counted.
fn remaining_uses(token: &Token) -> u64 {
    u64::try_from(token.num_uses).unwrap_or(0)
}

/// Who the caller is, across tokens: the entity, or else the set of policies.
fn client_id(token: &Token) -> String {
    use base64::Engine as _;
    if !token.entity_id.is_empty() {
        return token.entity_id.clone();
    }
    let identity = format!("{}\u{1f}root", token.policies.join("\u{7f}"));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, identity.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(digest)
}
