//! Taking tokens back, with everything that hangs on them.

use signet_storage::{Batch, StorageError};

use crate::error::ApiError;
use crate::expiry::{self, Leases};
use crate::node::Core;
use crate::secrets::cubbyhole;
use crate::time::Timestamp;
use crate::token::{Token, TokenStore};

/// Children that are looked at in one go.
const PAGE: usize = 256;

/// How often a change is tried again that meets others.
const MAX_ATTEMPTS: usize = 64;

impl TokenStore {
    /// Revokes a token and all its descendants. A token that does not exist is fine.
    ///
    /// All of them are of no use from the first commit on; removing them may take many more. What
    /// a crash leaves, the sweep removes.
    pub async fn revoke_tree(
        &self,
        core: &Core,
        hash: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        self.end_now(hash).await?;
        // Depth first without recursion: a chain of tokens may be long.
        let mut pending = vec![(None, hash.to_owned())];
        while let Some((parent, current)) = pending.last().cloned() {
            let mut children = self.children(&current).await?;
            if children.is_empty() {
                self.remove(core, parent.as_deref(), &current, now).await?;
                // A child may have been made before the removal; none can be after it.
                children = self.children(&current).await?;
            }
            if children.is_empty() {
                pending.pop();
            }
            let below = |child| (Some(current.clone()), child);
            pending.extend(children.into_iter().map(below));
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
        self.orphan_children(hash).await?;
        self.remove(core, None, hash, now).await?;
        self.orphan_children(hash).await
    }

    /// Whether nothing but its own records would be left of a token.
    pub(crate) async fn stands_alone(&self, hash: &str) -> Result<bool, ApiError> {
        let leases = Leases::new(&self.store);
        Ok(!self.has_children(hash).await?
            && !leases.has_secrets(hash).await?
            && cubbyhole::is_empty(&self.store, hash).await?)
    }

    pub(crate) async fn has_children(&self, hash: &str) -> Result<bool, ApiError> {
        let prefix = format!("{hash}/");
        Ok(!self.views.children.keys(&prefix, None, 1).await?.is_empty())
    }

    /// Adds the removal of a token's own records to `batch`.
    pub(crate) fn remove_records(&self, batch: &mut Batch, token: &Token) {
        self.views.tokens.delete(batch, &token.hash);
        self.views
            .accessors
            .delete(batch, &self.hash_accessor(&token.accessor));
        if let Some(parent) = &token.parent {
            self.views
                .children
                .delete(batch, &format!("{parent}/{}", token.hash));
        }
        expiry::unindex_token(&self.store, batch, &token.record, &token.hash);
    }

    async fn children(&self, hash: &str) -> Result<Vec<String>, ApiError> {
        let prefix = format!("{hash}/");
        Ok(self.views.children.keys(&prefix, None, PAGE).await?)
    }

    /// Lets a token's life end in one commit, before what hangs on it is removed piece by piece.
    async fn end_now(&self, hash: &str) -> Result<(), ApiError> {
        if self.stands_alone(hash).await? {
            return Ok(());
        }
        for _ in 0..MAX_ATTEMPTS {
            let Some(token) = self.by_hash(hash).await? else {
                return Ok(());
            };
            let mut ended = token.record.clone();
            ended.expires_at = Some(Timestamp(0));
            let mut batch = Batch::default();
            self.replace(&mut batch, &token, &ended)?;
            match self.store.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApiError::overloaded())
    }

    async fn orphan_children(&self, hash: &str) -> Result<(), ApiError> {
        loop {
            let children = self.children(hash).await?;
            if children.is_empty() {
                return Ok(());
            }
            for child in children {
                self.orphan(hash, &child).await?;
            }
        }
    }

    async fn orphan(&self, parent: &str, child: &str) -> Result<(), ApiError> {
        for _ in 0..MAX_ATTEMPTS {
            let mut batch = Batch::default();
            self.views
                .children
                .delete(&mut batch, &format!("{parent}/{child}"));
            if let Some(token) = self.by_hash(child).await? {
                let mut record = token.record.clone();
                record.parent = None;
                self.replace(&mut batch, &token, &record)?;
            }
            match self.store.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApiError::overloaded())
    }

    /// Removes a token, its leases and its cubbyhole.
    async fn remove(
        &self,
        core: &Core,
        parent: Option<&str>,
        hash: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let mut batch = Batch::default();
        if let Some(token) = self.by_hash(hash).await? {
            expiry::revoke_leases_of_token(core, hash, now).await?;
            cubbyhole::clear(&self.store, hash).await?;
            self.remove_records(&mut batch, &token);
        }
        if let Some(parent) = parent {
            self.views
                .children
                .delete(&mut batch, &format!("{parent}/{hash}"));
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}
