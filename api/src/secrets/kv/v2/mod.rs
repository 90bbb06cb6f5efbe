//! Secrets with versions.
//!
//! Each secret has one record of what is known about it (`keys/`), and one of the data of each
//! version (`values/`). Both are written in one commit that expects the former to be unchanged:
//! of two writers at once, the second counts on from the first.

mod config;
mod data;
mod key;
mod merge;
mod metadata;
mod store;
mod subkeys;
mod upgrade;
mod versions;
mod wrong_path;

use tokio::sync::OnceCell;

use crate::endpoint::{Cx, Row, row};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::mount::MountEnvironment;

use store::Store;

/// One mount.
#[derive(Debug)]
pub(super) struct Versioned {
    store: Store,
    /// Set once what was stored without versions has them.
    upgraded: OnceCell<()>,
}

impl Versioned {
    pub(super) fn open(environment: MountEnvironment) -> Self {
        Self {
            store: Store::new(environment.view),
            upgraded: OnceCell::new(),
        }
    }
}

impl Engine for Versioned {
    const KIND: &'static str = "kv";
    const ENDPOINTS: &'static [Row<Self>] = &[
        row::<config::Read>(),
        row::<config::Write>(),
        row::<data::Delete>(),
        row::<data::Patch>(),
        row::<data::Read>(),
        row::<data::Write>(),
        row::<metadata::Delete>(),
        row::<metadata::List>(),
        row::<metadata::ListRoot>(),
        row::<metadata::Patch>(),
        row::<metadata::Read>(),
        row::<metadata::Write>(),
        row::<subkeys::Read>(),
        row::<versions::Delete>(),
        row::<versions::Destroy>(),
        row::<versions::Undelete>(),
        row::<wrong_path::Delete>(),
        row::<wrong_path::List>(),
        row::<wrong_path::Patch>(),
        row::<wrong_path::Read>(),
        row::<wrong_path::Root>(),
        row::<wrong_path::Write>(),
    ];
    const HELP: &'static str = "This backend provides a versioned key-value store. Each write of a secret makes a version \
         of its own, which can be read, deleted, restored and destroyed.";
}

/// The store of a request's mount, once everything in it has versions.
async fn ready(cx: Cx<'_, Versioned>) -> Result<&Store, ApiError> {
    let Versioned { store, upgraded } = cx.engine;
    upgraded
        .get_or_try_init(|| upgrade::run(store, cx.now))
        .await?;
    Ok(store)
}
