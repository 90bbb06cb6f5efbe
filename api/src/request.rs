//! One request, as handlers see it.

use std::sync::Arc;

use parking_lot::Mutex;
use signet_storage::Batch;

use crate::acl::{AccessRequest, Acl, Operation};
use crate::call::{Call, Op};
use crate::error::ApiError;
use crate::mount::Mount;
use crate::node::{Core, Node};
use crate::time::Timestamp;
use crate::token::Token;

/// A call on its way through the pipeline.
#[derive(Debug)]
pub struct Request {
    pub node: Arc<Node>,
    pub(crate) core: Option<Arc<Core>>,
    pub call: Arc<Call>,
    pub mount: Arc<Mount>,
    /// When the request began; every time in the answer derives from it.
    pub now: Timestamp,
    /// The caller's token; `None` on paths that need none.
    pub token: Option<Arc<Token>>,
    pub acl: Option<Arc<Acl>>,
    /// The use of a counted token, waiting to be written with whatever the handler writes.
    pub(crate) token_use: Mutex<Option<Batch>>,
}

impl Request {
    /// # Errors
    /// `Sealed` when the server is.
    pub fn core(&self) -> Result<&Arc<Core>, ApiError> {
        self.core.as_ref().ok_or_else(ApiError::sealed)
    }

    /// The caller's token.
    ///
    /// # Errors
    /// `Forbidden` on a path that needs none, when none was sent.
    pub fn caller(&self) -> Result<&Arc<Token>, ApiError> {
        self.token.as_ref().ok_or_else(ApiError::permission_denied)
    }

    /// The path below the mount.
    #[must_use]
    pub fn relative_path(&self) -> &str {
        self.call
            .path
            .strip_prefix(&self.mount.path)
            .unwrap_or_default()
    }

    /// Writes `batch`, and the use of the caller's token with it.
    pub async fn commit(&self, batch: Batch) -> Result<(), ApiError> {
        let mut all = self.token_use.lock().take().unwrap_or_default();
        all.merge(batch);
        self.core()?.store.commit(all).await?;
        Ok(())
    }

    /// Does the rule that lets the caller in give `sudo` too?
    #[must_use]
    pub fn has_sudo(&self) -> bool {
        let access = access_request(&self.call, true, false);
        self.acl
            .as_ref()
            .is_some_and(|acl| acl.check(&access).has_sudo)
    }
}

/// What the caller's policies are asked.
pub(crate) fn access_request(call: &Call, exists: bool, needs_sudo: bool) -> AccessRequest<'_> {
    let operation = match call.op {
        Op::Delete => Operation::Delete,
        Op::Help => Operation::Help,
        Op::List => Operation::List,
        Op::Patch => Operation::Patch,
        Op::Read => Operation::Read,
        Op::Write if exists => Operation::Update,
        Op::Write => Operation::Create,
    };
    AccessRequest {
        path: &call.path,
        operation,
        data: Some(&call.data),
        wrap_ttl_seconds: call.wrap.map(|wrap| wrap.ttl_secs),
        needs_sudo,
    }
}
