//! Blocks that other parts of the server act on: user lockout, telemetry, audit devices.

use std::collections::BTreeMap;
use std::time::Duration;

use signet_api::audit::DeclaredDevice;
use signet_api::lockout::LockoutSettings;
use signet_api::mount::LockoutConfig;

use super::section::{Block, Report, Section};

/// A `user_lockout` block: `all`, or an auth method's kind.
pub(super) fn lockout(
    section: &mut Section,
    disabled_by_environment: bool,
    report: &mut Report,
) -> LockoutSettings {
    let mut blocks = BTreeMap::new();
    for block in section.blocks("user_lockout", 1, report) {
        let kind = block.label(0).to_ascii_lowercase();
        if !matches!(kind.as_str(), "all" | "approle" | "ldap" | "userpass") {
            report.error(
                block.place(),
                format_args!("user_lockout is for all, approle, ldap or userpass, not {kind:?}"),
            );
            continue;
        }
        blocks.insert(kind, block);
    }
    // What `all` says is where the others start from.
    let mut all = LockoutConfig::default();
    if let Some(block) = blocks.remove("all") {
        all = one_lockout(block, &all, report);
    }
    let by_kind = blocks
        .into_iter()
        .map(|(kind, block)| {
            let lockout = one_lockout(block, &all, report);
            (kind, lockout)
        })
        .collect();
    LockoutSettings {
        disabled: disabled_by_environment,
        default: all,
        by_kind,
    }
}

fn one_lockout(block: Block, base: &LockoutConfig, report: &mut Report) -> LockoutConfig {
    let mut section = block.section;
    let secs = |duration: Option<Duration>, base| duration.map_or(base, |given| given.as_secs());
    let lockout = LockoutConfig {
        threshold: section
            .count("lockout_threshold", report)
            .unwrap_or(base.threshold),
        duration_secs: secs(
            section.duration("lockout_duration", report),
            base.duration_secs,
        ),
        counter_reset_secs: secs(
            section.duration("lockout_counter_reset", report),
            base.counter_reset_secs,
        ),
        disabled: section
            .flag("disable_lockout", report)
            .unwrap_or(base.disabled),
    };
    section.finish(report);
    lockout
}

/// The `telemetry` block: metrics are there without it, in one form, and nothing in it changes that.
pub(super) fn telemetry(section: &mut Section, report: &mut Report) {
    let Some(mut telemetry) = section.block("telemetry", report) else {
        return;
    };
    telemetry.warn_unsupported(&["disable_hostname", "prometheus_retention_time"], report);
    telemetry.ignore(&[
        "add_lease_metrics_namespace_labels",
        "add_mount_point_rollback_metrics",
        "disable_dispatched_telemetry",
        "enable_hostname_label",
        "filter_default",
        "lease_metrics_epsilon",
        "maximum_gauge_cardinality",
        "metrics_prefix",
        "num_lease_metrics_buckets",
        "prefix_filter",
        "rollback_metrics_include_mount_point",
        "usage_gauge_period",
    ]);
    let sinks: Vec<String> = telemetry.keys().filter(|key| is_sink(key)).collect();
    let sinks: Vec<&str> = sinks.iter().map(String::as_str).collect();
    telemetry.warn_unsupported(&sinks, report);
    telemetry.finish(report);
}

/// Keys of services that metrics could be pushed to.
fn is_sink(key: &str) -> bool {
    [
        "circonus_",
        "dogstatsd_",
        "stackdriver_",
        "statsd_",
        "statsite_",
    ]
    .iter()
    .any(|prefix| key.starts_with(prefix))
}

/// `audit "file" "path/" { … }`
pub(super) fn audit(section: &mut Section, report: &mut Report) -> Vec<DeclaredDevice> {
    let mut devices: Vec<DeclaredDevice> = Vec::new();
    for block in section.blocks("audit", 2, report) {
        let place = block.place().clone();
        let kind = block.label(0).to_ascii_lowercase();
        let path = block.label(1).trim_matches('/').to_owned();
        let mut inner = block.section;
        let description = inner.text("description", report).unwrap_or_default();
        let local = inner.flag("local", report).unwrap_or(false);
        let mut options = BTreeMap::new();
        if let Some(block) = inner.block("options", report) {
            for (field, text) in block.entries() {
                match text {
                    Some(text) => {
                        options.insert(field.key, text);
                    }
                    None => {
                        report.error(&field.place, format_args!("{} must be a string", field.key));
                    }
                }
            }
        }
        inner.finish(report);
        if path.is_empty() || kind.is_empty() {
            report.error(
                &place,
                "an audit block needs a kind and a path: audit \"file\" \"name/\" { … }",
            );
        } else if devices.iter().any(|device| device.path == path) {
            report.error(
                &place,
                format_args!("two audit devices have the path {path:?}"),
            );
        } else {
            devices.push(DeclaredDevice {
                kind,
                path,
                description,
                local,
                options,
            });
        }
    }
    devices
}
