//! What OCSP responders say of a client's certificate.

use std::time::Duration;

use futures_util::future::join_all;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use signet_pki::cert::Certificate;
use signet_pki::ocsp::{Answer, CertId, CertStatus, OcspRequest};
use signet_pki::time::UnixTime;

use crate::error::ApiError;
use crate::outbound::{Outbound, Request, Trust};
use crate::time::Timestamp;

use super::describe::ocsp_servers;
use super::role::{certificates_of, list_or_null};

/// The `ocsp_…` fields of a role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OcspSettings {
    pub(super) enabled: bool,
    /// PEM of certificates that may sign responses besides the issuer and its delegates.
    pub(super) ca_certificates: String,
    /// Asked instead of those that the certificate names.
    pub(super) servers_override: Vec<String>,
    /// Lets in whom nobody says anything about.
    pub(super) fail_open: bool,
    /// All have to agree, instead of the first that answers.
    pub(super) query_all_servers: bool,
}

/// Most responders of one role or certificate.
const MAX_SERVERS: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of a response, with the certificates in it.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// Answers that are kept for a role when its mount's configuration says nothing.
const DEFAULT_CACHE_SIZE: usize = 100;

impl OcspSettings {
    pub(super) fn show(&self, data: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| data.insert(name.into(), value);
        put("ocsp_ca_certificates", self.ca_certificates.clone().into());
        put("ocsp_enabled", self.enabled.into());
        put("ocsp_fail_open", self.fail_open.into());
        put("ocsp_query_all_servers", self.query_all_servers.into());
        put(
            "ocsp_servers_override",
            list_or_null(&self.servers_override),
        );
    }
}

/// Whom a role asks, and what they said.
#[derive(Debug)]
pub(super) struct Responders {
    settings: OcspSettings,
    trusted: Vec<Certificate>,
    /// By [`CertId`].
    answers: Cache<Vec<u8>, Answer>,
}

/// What is known of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    Revoked,
    Unclear,
}

impl Responders {
    /// Of `cache_size` 0 is the default.
    pub(super) fn new(settings: OcspSettings, cache_size: usize) -> Result<Self, ApiError> {
        let trusted = if settings.ca_certificates.trim().is_empty() {
            Vec::new()
        } else {
            certificates_of(&settings.ca_certificates)?
        };
        if settings.servers_override.len() > MAX_SERVERS {
            return Err(ApiError::bad_request(format!(
                "more than {MAX_SERVERS} ocsp_servers_override"
            )));
        }
        for server in &settings.servers_override {
            if !server.starts_with("http://") && !server.starts_with("https://") {
                return Err(ApiError::bad_request(format!(
                    "ocsp_servers_override: {server:?} is not an http or https URL"
                )));
            }
        }
        let cache_size = match cache_size {
            0 => DEFAULT_CACHE_SIZE,
            given => given,
        };
        Ok(Self {
            settings,
            trusted,
            answers: Cache::new(cache_size),
        })
    }

    pub(super) fn are_asked(&self) -> bool {
        self.settings.enabled
    }

    /// May the client come in, as far as the responders of the role are concerned?
    pub(super) async fn admit(
        &self,
        leaf: &Certificate,
        issuer: Option<&Certificate>,
        outbound: &dyn Outbound,
        now: Timestamp,
    ) -> Standing {
        if !self.are_asked() {
            return Standing::Good;
        }
        let standing = match issuer {
            Some(issuer) => self.ask(leaf, issuer, outbound, now).await,
            None => Standing::Unclear,
        };
        match standing {
            Standing::Unclear if self.settings.fail_open => Standing::Good,
            standing => standing,
        }
    }

    async fn ask(
        &self,
        leaf: &Certificate,
        issuer: &Certificate,
        outbound: &dyn Outbound,
        now: Timestamp,
    ) -> Standing {
        let question = Question {
            cert_id: CertId::new(issuer, leaf.serial()),
            issuer,
            trusted: &self.trusted,
            outbound,
            now: UnixTime(now.secs()),
        };
        let key = question.cert_id.der();
        if let Some(kept) = self.answers.get(key)
            && kept.next_update.is_some_and(|end| end > question.now)
        {
            return standing(kept.status);
        }
        let servers = match self.settings.servers_override.as_slice() {
            [] => ocsp_servers(leaf),
            servers => servers.to_vec(),
        };
        let servers = servers.get(..MAX_SERVERS).unwrap_or(&servers);
        let answer = if self.settings.query_all_servers {
            question.put_to_all(servers, self.settings.fail_open).await
        } else {
            question.put_to_first(servers).await
        };
        let Some(answer) = answer else {
            return Standing::Unclear;
        };
        if answer.next_update.is_some() {
            self.answers.insert(key.to_vec(), answer);
        }
        standing(answer.status)
    }
}

fn standing(status: CertStatus) -> Standing {
    match status {
        CertStatus::Good => Standing::Good,
        CertStatus::Revoked { .. } => Standing::Revoked,
        CertStatus::Unknown => Standing::Unclear,
    }
}

struct Question<'a> {
    cert_id: CertId,
    issuer: &'a Certificate,
    trusted: &'a [Certificate],
    outbound: &'a dyn Outbound,
    now: UnixTime,
}

impl Question<'_> {
    /// The first answer that knows the certificate.
    async fn put_to_first(&self, servers: &[String]) -> Option<Answer> {
        for server in servers {
            match self.put_to(server).await {
                Some(answer) if answer.status != CertStatus::Unknown => return Some(answer),
                _ => {}
            }
        }
        None
    }

    /// A revocation if anybody says so; otherwise good if all do, or, under `may_miss`, all that
    /// answer.
    async fn put_to_all(&self, servers: &[String], may_miss: bool) -> Option<Answer> {
        let answers = join_all(servers.iter().map(|server| self.put_to(server))).await;
        let is_missing =
            |answer: &Option<Answer>| answer.is_none_or(|it| it.status == CertStatus::Unknown);
        let is_complete = may_miss || !answers.iter().any(is_missing);
        let known: Vec<Answer> = answers
            .into_iter()
            .flatten()
            .filter(|answer| answer.status != CertStatus::Unknown)
            .collect();
        let revoked = known
            .iter()
            .find(|answer| answer.status != CertStatus::Good);
        match revoked {
            Some(revoked) => Some(*revoked),
            // The first to become old is the one that counts.
            None if is_complete => known.into_iter().min_by_key(|answer| answer.next_update),
            None => None,
        }
    }

    async fn put_to(&self, server: &str) -> Option<Answer> {
        let request = Request {
            timeout: TIMEOUT,
            max_response_bytes: MAX_RESPONSE_BYTES,
            ..Request::post(
                server,
                Trust::System,
                "application/ocsp-request",
                OcspRequest::about(&self.cert_id),
            )
        };
        let answer = match self.outbound.send(request).await {
            Ok(response) if response.status == 200 => Answer::read(
                &response.body,
                &self.cert_id,
                self.issuer,
                self.trusted,
                self.now,
            )
            .map_err(|fault| fault.to_string()),
            Ok(response) => Err(format!("status {}", response.status)),
            Err(fault) => Err(fault.to_string()),
        };
        answer
            .inspect_err(|fault| {
                let serial = self.cert_id.serial;
                tracing::warn!(server, %serial, fault, "no answer from an OCSP responder");
            })
            .ok()
    }
}
