//! `ocsp`: whether a certificate is revoked (RFC 6960, and RFC 5019 for caches between).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use quick_cache::sync::Cache;
use signet_pki::cert::Certificate;
use signet_pki::issuer::Issuer;
use signet_pki::key::SignatureAlgorithm;
use signet_pki::ocsp::{
    CertId, CertStatus, INTERNAL_ERROR, MALFORMED_REQUEST, OcspRequest, OcspResponse,
    SingleResponse, TRY_LATER, UNAUTHORIZED,
};
use signet_pki::serial::SerialNumber;
use signet_pki::time::UnixTime;
use signet_storage::{Observer, View};

use crate::call::Op;
use crate::endpoint::{Cx, Endpoint, Route};
use crate::error::{ApiError, ErrorKind};
use crate::params::{FreeForm, params};
use crate::reply::Reply;
use crate::secrets::pki::Pki;
use crate::secrets::pki::conditional::http_date;
use crate::secrets::pki::issuance::is_slow;
use crate::secrets::pki::records::{CONFIG, ISSUERS, KEYS, REVISION, REVOKED};
use crate::secrets::pki::state::{IssuerState, State};
use crate::time::Timestamp;

/// The request in the body.
pub(super) struct Post;

impl Endpoint for Post {
    type Engine = Pki;
    type Params = FreeForm;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Write, "ocsp")];
    const HELP: &'static str = "Query a certificate's revocation status through OCSP.";

    async fn handle(cx: Cx<'_, Pki>, _params: FreeForm) -> Result<Reply, ApiError> {
        let der = cx.call.raw_body.clone();
        Ok(answer(cx, &der).await.reply())
    }
}

params! {
    pub(super) struct GetParams {
        /// The request in base64.
        request: String,
    }
}

/// The request in the path.
pub(super) struct Get;

impl Endpoint for Get {
    type Engine = Pki;
    type Params = GetParams;

    const ROUTES: &'static [Route] = &[Route::unauthenticated(Op::Read, "ocsp/{request:path}")];
    const HELP: &'static str = "Query a certificate's revocation status through OCSP.";

    async fn handle(cx: Cx<'_, Pki>, params: GetParams) -> Result<Reply, ApiError> {
        if params.request.len() > MAX_REQUEST_BYTES.div_ceil(3) * 4 {
            return Ok(Answer::error(400, MALFORMED_REQUEST).reply());
        }
        let answer = match BASE64.decode(&params.request) {
            Ok(der) => answer(cx, &der).await,
            Err(_) => Answer::error(400, MALFORMED_REQUEST),
        };
        let cache_headers = answer.cache_headers(cx.now);
        let mut reply = answer.reply();
        reply.headers.extend(cache_headers);
        Ok(reply)
    }
}

/// A response on its way out.
struct Answer {
    status: u16,
    body: Bytes,
    /// Of responses that others may keep.
    times: Option<Times>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    this_update_secs: i64,
    next_update_secs: i64,
}

impl Times {
    /// Until when a response is given out again: nobody gets one that is about to end.
    fn reuse_until_secs(self) -> i64 {
        let half = (self.next_update_secs - self.this_update_secs) / 2;
        self.this_update_secs + half
    }
}

impl Answer {
    fn error(status: u16, body: &'static [u8]) -> Self {
        Self {
            status,
            body: Bytes::from_static(body),
            times: None,
        }
    }

    fn reply(self) -> Reply {
        Reply::raw(CONTENT_TYPE, self.body).status(self.status)
    }

    /// RFC 5019 §6.2.
    fn cache_headers(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let Some(times) = self.times else {
            return Vec::new();
        };
        let max_age = (times.reuse_until_secs() - now.secs()).clamp(0, MAX_AGE_SECS);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.body);
        vec![
            (
                "Cache-Control",
                format!("max-age={max_age}, public, no-transform, must-revalidate"),
            ),
            ("ETag", format!("\"{}\"", hex::encode(digest))),
            ("Expires", http_date(times.next_update_secs)),
            ("Last-Modified", http_date(times.this_update_secs)),
        ]
    }
}

/// Never an error: what goes wrong has a response of its own.
async fn answer(cx: Cx<'_, Pki>, der: &[u8]) -> Answer {
    match try_answer(cx, der).await {
        Ok(answer) => answer,
        Err(error) if error.kind() == ErrorKind::Overloaded => Answer::error(503, TRY_LATER),
        Err(_) => Answer::error(500, INTERNAL_ERROR),
    }
}

