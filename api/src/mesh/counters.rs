//! What is counted, under names of our own and under those that Istio's dashboards know.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::error::MeshError;
use crate::metrics::{Metric, Reading};
use crate::time::Timestamp;

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    nanos: AtomicU64,
    issued: AtomicU64,
    unauthenticated: AtomicU64,
    impersonation: AtomicU64,
    mismatch: AtomicU64,
    bad_csr: AtomicU64,
    bad_lifetime: AtomicU64,
    forbidden: AtomicU64,
    overloaded: AtomicU64,
    unavailable: AtomicU64,
    internal: AtomicU64,
    /// Turned away before they were requests.
    refused_connections: AtomicU64,
    failed_handshakes: AtomicU64,
    /// Seconds since the epoch; 0 for not known.
    issuer_end: AtomicI64,
    root_end: AtomicI64,
}

impl Counters {
    pub(super) fn answered(&self, took: Duration, error: Option<&MeshError>) {
        let add = |counter: &AtomicU64, count| counter.fetch_add(count, Ordering::Relaxed);
        add(&self.requests, 1);
        add(
            &self.nanos,
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        );
        let outcome = match error {
            None => &self.issued,
            Some(MeshError::Unauthenticated(_)) => &self.unauthenticated,
            Some(MeshError::Impersonation(_)) => &self.impersonation,
            Some(MeshError::Mismatch(_)) => &self.mismatch,
            Some(MeshError::BadCsr(_)) => &self.bad_csr,
            Some(MeshError::BadLifetime(_)) => &self.bad_lifetime,
            Some(MeshError::Forbidden(_)) => &self.forbidden,
            Some(MeshError::Overloaded(_)) => &self.overloaded,
            Some(MeshError::Unavailable(_)) => &self.unavailable,
            Some(MeshError::Internal(_)) => &self.internal,
        };
        add(outcome, 1);
    }

    /// When the issuer and the first of the roots end, in seconds since the epoch.
    pub(super) fn ends(&self, issuer: i64, root: i64) {
        self.issuer_end.store(issuer, Ordering::Relaxed);
        self.root_end.store(root, Ordering::Relaxed);
    }

    /// A request that was turned away at the door.
    pub fn request_refused(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.overloaded.fetch_add(1, Ordering::Relaxed);
    }

    pub fn connection_refused(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub fn handshake_failed(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing before the first request.
    pub(crate) fn metrics(&self, now: Timestamp) -> Vec<Metric> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (issuer_end, root_end) = (
            self.issuer_end.load(Ordering::Relaxed),
            self.root_end.load(Ordering::Relaxed),
        );
        let handshakes = get(&self.failed_handshakes) + get(&self.refused_connections);
        if get(&self.requests) == 0 && issuer_end == 0 && handshakes == 0 {
            return Vec::new();
        }
        let counter = |count: u64| vec![(Vec::new(), Reading::Counter(count))];
        let by = |label: &'static str, counts: &[(&str, u64)]| {
            let series = counts.iter().map(|(value, count)| {
                let labels = vec![(label, (*value).to_owned())];
                (labels, Reading::Counter(*count))
            });
            series.collect::<Vec<_>>()
        };
        let gauge = |value: i64| {
            let value = u64::try_from(value).unwrap_or(0);
            vec![(Vec::new(), Reading::Gauge(value))]
        };
        let took = Reading::Summary {
            count: get(&self.requests),
            sum_millis: Duration::from_nanos(get(&self.nanos)).as_secs_f64() * 1000.0,
        };
        let outcomes = [
            ("bad_csr", get(&self.bad_csr)),
            ("bad_lifetime", get(&self.bad_lifetime)),
            ("forbidden", get(&self.forbidden)),
            ("impersonation", get(&self.impersonation)),
            ("internal", get(&self.internal)),
            ("issued", get(&self.issued)),
            ("mismatch", get(&self.mismatch)),
            ("overloaded", get(&self.overloaded)),
            ("unauthenticated", get(&self.unauthenticated)),
            ("unavailable", get(&self.unavailable)),
        ];
        let sign_errors = [
            ("CA_NOT_READY", get(&self.unavailable)),
            ("CERT_GEN_ERROR", get(&self.internal)),
            ("CSR_ERROR", get(&self.bad_csr) + get(&self.forbidden)),
            ("TTL_ERROR", get(&self.bad_lifetime)),
        ];
        let not_authenticated = get(&self.unauthenticated) + get(&self.impersonation);
        let left = |end: i64| end.saturating_sub(now.secs()).max(0);
        let metric = |name, help, series| Metric { name, help, series };
        vec![
            metric(
                "citadel_server.authentication_failure_count",
                "Requests of callers that proved nothing.",
                counter(not_authenticated),
            ),
            metric(
                "citadel_server.cert_chain_expiry_seconds",
                "Seconds until the issuer's certificate ends.",
                gauge(left(issuer_end)),
            ),
            metric(
                "citadel_server.cert_chain_expiry_timestamp",
                "When the issuer's certificate ends, in seconds since the epoch.",
                gauge(issuer_end),
            ),
            metric(
                "citadel_server.csr_count",
                "Requests for certificates.",
                counter(get(&self.requests)),
            ),
            metric(
                "citadel_server.csr_parsing_err_count",
                "Certificate requests that could not be used.",
                counter(get(&self.bad_csr)),
            ),
            metric(
                "citadel_server.csr_sign_err_count",
                "Certificates that were not signed.",
                by("error", &sign_errors),
            ),
            metric(
                "citadel_server.id_extraction_err_count",
                "Certificate requests whose names are not the caller's.",
                counter(get(&self.mismatch)),
            ),
            metric(
                "citadel_server.root_cert_expiry_seconds",
                "Seconds until the first root ends.",
                gauge(left(root_end)),
            ),
            metric(
                "citadel_server.root_cert_expiry_timestamp",
                "When the first root ends, in seconds since the epoch.",
                gauge(root_end),
            ),
            metric(
                "citadel_server.success_cert_issuance_count",
                "Certificates issued to workloads.",
                counter(get(&self.issued)),
            ),
            metric(
                "signet.istio_csr.failed_handshakes",
                "TLS handshakes that did not end well.",
                counter(get(&self.failed_handshakes)),
            ),
            metric(
                "signet.istio_csr.refused_connections",
                "Connections beyond the limit.",
                counter(get(&self.refused_connections)),
            ),
            metric(
                "signet.istio_csr.request",
                "Milliseconds that requests took.",
                vec![(Vec::new(), took)],
            ),
            metric(
                "signet.istio_csr.requests",
                "Requests for certificates by outcome.",
                by("outcome", &outcomes),
            ),
        ]
    }
}
