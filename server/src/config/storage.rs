//! The `storage` block.

use std::path::{Path, PathBuf};

use signet_storage::{DEFAULT_CACHE_BYTES, Engine};

use super::section::{Block, Report};

/// Where the server keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) engine: Engine,
    /// As `sys/seal-status` shows it.
    pub(crate) name: &'static str,
}

impl Storage {
    pub(crate) fn redb(directory: PathBuf) -> Self {
        let engine = Engine::Redb {
            directory,
            cache_bytes: DEFAULT_CACHE_BYTES,
        };
        Self {
            engine,
            name: "redb",
        }
    }
}

/// `path_override` stands before the path of a `raft` block.
pub(super) fn read(
    block: Block,
    path_override: Option<PathBuf>,
    report: &mut Report,
) -> Option<Storage> {
    let place = block.place().clone();
    let kind = block.label(0).to_ascii_lowercase();
    let mut section = block.section;
    let storage = match kind.as_str() {
        "inmem" => Some(Storage {
            engine: Engine::Inmem,
            name: "inmem",
        }),
        "file" | "raft" | "redb" | "sled" => {
            let given = section.path("path", report);
            let path = if kind == "raft" {
                path_override.or(given)
            } else {
                given
            };
            let cache_bytes = section
                .count("cache_bytes", report)
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(DEFAULT_CACHE_BYTES);
            match path {
                None => {
                    report.error(&place, format_args!("storage {kind:?} needs a path"));
                    None
                }
                Some(directory) if holds_foreign_data(&directory) => {
                    report.error(
                        &place,
                        format_args!(
                            "{} holds data of another server, which this server cannot read; \
                             choose another path",
                            directory.display()
                        ),
                    );
                    None
                }
                Some(directory) if kind == "sled" => Some(Storage {
                    engine: Engine::Sled {
                        directory,
                        cache_bytes,
                    },
                    name: "sled",
                }),
                Some(directory) => {
                    if kind != "redb" {
                        report.warn(
                            &place,
                            format_args!(
                                "storage {kind:?} is kept by the embedded engine \"redb\" in {}",
                                directory.display()
                            ),
                        );
                    }
                    Some(Storage {
                        engine: Engine::Redb {
                            directory,
                            cache_bytes,
                        },
                        name: "redb",
                    })
                }
            }
        }
        "" => {
            report.error(
                &place,
                "the storage block needs a type, e.g. storage \"redb\" { path = \"…\" }",
            );
            None
        }
        other if KNOWN_ELSEWHERE.contains(&other) => {
            report.error(
                &place,
                format_args!(
                    "storage {other:?} is not supported: this server keeps its data in an embedded \
                     store; use storage \"redb\" {{ path = \"…\" }}"
                ),
            );
            return None;
        }
        other => {
            report.error(&place, format_args!("unknown storage type {other}"));
            return None;
        }
    };
    if kind == "raft" {
        section.ignore(&[
            "node_id",
            "performance_multiplier",
            "max_entry_size",
            "snapshot_threshold",
            "snapshot_interval",
            "trailing_logs",
            "autopilot_reconcile_interval",
            "autopilot_update_interval",
            "max_mount_and_namespace_table_entry_size",
        ]);
        section.warn_unsupported(&["retry_join", "retry_join_as_non_voter"], report);
    }
    section.ignore(&["disable_clustering", "ha_enabled", "redirect_addr"]);
    section.finish(report);
    storage
}

fn holds_foreign_data(directory: &Path) -> bool {
    ["core", "vault.db", "raft"]
        .iter()
        .any(|name| directory.join(name).exists())
}

const KNOWN_ELSEWHERE: [&str; 16] = [
    "aerospike",
    "alicloudoss",
    "azure",
    "cassandra",
    "cockroachdb",
    "consul",
    "couchdb",
    "dynamodb",
    "etcd",
    "foundationdb",
    "gcs",
    "mssql",
    "mysql",
    "postgresql",
    "s3",
    "zookeeper",
];
