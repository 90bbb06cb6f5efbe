//! Every engine passes the same suite.

use crate::support::suite::{backend_suite, durable_suite, snapshot_suite};

backend_suite!(inmem, Fixture::inmem());
backend_suite!(redb, Fixture::redb());
backend_suite!(sled, Fixture::sled());

snapshot_suite!(inmem_snapshots, Fixture::inmem());
snapshot_suite!(redb_snapshots, Fixture::redb());

durable_suite!(redb_files, Fixture::redb());
durable_suite!(sled_files, Fixture::sled());
