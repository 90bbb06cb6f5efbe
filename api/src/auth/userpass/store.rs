//! Where the users are.

use serde::{Deserialize, Serialize};
use signet_storage::{Batch, Expect, Record, Stored, View};

use crate::auth::token_fields::TokenSettings;
use crate::endpoint::Cx;
use crate::error::ApiError;

use super::UserPass;
use super::hash::PasswordHash;

#[derive(Debug)]
pub(super) struct Store {
    users: View,
}

/// A user as it is stored, under its name in lower case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) password: PasswordHash,
    pub(super) token: TokenSettings,
}

impl Record for User {
    const FORMAT: u8 = 1;
}

/// Longest name of a user, in bytes.
const MAX_NAME_BYTES: usize = 1024;

impl Store {
    pub(super) fn new(view: &View) -> Self {
        Self {
            users: view.child("user/"),
        }
    }

    /// A user by name, in upper or lower case.
    pub(super) async fn user(&self, name: &str) -> Result<Option<Stored<User>>, ApiError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Ok(None);
        }
        Ok(self.users.record::<User>(&name.to_lowercase()).await?)
    }

    pub(super) async fn names(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ApiError> {
        Ok(self.users.keys("", after, limit).await?)
    }

    /// Commits a user unless it was changed since `previous` was read.
    pub(super) async fn put(
        &self,
        cx: Cx<'_, UserPass>,
        name: &str,
        user: &User,
        previous: Option<&Stored<User>>,
    ) -> Result<(), ApiError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(ApiError::bad_request(format!(
                "username is longer than {MAX_NAME_BYTES} bytes"
            )));
        }
        let name = name.to_lowercase();
        let expect = previous.map_or(Expect::Absent, |stored| Expect::Version(stored.version));
        let mut batch = Batch::default();
        self.users.expect(&mut batch, &name, expect);
        self.users.put_record(&mut batch, &name, user)?;
        cx.commit(batch).await
    }

    /// What is in `batch` happens only while the user is as it was read.
    pub(super) fn expect_unchanged(&self, batch: &mut Batch, name: &str, user: &Stored<User>) {
        let expect = Expect::Version(user.version);
        self.users.expect(batch, &name.to_lowercase(), expect);
    }

    pub(super) fn delete(&self, batch: &mut Batch, name: &str) {
        self.users.delete(batch, &name.to_lowercase());
    }
}
