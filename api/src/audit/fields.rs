//! The fields of an entry. Their order is part of the format.

use std::collections::BTreeMap;

use serde::Serialize;

use super::redaction::Data;

#[derive(Serialize)]
pub(super) struct Entry<'a> {
    pub(super) time: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) auth: AuthPart<'a>,
    pub(super) request: RequestPart<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<ResponsePart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[derive(Default, Serialize)]
pub(super) struct AuthPart<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) client_token: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) accessor: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) display_name: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) policies: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) token_policies: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) identity_policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_results: Option<PolicyResults<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) remaining_uses: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) entity_id: &'a str,
    pub(super) token_type: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) token_ttl: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_issue_time: Option<String>,
}

#[derive(Serialize)]
pub(super) struct PolicyResults<'a> {
    pub(super) allowed: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) granting_policies: Vec<GrantingPolicy<'a>>,
}

#[derive(Serialize)]
pub(super) struct GrantingPolicy<'a> {
    pub(super) name: &'a str,
    pub(super) namespace_id: &'static str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

#[derive(Serialize)]
pub(super) struct Namespace {
    pub(super) id: &'static str,
}

#[derive(Serialize)]
pub(super) struct RequestPart<'a> {
    pub(super) id: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) client_id: String,
    pub(super) operation: &'static str,
    #[serde(flatten)]
    pub(super) mount: Option<MountPart<'a>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) client_token: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) client_token_accessor: String,
    pub(super) namespace: Namespace,
    pub(super) path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Data<'a>>,
    pub(super) remote_address: String,
    pub(super) remote_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wrap_ttl: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<&'a str, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_certificate_serial_number: Option<String>,
}

#[derive(Serialize)]
pub(super) struct MountPart<'a> {
    #[serde(rename = "mount_point")]
    pub(super) point: &'a str,
    #[serde(rename = "mount_type")]
    pub(super) kind: &'static str,
    #[serde(rename = "mount_accessor")]
    pub(super) accessor: &'a str,
    /// In a request.
    #[serde(
        rename = "mount_running_version",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) version: Option<String>,
    /// In an answer.
    #[serde(
        rename = "mount_running_plugin_version",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) plugin_version: Option<String>,
    #[serde(rename = "mount_class")]
    pub(super) class: &'static str,
}

#[derive(Serialize)]
pub(super) struct ResponsePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth: Option<AuthPart<'a>>,
    #[serde(flatten)]
    pub(super) mount: Option<MountPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Secret<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wrap_info: Option<WrapPart<'a>>,
}

#[derive(Serialize)]
pub(super) struct Secret<'a> {
    pub(super) lease_id: &'a str,
}

#[derive(Serialize)]
pub(super) struct WrapPart<'a> {
    pub(super) ttl: u64,
    pub(super) token: String,
    pub(super) accessor: String,
    pub(super) creation_time: &'a str,
    pub(super) creation_path: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) wrapped_accessor: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
