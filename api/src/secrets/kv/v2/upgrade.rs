//! Gives versions to what was stored without.

use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Record};

use crate::error::ApiError;
use crate::time::Timestamp;

use super::super::v1::Secret;
use super::super::{PLAIN, UPGRADED};
use super::config::Config;
use super::key::Key;
use super::store::Store;

#[derive(Serialize, Deserialize)]
struct Upgraded {}

impl Record for Upgraded {
    const FORMAT: u8 = 1;
}

/// Secrets that are moved in one commit. Few, as each may be as large as a request.
const PAGE: usize = 16;

/// Makes the first version of everything that has none. Can be stopped at any moment and run again.
pub(super) async fn run(store: &Store, now: Timestamp) -> Result<(), ApiError> {
    if store.view.get(UPGRADED).await?.is_none() {
        let mut batch = Batch::default();
        store.view.put_record(&mut batch, UPGRADED, &Upgraded {})?;
        store.view.commit(batch).await?;
    }
    let plain = store.view.child(PLAIN);
    loop {
        let names = plain.keys("", None, PAGE).await?;
        if names.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for name in &names {
            let Some(secret) = plain.record::<Secret>(name).await? else {
                continue;
            };
            let mut key = Key::new(now);
            let (number, _) = key.add(&Config::default(), now);
            key.oldest = number;
            store.put_data(&mut batch, name, number, Some(secret.value.0))?;
            store.put_key(&mut batch, name, &key, None)?;
            plain.delete(&mut batch, name);
        }
        store.view.commit(batch).await?;
    }
}
