//! What the server counts and measures, and the two forms in which monitoring reads it.
//!
//! Names are Vault's, so that its dashboards work. Label sets are bounded: no paths of requests, no
//! names of users.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::expiry::Leases;
use crate::mesh::counters::Counters;
use crate::node::{Core, Node};
use crate::time::Timestamp;

/// What is counted while requests run.
#[derive(Debug, Default)]
pub struct Metrics {
    handle_request: Timing,
    pub mesh: Counters,
    /// By the name of the quota; bounded by the number of quotas.
    rate_limit_violations: Mutex<BTreeMap<String, u64>>,
    /// Counting walks through storage, so it is done rarely.
    usage: Mutex<Option<Usage>>,
}

#[derive(Debug, Default)]
struct Timing {
    count: AtomicU64,
    nanos: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Usage {
    counted_at: Timestamp,
    tokens: u64,
    leases: u64,
}

const USAGE_SECS: u64 = 600;

impl Metrics {
    pub(crate) fn request_handled(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.handle_request.count.fetch_add(1, Ordering::Relaxed);
        self.handle_request
            .nanos
            .fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn rate_limit_violated(&self, quota: &str) {
        let mut violations = self.rate_limit_violations.lock();
        *violations.entry(quota.to_owned()).or_default() += 1;
    }
}

/// One metric with all its series, as it stands now.
#[derive(Debug)]
pub struct Metric {
    /// With dots.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) series: Vec<(Labels, Reading)>,
}

pub(crate) type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    Counter(u64),
    Gauge(u64),
    Summary { count: u64, sum_millis: f64 },
}

impl Node {
    /// Reads everything at once.
    pub async fn metrics(&self, core: &Core, now: Timestamp) -> Result<Vec<Metric>, ApiError> {
        let usage = self.usage(core, now).await?;
        let cluster = || vec![("cluster", core.cluster.name.clone())];
        let gauge = |value| vec![(cluster(), Reading::Gauge(value))];
        let timing = &self.metrics.handle_request;
        let nanos = timing.nanos.load(Ordering::Relaxed);
        let requests = Reading::Summary {
            count: timing.count.load(Ordering::Relaxed),
            sum_millis: Duration::from_nanos(nanos).as_secs_f64() * 1000.0,
        };
        let in_flight = u64::try_from(self.in_flight.count()).unwrap_or(0);
        let violations = self.metrics.rate_limit_violations.lock().clone();
        let mut metrics = self.metrics.mesh.metrics(now);
        metrics.extend([
            Metric {
                name: "vault.barrier.estimated_encryptions",
                help: "Encryptions with the active key, rounded up.",
                series: gauge(core.store.key_status().encryptions),
            },
            Metric {
                name: "vault.core.active",
                help: "1 when this server answers requests.",
                series: gauge(1),
            },
            Metric {
                name: "vault.core.handle_request",
                help: "Milliseconds that requests took.",
                series: vec![(Vec::new(), requests)],
            },
            Metric {
                name: "vault.core.in_flight_requests",
                help: "Requests that are being answered.",
                series: gauge(in_flight),
            },
            Metric {
                name: "vault.core.mount_table.num_entries",
                help: "Mounts, by class and locality.",
                series: mount_counts(core),
            },
            Metric {
                name: "vault.core.unsealed",
                help: "1 when the server is unsealed.",
                series: gauge(1),
            },
            Metric {
                name: "vault.expire.num_leases",
                help: "Leases that have not ended, counted every ten minutes.",
                series: vec![(Vec::new(), Reading::Gauge(usage.leases))],
            },
            Metric {
                name: "vault.quota.rate_limit.violation",
                help: "Requests refused by a rate limit.",
                series: violations
                    .into_iter()
                    .map(|(name, count)| (vec![("name", name)], Reading::Counter(count)))
                    .collect(),
            },
            Metric {
                name: "vault.token.count",
                help: "Service tokens, counted every ten minutes.",
                series: gauge(usage.tokens),
            },
        ]);
        Ok(metrics)
    }

