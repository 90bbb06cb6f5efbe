//! Taking tokens back, with everything that hangs on them.

use signet_storage::Batch;

use crate::error::ApiError;
use crate::expiry;
use crate::node::Core;
use crate::time::Timestamp;
use crate::token::{Token, TokenStore};

/// Children that are looked at in one go.
const PAGE: usize = 256;

impl TokenStore {
    /// Revokes a token and, before it, all its descendants. A token that does not exist is fine.
    pub async fn revoke_tree(
        &self,
        core: &Core,
        hash: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        // Depth first without recursion: a chain of tokens may be long.
        let mut pending = vec![hash.to_owned()];
        while let Some(current) = pending.last().cloned() {
            let children = self
                .views
                .children
                .keys(&format!("{current}/"), None, PAGE)
                .await?;
            if !children.is_empty() {
                pending.extend(children);
                continue;
            }
            self.remove(core, &current, now).await?;
            // A child made while the parent went: none can come after it is gone.
            let late = self
                .views
                .children
                .keys(&format!("{current}/"), None, PAGE)
                .await?;
            if late.is_empty() {
                pending.pop();
            } else {
                pending.extend(late);
            }
        }
        Ok(())
    }

    /// Revokes one token; its children become orphans.
    pub async fn revoke_only(
        &self,
        core: &Core,
        hash: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        loop {
            let children = self
                .views
                .children
                .keys(&format!("{hash}/"), None, PAGE)
                .await?;
            if children.is_empty() {
                break;
            }
            for child in children {
                let mut batch = Batch::default();
                self.views
                    .children
                    .delete(&mut batch, &format!("{hash}/{child}"));
                if let Some(token) = self.by_hash(&child).await? {
                    let mut record = token.record.clone();
                    record.parent = None;
                    if let Some(version) = token.version {
                        let expect = signet_storage::Expect::Version(version);
                        self.views.tokens.expect(&mut batch, &child, expect);
                    }
                    self.views.tokens.put_record(&mut batch, &child, &record)?;
                }
                self.store.commit(batch).await?;
            }
        }
        self.remove(core, hash, now).await
    }

    /// Removes a token, its leases and its cubbyhole.
    async fn remove(&self, core: &Core, hash: &str, now: Timestamp) -> Result<(), ApiError> {
        let Some(token) = self.by_hash(hash).await? else {
            return Ok(());
        };
        expiry::revoke_leases_of_token(core, hash, now).await?;
        crate::secrets::cubbyhole::clear(&self.store, hash).await?;
        let mut batch = Batch::default();
        self.remove_records(&mut batch, &token);
        self.store.commit(batch).await?;
        Ok(())
    }

    fn remove_records(&self, batch: &mut Batch, token: &Token) {
        self.views.tokens.delete(batch, &token.hash);
        self.views
            .accessors
            .delete(batch, &self.hash(&token.accessor));
        if let Some(parent) = &token.parent {
            self.views
                .children
                .delete(batch, &format!("{parent}/{}", token.hash));
        }
        expiry::unindex_token(&self.store, batch, &token.record, &token.hash);
    }
}