async fn try_answer(cx: Cx<'_, Pki>, der: &[u8]) -> Result<Answer, ApiError> {
    let state = cx.engine.state.state().await?;
    if state.crl_config.ocsp_disable {
        return Ok(Answer::error(401, UNAUTHORIZED));
    }
    let request = (1..=MAX_REQUEST_BYTES)
        .contains(&der.len())
        .then(|| OcspRequest::parse_der(der));
    let Some(Ok(request)) = request else {
        return Ok(Answer::error(400, MALFORMED_REQUEST));
    };
    // Whatever is repeated is signed (RFC 9654 §2.1).
    if request
        .nonce
        .as_ref()
        .is_some_and(|nonce| !(1..=MAX_NONCE_BYTES).contains(&nonce.len()))
    {
        return Ok(Answer::error(400, MALFORMED_REQUEST));
    }
    let Some(first) = request.cert_ids.first() else {
        return Ok(Answer::error(400, MALFORMED_REQUEST));
    };
    let is_cacheable = request.cert_ids.len() == 1
        && request.nonce.is_none()
        && state.crl_config.ocsp_expiry_secs() > 0;
    if is_cacheable && let Some(answer) = cx.engine.ocsp_cache.get(first, cx.now) {
        return Ok(answer);
    }
    let changes = cx.engine.ocsp_cache.changes();
    if request.cert_ids.iter().any(|id| id.hash.is_none()) {
        return Ok(Answer::error(500, INTERNAL_ERROR));
    }
    let Some(responder) = responder(&state, first) else {
        return Ok(Answer::error(401, UNAUTHORIZED));
    };
    let mut statuses = Vec::with_capacity(request.cert_ids.len());
    for id in &request.cert_ids {
        statuses.push(cert_status(cx, &state, responder.issuer, id).await?);
    }
    let times = Times {
        this_update_secs: cx.now.secs(),
        next_update_secs: cx.now.secs() + state.crl_config.ocsp_expiry_secs(),
    };
    let answer = sign(cx, &request, &responder, statuses, times).await?;
    if is_cacheable {
        let (body, id) = (answer.body.clone(), first);
        cx.engine.ocsp_cache.put(id, body, times, changes);
        return Ok(Answer {
            times: Some(times),
            ..answer
        });
    }
    Ok(answer)
}

/// Who answers.
struct Responder<'s> {
    issuer: &'s IssuerState,
    signer: Arc<Issuer>,
}

/// The issuer that the question is about, or the default one, which then knows nothing. `None` when
/// the right one may not answer.
fn responder<'s>(state: &'s State, id: &CertId) -> Option<Responder<'s>> {
    let with_key = |issuer: &'s Arc<IssuerState>| {
        let signer = state.signer_of(issuer)?;
        Some(Responder { issuer, signer })
    };
    let named: Vec<_> = state
        .issuers
        .iter()
        .filter(|issuer| id.names_issuer(&issuer.certificate))
        .filter_map(with_key)
        .collect();
    let may_answer = |responder: &Responder<'_>| responder.issuer.record.usage.ocsp_signing;
    if named.is_empty() {
        return with_key(state.issuer("default").ok()?).filter(may_answer);
    }
    named.into_iter().find(may_answer)
}

/// What `issuer` says about one certificate.
async fn cert_status(
    cx: Cx<'_, Pki>,
    state: &State,
    issuer: &IssuerState,
    id: &CertId,
) -> Result<CertStatus, ApiError> {
    if !id.names_issuer(&issuer.certificate) {
        return Ok(CertStatus::Unknown);
    }
    let at = |time: Timestamp| CertStatus::Revoked {
        at: UnixTime(time.secs()),
    };
    if let Some(revoked) = cx.engine.revoked(id.serial).await? {
        let is_here = |id| state.issuers.iter().any(|issuer| issuer.authority == id);
        if revoked.authority == issuer.authority {
            return Ok(at(revoked.revoked_at));
        }
        if is_here(revoked.authority) {
            return Ok(CertStatus::Unknown);
        }
        // It was revoked when its issuer was not here: the certificate itself tells.
        let record = cx.engine.certificate(id.serial).await?;
        let certificate = record.and_then(|record| Certificate::parse_der(record.der).ok());
        let is_own =
            certificate.is_some_and(|certificate| certificate.is_signed_by(&issuer.certificate));
        return Ok(if is_own {
            at(revoked.revoked_at)
        } else {
            CertStatus::Unknown
        });
    }
    // Issuers that were imported and then revoked are not among the certificates.
    let revoked_issuer = state.issuers.iter().find_map(|other| {
        let is_meant = other.certificate.serial() == id.serial
            && other.authority != issuer.authority
            && other.certificate.is_signed_by(&issuer.certificate);
        other.record.revoked_at.filter(|_| is_meant)
    });
    // A certificate that was never stored cannot be told from one that was never issued.
    Ok(revoked_issuer.map_or(CertStatus::Good, at))
}