    async fn usage(&self, core: &Core, now: Timestamp) -> Result<Usage, ApiError> {
        let known = *self.metrics.usage.lock();
        if let Some(usage) = known.filter(|usage| now.secs_since(usage.counted_at) < USAGE_SECS) {
            return Ok(usage);
        }
        let usage = Usage {
            counted_at: now,
            tokens: core.tokens.count().await?,
            leases: Leases::new(&core.store).count().await?,
        };
        *self.metrics.usage.lock() = Some(usage);
        Ok(usage)
    }
}

fn mount_counts(core: &Core) -> Vec<(Labels, Reading)> {
    let mut counts: BTreeMap<(&str, bool), u64> = BTreeMap::new();
    for mount in core.mounts.all() {
        let class = if mount.is_auth() { "auth" } else { "logical" };
        *counts.entry((class, mount.record.local)).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((class, local), count)| {
            let labels = vec![("local", local.to_string()), ("type", class.to_owned())];
            (labels, Reading::Gauge(count))
        })
        .collect()
}

/// The text format of Prometheus, version 0.0.4.
#[must_use]
pub fn to_prometheus(metrics: &[Metric]) -> String {
    let mut out = String::new();
    for metric in metrics.iter().filter(|metric| !metric.series.is_empty()) {
        let name = metric.name.replace(['.', '-'], "_");
        let kind = match metric.series.first() {
            Some((_, Reading::Counter(_))) => "counter",
            Some((_, Reading::Summary { .. })) => "summary",
            Some((_, Reading::Gauge(_))) | None => "gauge",
        };
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help);
        for (labels, reading) in &metric.series {
            let labels = prometheus_labels(labels);
            let _ = match reading {
                Reading::Counter(value) | Reading::Gauge(value) => {
                    writeln!(out, "{name}{labels} {value}")
                }
                Reading::Summary { count, sum_millis } => writeln!(
                    out,
                    "{name}_sum{labels} {sum_millis}\n{name}_count{labels} {count}"
                ),
            };
        }
    }
    out
}

fn prometheus_labels(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let escaped = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            format!("{name}=\"{escaped}\"")
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// The JSON that `sys/metrics` answers.
#[must_use]
pub fn to_json(metrics: &[Metric], now: Timestamp) -> Value {
    let (mut counters, mut gauges, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for metric in metrics {
        for (labels, reading) in &metric.series {
            let labels: BTreeMap<_, _> = labels.iter().map(|(n, v)| (*n, v)).collect();
            match reading {
                Reading::Counter(count) => counters.push(json!({
                    "Name": metric.name, "Count": count, "Sum": count, "Labels": labels,
                })),
                Reading::Gauge(value) => gauges.push(json!({
                    "Name": metric.name, "Value": value, "Labels": labels,
                })),
                Reading::Summary { count, sum_millis } => samples.push(json!({
                    "Name": metric.name, "Count": count, "Sum": sum_millis, "Labels": labels,
                })),
            }
        }
    }
    let time = now.rfc3339();
    let (date, rest) = time.split_once('T').unwrap_or_default();
    let clock = rest.get(..8).unwrap_or_default();
    json!({
        "Timestamp": format!("{date} {clock} +0000 UTC"),
        "Gauges": gauges,
        "Points": [],
        "Counters": counters,
        "Samples": samples,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_text_format_with_escaped_labels() {
        let metrics = [
            Metric {
                name: "vault.a.b-c",
                help: "Help.",
                series: vec![(vec![("name", "a\"b\\".into())], Reading::Counter(3))],
            },
            Metric {
                name: "vault.timing",
                help: "Milliseconds.",
                series: vec![(
                    Vec::new(),
                    Reading::Summary {
                        count: 2,
                        sum_millis: 1.5,
                    },
                )],
            },
            Metric {
                name: "vault.nothing",
                help: "Never seen.",
                series: Vec::new(),
            },
        ];
        assert_eq!(
            to_prometheus(&metrics),
            "# HELP vault_a_b_c Help.\n# TYPE vault_a_b_c counter\n\
             vault_a_b_c{name=\"a\\\"b\\\\\"} 3\n\
             # HELP vault_timing Milliseconds.\n# TYPE vault_timing summary\n\
             vault_timing_sum 1.5\nvault_timing_count 2\n"
        );
    }
}