async fn sign(
    cx: Cx<'_, Pki>,
    request: &OcspRequest,
    responder: &Responder<'_>,
    statuses: Vec<CertStatus>,
    times: Times,
) -> Result<Answer, ApiError> {
    let kind = responder.signer.key().kind();
    let name = &responder.issuer.record.revocation_signature_algorithm;
    let algorithm = SignatureAlgorithm::from_name(name).filter(|algorithm| algorithm.fits(kind));
    let signer = responder.signer.clone();
    let (cert_ids, nonce) = (request.cert_ids.clone(), request.nonce.clone());
    let work = move || {
        let this_update = UnixTime(times.this_update_secs);
        let next_update = (times.next_update_secs > times.this_update_secs)
            .then_some(UnixTime(times.next_update_secs));
        let responses: Vec<SingleResponse<'_>> = cert_ids
            .iter()
            .zip(statuses)
            .map(|(cert_id, status)| SingleResponse {
                cert_id,
                status,
                this_update,
                next_update,
            })
            .collect();
        let response = OcspResponse {
            responses: &responses,
            produced_at: UnixTime(this_update.0 - this_update.0.rem_euclid(60)),
            nonce: nonce.as_deref(),
            algorithm,
        };
        response.sign(&signer)
    };
    let signed = if is_slow(kind) {
        cx.engine.env.environment.pool.run(work).await?
    } else {
        work()
    };
    Ok(Answer {
        status: 200,
        body: signed.map_err(ApiError::internal)?.into(),
        times: None,
    })
}

/// Signed responses to plain questions, until they are half as old as they may get or something
/// changes that they tell of.
pub(super) struct OcspCache {
    /// One question for each serial number.
    responses: Cache<SerialNumber, Arc<Cached>>,
    /// Counts changes, so that a response that was made before one is not kept after it.
    changes: AtomicU64,
}

#[derive(Debug)]
struct Cached {
    cert_id: Vec<u8>,
    body: Bytes,
    times: Times,
}

impl std::fmt::Debug for OcspCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OcspCache").finish_non_exhaustive()
    }
}

impl Observer for OcspCache {
    fn changed(&self, paths: &[&str]) {
        for path in paths {
            if let Some(serial) = path.strip_prefix(REVOKED) {
                self.changes.fetch_add(1, Ordering::SeqCst);
                match SerialNumber::parse(serial) {
                    Ok(serial) => drop(self.responses.remove(&serial)),
                    Err(_) => self.responses.clear(),
                }
            } else if [ISSUERS, KEYS, CONFIG, REVISION]
                .iter()
                .any(|prefix| path.starts_with(prefix))
            {
                self.changes.fetch_add(1, Ordering::SeqCst);
                self.responses.clear();
            }
        }
    }
}

impl OcspCache {
    pub(super) fn new(view: &View) -> Arc<Self> {
        let cache = Arc::new(Self {
            responses: Cache::new(CACHED_RESPONSES),
            changes: AtomicU64::new(0),
        });
        view.watch(cache.clone());
        cache
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    fn get(&self, id: &CertId, now: Timestamp) -> Option<Answer> {
        let cached = self.responses.get(&id.serial)?;
        let is_fresh = now.secs() < cached.times.reuse_until_secs();
        (is_fresh && cached.cert_id == id.der()).then(|| Answer {
            status: 200,
            body: cached.body.clone(),
            times: Some(cached.times),
        })
    }

    /// Keeps a response that was made from what was read after `changes`.
    fn put(&self, id: &CertId, body: Bytes, times: Times, changes: u64) {
        let cached = Cached {
            cert_id: id.der().to_vec(),
            body,
            times,
        };
        self.responses.insert(id.serial, Arc::new(cached));
        if self.changes() != changes {
            self.responses.remove(&id.serial);
        }
    }
}

const CONTENT_TYPE: &str = "application/ocsp-response";

/// Clients differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Longer requests are nobody's honest question.
const MAX_REQUEST_BYTES: usize = 2047;
/// 128 octets and the header of their string.
const MAX_NONCE_BYTES: usize = 131;
/// Longest time that caches between may keep a response: what a revocation may be late for them.
const MAX_AGE_SECS: i64 = 3600;
/// About 3 MB.
const CACHED_RESPONSES: usize = 4096;
